# SPDX-License-Identifier: MIT
# Tests of the kernel's library and signals, in an ordinary process; included by the Makefile, as is kernel.mk.

CTEST_CFLAGS := -std=gnu17 -g -O1 -Wall -Wextra -Wno-unused-parameter -fno-strict-aliasing \
	$(addprefix -iquote ,include kernel kernel/core kernel/core/fs kernel/core/mm kernel/core/proc kernel/core/sys \
	kernel/core/lib tests/unit) -fsanitize=address,undefined -fno-sanitize-recover=undefined
CTEST_DEPS := $(wildcard tests/unit/*.h include/*.h kernel/*.h kernel/core/*.h kernel/core/*/*.h)

# Each of these includes the file it tests.
$(addprefix $(BUILD)/tests/unit/,test_kmalloc test_printf test_random): $(BUILD)/tests/unit/%: tests/unit/%.c \
		$(wildcard kernel/core/lib/*.c) $(CTEST_DEPS)
	@mkdir -p $(@D)
	$(CC) $(CTEST_CFLAGS) -o $@ $< -lcmocka

$(BUILD)/tests/unit/test_signal: tests/unit/test_signal.c tests/unit/signal_frame.c tests/unit/fake_machine.c \
		kernel/core/proc/signal.c kernel/core/proc/wait.c $(CTEST_DEPS)
	@mkdir -p $(@D)
	$(CC) $(CTEST_CFLAGS) -o $@ $(filter %.c,$^) -lpthread -lcmocka
