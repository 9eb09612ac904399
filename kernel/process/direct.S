/* SPDX-License-Identifier: MIT */
/* The way into the kernel and out again of a direct call: see direct.h. */
#include "direct.h"
#include "pt_regs.h"

#define TI_KICKED 8
#define KSTACK_SIZE 0x10000

/* SF ZF AF PF CF are in ah, OF in al. */
.macro save_flags
    lahf
    seto %al
.endm
.macro load_flags
    add $0x7f, %al
    sahf
.endm

    .text
/*
 * From a trampoline, rcx at it; rax, rcx and r11 are a system call's to change. In user mode's eyes this is
 * the `syscall`: up to the stack's change only kicks are noted (trap_async), nothing is done about them.
 */
    .globl direct_entry, direct_entry_checked
direct_entry:
    save_flags
    mov %eax, %r11d
    mov %gs:TI_GS, %rax
    jmp 1f
/* The same where a program can set GS base without our leave. */
direct_entry_checked:
    save_flags
    mov %eax, %r11d
    rdgsbase %rax
    cmp first_stack_address(%rip), %rax
    je 1f
    cmp stacks_start(%rip), %rax
    jb 2f
    cmp stacks_end(%rip), %rax
    jae 2f
    test $KSTACK_SIZE - 1, %eax
    jnz 2f
1:  mov %rsp, TI_USER_RSP(%rax)
    mov %r11d, TI_FLAGS(%rax)
    lea KSTACK_SIZE(%rax), %rsp
    pushq $0x2b
    pushq TI_USER_RSP(%rax)
    pushfq
    cld
    pushq $0x33
    pushq TRAMPOLINE_SITE(%rcx)
    mov TRAMPOLINE_NR(%rcx), %eax
    push %rax
    push %rdi
    SAVE_REGS
    mov %rsp, %rdi
    mov %rsp, %rbx
    sub $8, %rsp
    xor %ebp, %ebp
    call direct_syscall
    mov %rbx, %rsp
/* A kick within [direct_exit, direct_exit_jump) starts this again; rsp is at the registers. */
    .globl direct_exit, direct_exit_jump
direct_exit:
    mov %rsp, %rax
    and $-KSTACK_SIZE, %rax
    cmpl $0, TI_KICKED(%rax)
    jne 3f
    mov R_R15(%rsp), %r15
    mov R_R14(%rsp), %r14
    mov R_R13(%rsp), %r13
    mov R_R12(%rsp), %r12
    mov R_RBP(%rsp), %rbp
    mov R_RBX(%rsp), %rbx
    mov R_R10(%rsp), %r10
    mov R_R9(%rsp), %r9
    mov R_R8(%rsp), %r8
    mov R_RDX(%rsp), %rdx
    mov R_RSI(%rsp), %rsi
    mov R_RDI(%rsp), %rdi
    mov R_RIP(%rsp), %rcx
    mov TI_FLAGS(%rax), %eax
    load_flags
    mov R_R11(%rsp), %r11
    mov R_RAX(%rsp), %rax
    mov R_RSP(%rsp), %rsp
/* Here user mode's registers are complete: a kick is as one at rcx. */
direct_exit_jump:
    jmp *%rcx

/* Not a GS base of ours. */
2:  mov %r11d, %eax
    load_flags
    .globl direct_off
direct_off:
    lea TRAMPOLINE_PLAIN(%rcx), %r11
    jmp *%r11

3:  mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call direct_kicked
    mov %rbx, %rsp
    jmp direct_exit

    .balign 8
first_stack_address:
    .quad first_stack
stacks_start:
    .quad 0x700010000000
stacks_end:
    .quad 0x700050000000

    .section .note.GNU-stack, "", @progbits
