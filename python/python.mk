# SPDX-License-Identifier: MIT
# The Python launcher and the default image. Included by the top Makefile; alone:
#   make -f python/python.mk image BUILD=build

BUILD ?= build
CC ?= gcc
PYTHON_VERSION ?= 3.11
PYTHON_CONFIG_DIR ?= /usr/lib/python$(PYTHON_VERSION)/config-$(PYTHON_VERSION)-x86_64-linux-gnu
PYTHON_INCLUDE ?= /usr/include/python$(PYTHON_VERSION)
PYTHON_IMAGE := $(BUILD)/images/python.erofs

PYTHON_DIR := python
include python/common.mk
PYTHON_OBJ := $(patsubst %,$(BUILD)/python/%.o,launcher builtin_contextvars builtin_json $(START_OBJECTS))
PYTHON_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -fno-pic -fno-pie \
	-fno-asynchronous-unwind-tables -Iinclude -isystem $(PYTHON_INCLUDE) -MMD -MP

.PHONY: launcher image

launcher: $(BUILD)/python/python

image: $(PYTHON_IMAGE)

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

PYTHON_ROOT_INPUTS := python/build-root.sh $(wildcard python/root/etc/*) $(wildcard python/snapshot_restore_py/*.py)

$(BUILD)/image-root.stamp: $(BUILD)/python/python $(PYTHON_ROOT_INPUTS)
	sh python/build-root.sh $(BUILD)/image-root $(BUILD)/python/python
	@touch $@

$(PYTHON_IMAGE): $(BUILD)/image-root.stamp python/build-image.sh
	@mkdir -p $(@D)
	sh python/build-image.sh $(BUILD)/image-root $@.tmp
	mv $@.tmp $@

-include $(PYTHON_OBJ:.o=.d)
