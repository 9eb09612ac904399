# SPDX-License-Identifier: MIT
# The fuzzers, libFuzzer's; included by the Makefile. `make fuzz` runs each for FUZZ_TIME seconds, tests/run.sh fuzz for a
# short while.

FUZZ_TIME ?= 3600
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_CFLAGS := -std=gnu17 -g -O1 -Wall -Wextra -Wno-gnu-variable-sized-type-not-at-end -Iinclude -Imonitor -I$(BUILD)/generated $(FUZZ_SAN)
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
# All of libthaw, so that what it calls is what it calls in earnest.
FUZZ_OBJ := $(patsubst monitor/%.c,$(BUILD)/tests/fuzz/monitor/%.o,$(filter %.c,$(LIBTHAW_SRC))) \
	$(patsubst monitor/%.S,$(BUILD)/host/%.o,$(filter %.S,$(LIBTHAW_SRC)))

.SECONDARY: $(FUZZ_OBJ)
.PHONY: fuzzers fuzz
fuzzers: $(FUZZERS)

$(BUILD)/tests/fuzz/monitor/%.o: monitor/%.c | $(GENERATED)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJ)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< $(FUZZ_OBJ)

fuzz: deps
	@$(MAKE) --no-print-directory all fuzzers
	@$(RUN_ENV) bash tests/fuzz/run.sh $(FUZZ_TIME)

-include $(wildcard $(BUILD)/tests/fuzz/*.d $(BUILD)/tests/fuzz/monitor/*.d)

$(BUILD)/tests/fuzz/fuzz_kvm_call: private FUZZ_CFLAGS += $(addprefix -Wl$(comma)--wrap=,vm_fail vm_exit vm_ioctl vm_syscall5)
