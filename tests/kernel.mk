# SPDX-License-Identifier: MIT
# Tests of the kernel's core in an ordinary process, over fake_machine.c; included by the Makefile.
#
# The kernel's directories are -iquote: its poll.h and signal.h must not hide libc's.

KTEST_DIRS := include kernel kernel/core kernel/core/fs kernel/core/mm kernel/core/proc kernel/core/sys kernel/core/lib \
	tests/unit
KTEST_CFLAGS := -std=gnu17 -g -O1 -Wall -Wextra -Wno-unused-parameter -fno-strict-aliasing $(KTEST_DIRS:%=-iquote %)
KTEST_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
KTEST_FAKE := tests/unit/fake_machine.c kernel/core/proc/wait.c
KTEST_EROFS := tests/unit/erofs_walk.c $(addprefix kernel/core/fs/,erofs.c inode.c dentry.c)
KTEST_VFS := $(wildcard kernel/core/fs/*.c kernel/core/net/*.c kernel/core/tty/*.c) kernel/core/proc/timer.c
KTEST_DEPS := $(wildcard tests/unit/*.h include/*.h kernel/*.h kernel/core/*.h kernel/core/*/*.h)

KERNEL_TESTS := $(addprefix $(BUILD)/tests/unit/,test_erofs test_pipe_poll test_procfs test_hostfs test_vfs test_torture)

# The damaged images are worth nothing without the sanitizers, so these are always on.
$(BUILD)/tests/unit/test_erofs: tests/unit/test_erofs.c $(KTEST_EROFS) $(KTEST_FAKE) $(KTEST_DEPS)
	@mkdir -p $(@D)
	$(CC) $(KTEST_CFLAGS) $(KTEST_SAN) -o $@ $(filter %.c,$^) -lpthread -lcmocka

$(BUILD)/tests/unit/test_pipe_poll $(BUILD)/tests/unit/test_procfs: $(BUILD)/tests/unit/%: tests/unit/%.c \
		$(KTEST_VFS) $(KTEST_FAKE) $(KTEST_DEPS)
	@mkdir -p $(@D)
	$(CC) $(KTEST_CFLAGS) $(KTEST_SAN) -o $@ $(filter %.c,$^) -lpthread -lcmocka

$(BUILD)/tests/unit/test_torture: tests/unit/test_torture.c $(KTEST_VFS) $(KTEST_FAKE) $(KTEST_DEPS)
	@mkdir -p $(@D)
	$(CC) $(KTEST_CFLAGS) -fsanitize=thread -o $@ $(filter %.c,$^) -lpthread -lcmocka

# The monitor's half sees its own headers and libc's only.
$(BUILD)/tests/unit/hostfs/%.o: monitor/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -g -O1 -Iinclude -Imonitor $(KTEST_SAN) -c -o $@ $<

$(BUILD)/tests/unit/hostfs/host_share.o: tests/unit/host_share.c tests/unit/host_share.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -g -O1 -Iinclude -Imonitor $(KTEST_SAN) -c -o $@ $<

$(BUILD)/tests/unit/test_hostfs $(BUILD)/tests/unit/test_vfs: $(BUILD)/tests/unit/%: tests/unit/%.c $(KTEST_VFS) $(KTEST_FAKE) $(KTEST_DEPS) \
		$(addprefix $(BUILD)/tests/unit/hostfs/,host_share.o share.o error.o)
	@mkdir -p $(@D)
	$(CC) $(KTEST_CFLAGS) $(KTEST_SAN) -o $@ $(filter %.c %.o,$^) -lpthread -lcmocka

$(BUILD)/tests/fuzz/fuzz_erofs: tests/fuzz/fuzz_erofs.c $(KTEST_EROFS) $(KTEST_FAKE) $(KTEST_DEPS)
	@mkdir -p $(@D)
	clang $(KTEST_CFLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o $@ $(filter %.c,$^) -lpthread
