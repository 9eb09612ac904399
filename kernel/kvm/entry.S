/* SPDX-License-Identifier: MIT */
/* Ways into the kernel: from the monitor, from user mode by SYSCALL, by int $0x80 and by traps; and out of it. */
#include "image.h"
#include "pt_regs.h"

#define THAW_KVM_RAM_GPA 0x400000000
#define THAW_KERNEL_ADDR 0x700000800000
#define CPU_USER_RSP 0
#define CPU_KSTACK 8
#define USER_CS 0x33
#define USER_SS 0x2b

#define PTE_P 1
#define PTE_W 2
#define PTE_U 4
#define PTE_PS 0x80
#define PTE_NX 0x8000000000000000

    .section .text.header, "ax"
    .quad THAW_KVM_MAGIC
    .quad kernel_start
    .quad kernel_rodata_end
    .quad kernel_data_end
    .quad kernel_bss_end
    .quad kvm_pml4 - THAW_KERNEL_ADDR + THAW_KVM_RAM_GPA
    .quad kvm_entry
    .quad kvm_restore
    .quad cpu_entry

/* SMAP: these are no-ops until smap_patch() has seen that the processor knows the instructions. */
    .macro site insn
    .pushsection .rodata.smap, "a"
    .quad 777f, \insn
    .popsection
777: .byte 0x0f, 0x1f, 0x00
    .endm
    .macro CLAC
    site 0
    .endm

    .text
    .globl kvm_entry
kvm_entry:
    movabs $boot_stack_end, %rsp
    xor %ebp, %ebp
    movabs $kvm_main, %rax
    call *%rax
    ud2

kvm_restore:
    movabs $boot_stack_end, %rsp
    xor %ebp, %ebp
    movabs $kvm_restored, %rax
    call *%rax
    ud2

cpu_entry:
    movabs $cpu_stacks, %rax
    mov (%rax,%rdi,8), %rsp
    xor %ebp, %ebp
    movabs $cpu_main, %rax
    call *%rax
    ud2

    .globl syscall_entry
syscall_entry:
    swapgs
    mov %rsp, %gs:CPU_USER_RSP
    mov %gs:CPU_KSTACK, %rsp
    pushq $USER_SS
    pushq %gs:CPU_USER_RSP
    push %r11
    pushq $USER_CS
    push %rcx
    push %rax
    push %rdi
    SAVE_REGS
    xor %ebp, %ebp
    mov %rsp, %rdi
    call trap_syscall
    test %al, %al
    jz iret_to_user
    RESTORE_REGS
    mov 32(%rsp), %rsp /* orig_rax rip cs eflags rsp; rcx and r11 are rip and eflags */
    swapgs
    sysretq

iret_to_user:
    RESTORE_REGS
    add $8, %rsp
    swapgs
    iretq

    .globl int80_entry
int80_entry:
    CLAC
    swapgs
    cld
    push %rax
    push %rdi
    SAVE_REGS
    xor %ebp, %ebp
    mov %rsp, %rdi
    call trap_int80
    jmp iret_to_user

    .macro trap_entry n, has_error=0
    .balign 16
trap_entry_\n:
    .if !\has_error
    pushq $0
    .endif
    pushq $\n
    jmp trap_common
    .endm

    trap_entry 0
    trap_entry 1
    trap_entry 2
    trap_entry 3
    trap_entry 4
    trap_entry 5
    trap_entry 6
    trap_entry 7
    trap_entry 8, 1
    trap_entry 9
    trap_entry 10, 1
    trap_entry 11, 1
    trap_entry 12, 1
    trap_entry 13, 1
    trap_entry 14, 1
    trap_entry 15
    trap_entry 16
    trap_entry 17, 1
    trap_entry 18
    trap_entry 19
    trap_entry 20
    trap_entry 21, 1
    trap_entry 22
    trap_entry 23
    trap_entry 24
    trap_entry 25
    trap_entry 26
    trap_entry 27
    trap_entry 28
    trap_entry 29, 1
    trap_entry 30, 1
    trap_entry 31
    trap_entry 32

    .section .rodata
    .globl trap_entries
    .balign 8
trap_entries:
    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32
    .quad trap_entry_\n
    .endr

    .text
trap_common: /* the error code stands where orig_rax does, the vector where rdi is to be */
    CLAC
    cld
    xchg %rdi, (%rsp)
    SAVE_REGS
    xor %ebp, %ebp
    mov %rsp, %rsi
    testb $3, R_CS(%rsp)
    jz 1f
    swapgs
    call trap_from_user
    jmp iret_to_user
1:  mov R_RIP(%rsp), %rax /* a frame, so that a backtrace goes on */
    call trap_from_kernel
    RESTORE_REGS
    add $8, %rsp
    iretq

/* void switch_stacks(u64 *save_rsp, u64 load_rsp) */
    .globl switch_stacks
switch_stacks:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

/* A new thread's first code: its registers are at the end of its stack. */
    .globl thread_begin
thread_begin:
    mov %rsp, %rdi
    call thread_started
    jmp iret_to_user

/* void thread_enter_user(struct pt_regs *regs), which lie at the end of the stack */
    .globl thread_enter_user
thread_enter_user:
    mov %rdi, %rsp
    jmp iret_to_user

    .globl resume_save
resume_save:
    mov %rbx, 0(%rdi)
    mov %rbp, 8(%rdi)
    mov %r12, 16(%rdi)
    mov %r13, 24(%rdi)
    mov %r14, 32(%rdi)
    mov %r15, 40(%rdi)
    lea 8(%rsp), %rax
    mov %rax, 48(%rdi)
    mov (%rsp), %rax
    mov %rax, 56(%rdi)
    xor %eax, %eax
    ret

    .globl resume_jump
resume_jump:
    mov %esi, %eax
    mov 0(%rdi), %rbx
    mov 8(%rdi), %rbp
    mov 16(%rdi), %r12
    mov 24(%rdi), %r13
    mov 32(%rdi), %r14
    mov 40(%rdi), %r15
    mov 48(%rdi), %rsp
    jmp *56(%rdi)

/*
 * The first page tables. pgtable_init() replaces the mapping of the kernel by one that tells text from data. What they
 * show at once: the boot area, the kernel, and memory as it is from DIRECT_ADDR on (1 GiB pages; pgtable_init() mends
 * that where the processor has none).
 */
    .section .data.pages, "aw"
    .balign 4096
    .globl kvm_pml4, kvm_pdpt_low, kvm_pdpt_direct, kvm_pd_low
#define GPA(sym) (sym - THAW_KERNEL_ADDR + THAW_KVM_RAM_GPA)
kvm_pml4:
    .fill 224, 8, 0
    .quad GPA(kvm_pdpt_low) + (PTE_P | PTE_W | PTE_U)
    .quad GPA(kvm_pdpt_direct) + (PTE_P | PTE_W)
    .fill 286, 8, 0
kvm_pdpt_low:
    .quad GPA(kvm_pd_low) + (PTE_P | PTE_W | PTE_U)
    .fill 511, 8, 0
kvm_pd_low:
    .quad 0x000000 + (PTE_P | PTE_W | PTE_PS | PTE_NX)
    .quad 0x200000 + (PTE_P | PTE_W | PTE_PS | PTE_NX)
    .quad 0
    .quad 0
    .quad THAW_KVM_RAM_GPA + 0x000000 + (PTE_P | PTE_W | PTE_PS)
    .quad THAW_KVM_RAM_GPA + 0x200000 + (PTE_P | PTE_W | PTE_PS)
    .quad THAW_KVM_RAM_GPA + 0x400000 + (PTE_P | PTE_W | PTE_PS)
    .quad THAW_KVM_RAM_GPA + 0x600000 + (PTE_P | PTE_W | PTE_PS)
    .fill 504, 8, 0
kvm_pdpt_direct:
    .set gib, 0
    .rept 64
    .if gib >= 16
    .quad (gib << 30) + (PTE_P | PTE_W | PTE_PS | PTE_NX)
    .else
    .quad 0
    .endif
    .set gib, gib + 1
    .endr
    .fill 448, 8, 0

    .section .bss.pages, "aw", @nobits
    .balign 4096
    .globl boot_stack_guard, boot_stack_end, fault_stack_guard, fault_stack_end
boot_stack_guard: /* the guards are unmapped by pgtable_init() */
    .fill 4096
    .fill 16384
boot_stack_end:
fault_stack_guard:
    .fill 4096
    .fill 8192
fault_stack_end:

    .section .note.GNU-stack, "", @progbits
