/* SPDX-License-Identifier: MIT */
/* The hostile kernel's first instructions, its page tables, and the way back from any exception. */
#include "../../kernel/kvm/image.h"

#define THAW_KVM_RAM_GPA 0x400000000
#define THAW_KERNEL_ADDR 0x700000800000
#define GPA(symbol) symbol - THAW_KERNEL_ADDR + THAW_KVM_RAM_GPA

    .section .text.header, "ax"
    .quad THAW_KVM_MAGIC
    .quad kernel_start
    .quad kernel_rodata_end
    .quad kernel_data_end
    .quad kernel_bss_end
    .quad GPA(pml4)
    .quad kvm_entry
    .quad kvm_entry
    .quad cpu_entry

    .text
    .globl kvm_entry
kvm_entry:
    movabs $stack_end, %rsp
    xor %ebp, %ebp
    movabs $hostile_main, %rax
    call *%rax
    ud2

/* Another processor: its number is in rdi. */
cpu_entry:
    movabs $cpu_stacks, %rsp
    mov %rdi, %rax
    inc %rax
    shl $12, %rax
    add %rax, %rsp
    xor %ebp, %ebp
    movabs $hostile_cpu, %rax
    call *%rax
    ud2

/* Exceptions, with an error code or without: back to where TRY() said. */
    .globl trap
trap:
    mov resume_rsp(%rip), %rsp
    mov resume(%rip), %rax
    incq traps(%rip)
    jmp *%rax

    .section .data.pages, "aw", @progbits
    .balign 4096
    .globl pml4, pdpt_low
pml4:
    .quad GPA(pdpt_low) + 3
    .fill 223, 8, 0
    .quad GPA(pdpt_kernel) + 3
    .fill 287, 8, 0
/* Guest-physical memory at the same addresses, all there could be in 512 GiB. */
pdpt_low:
    .set i, 0
    .rept 512
    .quad (i << 30) + 0x83
    .set i, i + 1
    .endr
pdpt_kernel:
    .quad GPA(pd_kernel) + 3
    .fill 511, 8, 0
/* The boot area, and the image where the header says it lies. */
pd_kernel:
    .quad 0x83, 0x200083, 0, 0
    .set i, 0
    .rept 8
    .quad THAW_KVM_RAM_GPA + (i << 21) + 0x83
    .set i, i + 1
    .endr
    .fill 500, 8, 0

    .section .bss
    .balign 4096
    .fill 16384, 1, 0
stack_end:
    .section .note.GNU-stack, "", @progbits
