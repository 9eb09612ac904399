# SPDX-License-Identifier: MIT
# What the tests need of their own; included by the Makefile.

TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/tools/%,$(wildcard tests/tools/*.c))

guest-tests: $(TEST_TOOLS)

$(BUILD)/tests/tools/%: tests/tools/%.c monitor/snapshot.h monitor/sandbox.h include/thaw_abi.h
	@mkdir -p $(@D)
	$(HOST_CC) -std=gnu17 -O2 -g -Wall -Wextra -Werror -Iinclude -Imonitor -o $@ $<

# It stands in the way of every start: static, so that it costs none a dynamic loader.
$(BUILD)/tests/tools/machine: tests/tools/machine.c
	@mkdir -p $(@D)
	$(MUSL_CC) -std=gnu17 -O2 -Wall -Wextra -Werror -static -o $@ $<

# The host's KVM is replaced by what the test says.
$(BUILD)/tests/unit/test_kvm_verdict: private HOST_CFLAGS += -Wl,--wrap=kvm_probe,--wrap=kvm_device_open
