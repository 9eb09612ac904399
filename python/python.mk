# SPDX-License-Identifier: MIT
# The images of Debian's own Python, the default, and of the Python launcher. Included by the top Makefile; alone:
#   make -f python/python.mk image BUILD=build

BUILD ?= build
CC ?= gcc
PYTHON_VERSION ?= 3.11
PYTHON_CONFIG_DIR ?= /usr/lib/python$(PYTHON_VERSION)/config-$(PYTHON_VERSION)-x86_64-linux-gnu
PYTHON_INCLUDE ?= /usr/include/python$(PYTHON_VERSION)
PYTHON_SMALL_IMAGE := $(BUILD)/images/python-small.erofs

PYTHON_DIR := python
include python/common.mk
PYTHON_OBJ := $(patsubst %,$(BUILD)/python/%.o,launcher builtin_contextvars builtin_json $(START_OBJECTS))
PYTHON_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -fno-pic -fno-pie \
	-fno-asynchronous-unwind-tables -DTHAW_STATIC -Iinclude -isystem $(PYTHON_INCLUDE) -MMD -MP

.PHONY: launcher image

launcher: $(BUILD)/python/python

image: $(PYTHON_SMALL_IMAGE)

$(BUILD)/python/%.o: python/%.c
	@mkdir -p $(@D)
	$(CC) $(PYTHON_CFLAGS) -c -o $@ $<

$(BUILD)/python/%.o: python/%.S
	@mkdir -p $(@D)
	$(CC) -c -o $@ $<

$(BUILD)/python/stash_code.o: python/stash.py

# glibc's warnings about getaddrinfo and friends in static programs are expected: without its shared
# libraries in the image those fall back to files and DNS only. Any other complaint is an error.
$(BUILD)/python/python: $(PYTHON_OBJ) python/hot.lds
	$(CC) $(PYTHON_LDFLAGS) -o $@.tmp $(PYTHON_OBJ) $(PYTHON_CONFIG_DIR)/libpython$(PYTHON_VERSION).a \
		-lexpat -lz -lm 2>$@.log || { cat $@.log >&2; exit 1; }
	@! grep -vE "in function \`|statically linked applications requires at runtime" $@.log
	strip --strip-all -o $@.stripped $@.tmp
	mv $@.tmp $@.debug
	mv $@.stripped $@

# ---- the agent: the same for a Python that is not ours ----

AGENT := $(BUILD)/python-agent
AGENT_OBJ := $(patsubst %,$(AGENT)/obj/%.o,agent $(START_OBJECTS))
AGENT_CFLAGS := $(filter-out -fno-pic -fno-pie -DTHAW_STATIC,$(PYTHON_CFLAGS)) -fPIC -fvisibility=hidden

.PHONY: agent
agent: $(AGENT)/_thaw.cpython-311-x86_64-linux-gnu.so $(AGENT)/python $(AGENT)/snapshot_restore_py

$(AGENT)/obj/%.o: python/%.c
	@mkdir -p $(@D)
	$(CC) $(AGENT_CFLAGS) -c -o $@ $<

$(AGENT)/obj/%.o: python/%.S
	@mkdir -p $(@D)
	$(CC) -c -o $@ $<

$(AGENT)/obj/stash_code.o: python/stash.py

$(AGENT)/_thaw.cpython-311-x86_64-linux-gnu.so: $(AGENT_OBJ)
	$(CC) -shared -Wl,-z,now -Wl,-z,noexecstack -s -o $@ $^

$(AGENT)/python: python/stock.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu17 -Os -Wall -Wextra -Werror -static -no-pie -fno-pie -s -o $@ $<

$(AGENT)/snapshot_restore_py: $(wildcard python/snapshot_restore_py/*.py)
	@mkdir -p $@
	cp $^ $@/
	@touch $@

# ---- the image of Debian's own Python ----

PYTHON_IMAGE := $(BUILD)/images/python.erofs
PYTHON_PACKAGES := python3 python3-venv python3-distutils python3-lib2to3 netbase tzdata dash coreutils grep sed libc-bin

$(PYTHON_IMAGE): $(AGENT)/_thaw.cpython-311-x86_64-linux-gnu.so $(AGENT)/python $(AGENT)/snapshot_restore_py \
		monitor/image_packages.sh python/python.mk | $(BUILD)/thaw
	@mkdir -p $(@D)
	THAW_PACKAGE_CACHE=$(abspath $(BUILD)/packages) $(BUILD)/thaw image build \
		--packages $(subst $(space),$(comma),$(PYTHON_PACKAGES)) $(abspath $@)

PYTHON_ROOT_INPUTS := python/build-root.sh $(wildcard python/root/etc/*) $(wildcard python/snapshot_restore_py/*.py)

$(BUILD)/image-root.stamp: $(BUILD)/python/python $(PYTHON_ROOT_INPUTS)
	sh python/build-root.sh $(BUILD)/image-root $(BUILD)/python/python
	@touch $@

$(PYTHON_SMALL_IMAGE): $(BUILD)/image-root.stamp python/build-image.sh
	@mkdir -p $(@D)
	sh python/build-image.sh $(BUILD)/image-root $@.tmp
	mv $@.tmp $@

-include $(PYTHON_OBJ:.o=.d) $(AGENT_OBJ:.o=.d)
