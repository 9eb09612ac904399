# SPDX-License-Identifier: MIT
#
#   make            build/thaw, the kernel, the Python launcher and the image `python`
#   make python-static   the image `python-static`: CPython built from source (see python/Makefile)
#   make hello      everything on a fresh machine, then a real program, cold and restored
#   make test       unit and end-to-end tests (SAN=1: with address and undefined-behaviour sanitizers)
#   make bench      the times, side by side        make soak conformance   the long runs      make fuzz   hours of it
#   make conformance  CPython's own tests and busybox's, in sandboxes and natively; CONFORMANCE='--only test_os' for some
#   make lint       clang-format, clang-tidy, cppcheck
#   make install    PREFIX=/usr/local DESTDIR=

PREFIX ?= /usr/local
DESTDIR ?=
SAN ?=

BUILD := build$(if $(SAN),-san)
comma := ,
empty :=
space := $(empty) $(empty)
CC := gcc
MUSL_CC := musl-gcc
OBJCOPY := objcopy
HOST_CC := gcc

.PHONY: test-nested test-port all kernel thaw libthaw unit-tests guest-tests deps hello test bench soak conformance lint install clean
.DELETE_ON_ERROR:
all: thaw kernel libthaw thaw-oci python-image

# ---- the guest's kernel ----

# Two kernels of one core: kernel/process and kernel/kvm are what lies below machine.h.
MACHINES := process kvm
KERNEL_CORE_SRC := $(sort $(filter-out %/vdso.S,$(shell find kernel/core -name '*.c' -o -name '*.S')))
# entry.c and entry.S lie side by side: the latter becomes entry.S.o.
kernel_obj = $(patsubst %,$(BUILD)/%.o,$(patsubst %.c,%,$(1)))
KERNEL_CORE_OBJ := $(call kernel_obj,$(KERNEL_CORE_SRC))
KERNEL_OBJ := $(KERNEL_CORE_OBJ)
KERNEL_INC := -Iinclude -Ikernel -Ikernel/core -Ikernel/core/fs -Ikernel/core/mm -Ikernel/core/proc -Ikernel/core/net \
	-Ikernel/core/sys -Ikernel/core/lib
KERNEL_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -ffreestanding -fno-stack-protector \
	-fno-pic -no-pie -mcmodel=large -mgeneral-regs-only -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-omit-frame-pointer -fno-strict-aliasing -fno-tree-loop-distribute-patterns -MMD -MP $(KERNEL_INC)
KERNEL_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
	-Wl,-z,max-page-size=4096

kernel: $(MACHINES:%=$(BUILD)/kernel-%.elf)

$(BUILD)/kernel/%.o: kernel/%.c
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

$(BUILD)/kernel/%.S.o: kernel/%.S
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c -o $@ $<

define MACHINE
KERNEL_$(1)_OBJ := $$(call kernel_obj,$$(sort $$(wildcard kernel/$(1)/*.[cS]))) $(BUILD)/kernel/$(1)/vdso.S.o
KERNEL_OBJ += $$(KERNEL_$(1)_OBJ)

$(BUILD)/kernel/$(1)/vdso.S.o: kernel/core/proc/vdso.S $(BUILD)/kernel/$(1)/vdso.so
	@mkdir -p $$(@D)
	$(CC) $(KERNEL_CFLAGS) -Wa,-I$(BUILD)/kernel/$(1) -c -o $$@ $$<

$(BUILD)/kernel/$(1)/vdso.so: kernel/vdso/vdso.c kernel/vdso/vdso.lds kernel/$(1)/vdso_clock.h include/thaw_abi.h
	@mkdir -p $$(@D)
	$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -ffreestanding -fPIC -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -mgeneral-regs-only -Iinclude -Ikernel/$(1) -shared -nostdlib -s \
		-Wl,--build-id=none -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,-z,noexecstack \
		-Wl,-z,max-page-size=4096 -T kernel/vdso/vdso.lds -o $$@ $$<

$(BUILD)/kernel-$(1).bin: $(BUILD)/kernel-$(1).elf
	$(OBJCOPY) -O binary $$< $$@

$(BUILD)/generated/kernel_$(1)_build_id.h: $(BUILD)/tools/file-id $(BUILD)/kernel-$(1).bin
	@mkdir -p $$(@D)
	$$^ >$$@
endef
$(foreach machine,$(MACHINES),$(eval $(call MACHINE,$(machine))))

$(BUILD)/kernel-process.elf: $(KERNEL_CORE_OBJ) $(KERNEL_process_OBJ) kernel/process/kernel.lds
	$(CC) $(KERNEL_LDFLAGS) -T kernel/process/kernel.lds -o $@ $(filter %.o,$^)

# Linked twice: once to learn where the functions lie, once with that table for the backtraces of a panic.
$(BUILD)/kernel-kvm.elf: $(KERNEL_CORE_OBJ) $(KERNEL_kvm_OBJ) kernel/kvm/kernel.lds tools/gen-kallsyms.awk
	$(CC) $(KERNEL_LDFLAGS) -T kernel/kvm/kernel.lds -o $(BUILD)/kernel/kvm/first.elf $(filter %.o,$^)
	nm -n $(BUILD)/kernel/kvm/first.elf | awk -f tools/gen-kallsyms.awk >$(BUILD)/kernel/kvm/kallsyms.S
	$(CC) -c -o $(BUILD)/kernel/kvm/kallsyms.S.o $(BUILD)/kernel/kvm/kallsyms.S
	$(CC) $(KERNEL_LDFLAGS) -T kernel/kvm/kernel.lds -o $@ $(filter %.o,$^) $(BUILD)/kernel/kvm/kallsyms.S.o

# ---- tools that run while building ----

$(BUILD)/tools/gen-monitor-filter: tools/gen-monitor-filter.c monitor/kvm.h
	@mkdir -p $(@D)
	$(HOST_CC) -O1 -Wall -Wextra -Werror -Iinclude -Imonitor -o $@ $< -lseccomp

$(BUILD)/tools/file-id: tools/file-id.c
	@mkdir -p $(@D)
	$(HOST_CC) -O2 -Wall -Wextra -Werror -o $@ $<

$(BUILD)/generated/monitor_filter.h: $(BUILD)/tools/gen-monitor-filter
	@mkdir -p $(@D)
	$< >$@

GENERATED := $(BUILD)/generated/monitor_filter.h $(MACHINES:%=$(BUILD)/generated/kernel_%_build_id.h)

# ---- the monitor: with musl as the static command, with the host's libc as a library and for the tests ----

MONITOR_SRC := $(sort $(wildcard monitor/*.c)) monitor/kernel_blob.S monitor/kvm_probe_guest.S monitor/image_packages.S \
	monitor/spawned_entry.S
COMMAND_SRC := monitor/main.c monitor/command.c monitor/command_%.c monitor/confine.c monitor/options.c \
	monitor/script.c monitor/stats.c
LIBTHAW_SRC := $(filter-out $(COMMAND_SRC) monitor/spawned_entry.S,$(MONITOR_SRC))
MUSL_OBJ := $(patsubst monitor/%,$(BUILD)/musl/%.o,$(basename $(MONITOR_SRC)))
HOST_OBJ := $(patsubst monitor/%,$(BUILD)/host/%.o,$(basename $(filter-out monitor/spawned_entry.S,$(MONITOR_SRC))))
LIBTHAW_OBJ := $(patsubst monitor/%,$(BUILD)/host/%.o,$(basename $(LIBTHAW_SRC)))

MONITOR_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-format-truncation -MMD -MP -Iinclude -Imonitor \
	-I$(BUILD)/generated
# musl brings no kernel headers; xxhash.h is a header alone.
MUSL_CFLAGS := $(MONITOR_CFLAGS) -fno-pie -fno-asynchronous-unwind-tables -fstack-protector-strong -ffunction-sections \
	-fdata-sections -DTHAW_KERNEL_IN_PLACE -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
# One mapping for code and read-only data, none to be remapped at start: a start is measured in microseconds.
MUSL_LDFLAGS := -static -no-pie -Wl,--gc-sections -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-z,noexecstack \
	-Wl,--build-id=none -Wl,-z,max-page-size=0x200000 -Wl,-T,monitor/thaw.lds -Wl,-e,spawn_start
SAN_FLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
HOST_CFLAGS := $(MONITOR_CFLAGS) $(SAN_FLAGS) -fPIC

thaw: $(BUILD)/thaw
libthaw: $(BUILD)/libthaw.a

$(BUILD)/musl/%.o: monitor/%.c | $(GENERATED)
	@mkdir -p $(@D)
	$(MUSL_CC) $(MUSL_CFLAGS) -c -o $@ $<

$(BUILD)/host/%.o: monitor/%.c | $(GENERATED)
	@mkdir -p $(@D)
	$(HOST_CC) $(HOST_CFLAGS) -c -o $@ $<

$(BUILD)/musl/kernel_blob.o $(BUILD)/host/kernel_blob.o: monitor/kernel_blob.S $(MACHINES:%=$(BUILD)/kernel-%.bin) \
		$(MACHINES:%=$(BUILD)/generated/kernel_%_build_id.h)
	@mkdir -p $(@D)
	$(HOST_CC) -I$(BUILD)/generated -Wa,-I$(BUILD) -c -o $@ $<

$(BUILD)/musl/kvm_probe_guest.o $(BUILD)/host/kvm_probe_guest.o: monitor/kvm_probe_guest.S monitor/kvm_probe_guest.h
	@mkdir -p $(@D)
	$(HOST_CC) -Imonitor -c -o $@ $<

$(BUILD)/musl/image_packages.o $(BUILD)/host/image_packages.o: monitor/image_packages.S monitor/image_packages.sh
	@mkdir -p $(@D)
	$(HOST_CC) -c -o $@ $<

$(BUILD)/musl/spawned_entry.o: monitor/spawned_entry.S
	@mkdir -p $(@D)
	$(HOST_CC) -c -o $@ $<

# They run before there is a libc, and its guard.
$(BUILD)/musl/child.o $(BUILD)/musl/spawned.o $(BUILD)/musl/process.o: MUSL_CFLAGS += -fno-stack-protector

# One object, whose only names are the public ones.
$(BUILD)/libthaw.a: $(LIBTHAW_OBJ)
	rm -f $@
	$(LD) -r -o $(BUILD)/libthaw.o $^
	$(OBJCOPY) --wildcard --keep-global-symbol='thaw_*' $(BUILD)/libthaw.o
	ar rcs $@ $(BUILD)/libthaw.o

ifeq ($(SAN),)
# Written in large pieces, for a page cache that keeps such files in large pages.
$(BUILD)/thaw: $(MUSL_OBJ) monitor/thaw.lds
	$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_OBJ)
	rm -f $@
	dd if=$@.tmp of=$@ bs=4M status=none
	rm -f $@.tmp
	chmod 755 $@
else
$(BUILD)/thaw: $(HOST_OBJ)
	$(HOST_CC) $(SAN_FLAGS) -o $@ $^
endif

# ---- container images: a process of its own, with libraries that know the formats ----

.PHONY: thaw-oci
thaw-oci: $(BUILD)/thaw-oci
$(BUILD)/thaw-oci: $(wildcard oci/*.c oci/*.h)
	@mkdir -p $(@D)
	$(HOST_CC) -std=gnu17 -O2 -g -Wall -Wextra -Werror -D_FORTIFY_SOURCE=2 -fstack-protector-strong $(SAN_FLAGS) -o $@ \
		$(filter %.c,$^) -larchive -lcjson

# ---- Python: the launcher and the image ----

.PHONY: python-image
ifeq ($(SAN),)
-include python/python.mk
python-image: $(BUILD)/images/python.erofs $(BUILD)/images/python-small.json

$(BUILD)/images/python-small.json: $(BUILD)/images/python-small.erofs | $(BUILD)/thaw
	$(BUILD)/thaw image seal $<
else
# What runs inside a sandbox is the same with sanitizers around it.
python-image:
	$(MAKE) SAN= python-image
	ln -sfn ../build/images $(BUILD)/images
	rm -rf $(BUILD)/python-agent && cp -R build/python-agent $(BUILD)/
endif

# CPython from its source, with the snapshot call in its main: minutes. Sealed by the thaw of this tree.
.PHONY: python-static
python-static: thaw
	$(MAKE) -C python image BUILD=$(abspath $(BUILD))

# ---- tests ----

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
GUEST_TESTS := $(patsubst tests/guest/%.c,$(BUILD)/tests/guest/%,$(wildcard tests/guest/*.c))

unit-tests: $(UNIT_TESTS)
guest-tests: $(GUEST_TESTS)

# main() is the test's own.
UNIT_OBJ := $(filter-out $(BUILD)/host/main.o,$(HOST_OBJ))

$(BUILD)/tests/unit/%: tests/unit/%.c $(UNIT_OBJ)
	@mkdir -p $(@D)
	$(HOST_CC) $(HOST_CFLAGS) -MF $@.d -Itests/unit -o $@ $< $(UNIT_OBJ) -lcmocka

# Programs that run inside a sandbox: static, without the sanitizers.
$(BUILD)/tests/guest/%: tests/guest/%.c
	@mkdir -p $(@D)
	$(MUSL_CC) -std=gnu17 -O2 -g -Wall -Wextra -Werror -static -no-pie -fno-pie -Iinclude -MMD -MP -MF $@.d \
		-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu -o $@ $<

-include $(wildcard tests/*.mk)

deps:
	@scripts/install-deps.sh

RUN_ENV = BUILD=$(BUILD) THAW=$(CURDIR)/$(BUILD)/thaw SAN=$(SAN)

hello: deps
	@$(MAKE) --no-print-directory all
	@$(RUN_ENV) sh scripts/hello.sh

# Without the port's image its tests fail, and say so; all others run.
test: deps
	@$(MAKE) --no-print-directory all unit-tests guest-tests test-images fuzzers
	@$(RUN_ENV) bash tests/run.sh

# The end-to-end tests on the kvm machine, in a VM whose KVM works.
test-nested: deps
	@$(MAKE) --no-print-directory all unit-tests guest-tests test-images
	@$(RUN_ENV) bash tests/run.sh nested

# CPython built from source, and the tests of that.
test-port: deps
	@$(MAKE) --no-print-directory all guest-tests python-static
	@$(MAKE) -C python minimal BUILD=$(abspath $(BUILD))
	@$(RUN_ENV) bash tests/run.sh port

soak: deps
	@$(MAKE) --no-print-directory all unit-tests guest-tests
	@$(RUN_ENV) bash tests/soak.sh

conformance: deps
	@$(MAKE) --no-print-directory all
	@/usr/bin/python3 tests/conformance/run.py $(CONFORMANCE) $(BUILD)/thaw
	@$(if $(CONFORMANCE),,sh tests/conformance/busybox.sh $(BUILD)/thaw)

bench: deps
	@$(MAKE) --no-print-directory all
	@$(RUN_ENV) sh bench/run.sh

lint: $(GENERATED)
	@$(RUN_ENV) sh scripts/lint.sh

# ---- installing ----

# Written in large pieces, as where it was built. FILE, MODE, DESTINATION.
install_large = install -D -m $(2) /dev/null $(3) && dd if=$(1) of=$(3) bs=4M conv=notrunc status=none

install: all
	$(call install_large,$(BUILD)/thaw,0755,$(DESTDIR)$(PREFIX)/bin/thaw)
	$(call install_large,$(BUILD)/images/python.erofs,0644,$(DESTDIR)$(PREFIX)/lib/thaw/images/python.erofs)
	install -D -m 0644 $(BUILD)/images/python.json $(DESTDIR)$(PREFIX)/lib/thaw/images/python.json
	install -D -m 0755 $(BUILD)/thaw-oci $(DESTDIR)$(PREFIX)/lib/thaw/thaw-oci
	$(call install_large,$(BUILD)/images/python-small.erofs,0644,$(DESTDIR)$(PREFIX)/lib/thaw/images/python-small.erofs)
	install -D -m 0644 $(BUILD)/images/python-small.json $(DESTDIR)$(PREFIX)/lib/thaw/images/python-small.json
	install -D -m 0755 $(BUILD)/python-agent/python $(DESTDIR)$(PREFIX)/lib/thaw/python-agent/python
	install -m 0755 $(BUILD)/python-agent/_thaw.*.so $(DESTDIR)$(PREFIX)/lib/thaw/python-agent/
	install -D -m 0644 $(BUILD)/python-agent/snapshot_restore_py/__init__.py \
		$(DESTDIR)$(PREFIX)/lib/thaw/python-agent/snapshot_restore_py/__init__.py
	for f in $(wildcard $(BUILD)/images/python-static.erofs $(BUILD)/images/python-static.json); do \
		$(call install_large,$$f,0644,$(DESTDIR)$(PREFIX)/lib/thaw/images/$${f##*/}) || exit 1; done
	install -D -m 0644 $(BUILD)/libthaw.a $(DESTDIR)$(PREFIX)/lib/libthaw.a
	install -D -m 0644 include/thaw.h $(DESTDIR)$(PREFIX)/include/thaw.h
	install -D -m 0644 docs/thaw.1 $(DESTDIR)$(PREFIX)/share/man/man1/thaw.1

clean:
	rm -rf build build-san

-include $(sort $(KERNEL_OBJ:.o=.d)) $(MUSL_OBJ:.o=.d) $(HOST_OBJ:.o=.d) $(UNIT_TESTS:%=%.d) $(GUEST_TESTS:%=%.d)
