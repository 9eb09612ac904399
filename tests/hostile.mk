# SPDX-License-Identifier: MIT
# A thaw whose guest kernel is hostile, for tests/fault/hostile.py; included by the Makefile.

HOSTILE := $(BUILD)/tests/hostile
guest-tests: $(HOSTILE)/thaw

$(HOSTILE)/kernel-kvm.elf: tests/hostile/kernel.c tests/hostile/entry.S kernel/kvm/kernel.lds include/thaw_abi.h kernel/kvm/image.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O1 -g -Wall -Wextra -Werror -ffreestanding -fno-stack-protector -fno-pic -no-pie -mcmodel=large \
		-mgeneral-regs-only -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing \
		-fno-tree-loop-distribute-patterns -Iinclude $(KERNEL_LDFLAGS) -T kernel/kvm/kernel.lds -o $@ $(filter %.c %.S,$^)

$(HOSTILE)/kernel-kvm.bin: $(HOSTILE)/kernel-kvm.elf
	$(OBJCOPY) -O binary $< $@

$(HOSTILE)/kernel_kvm_build_id.h: $(BUILD)/tools/file-id $(HOSTILE)/kernel-kvm.bin
	$^ >$@

$(HOSTILE)/kernel_blob.o: monitor/kernel_blob.S $(HOSTILE)/kernel-kvm.bin $(HOSTILE)/kernel_kvm_build_id.h $(BUILD)/kernel-process.bin
	$(HOST_CC) -I$(HOSTILE) -I$(BUILD)/generated -Wa,-I$(HOSTILE),-I$(BUILD) -c -o $@ $<

ifeq ($(SAN),)
$(HOSTILE)/thaw: $(MUSL_OBJ) $(HOSTILE)/kernel_blob.o
	$(MUSL_CC) $(MUSL_LDFLAGS) -o $@ $(filter-out %/musl/kernel_blob.o,$^)
else
$(HOSTILE)/thaw: $(HOST_OBJ) $(HOSTILE)/kernel_blob.o
	$(HOST_CC) $(SAN_FLAGS) -o $@ $(filter-out %/host/kernel_blob.o,$^)
endif
