/* SPDX-License-Identifier: MIT */
/* The way into the kernel and out again of a direct call: see direct.h. */
#include "direct.h"

#define TI_KICKED 8
#define KSTACK_SIZE 0x10000

/* struct pt_regs */
#define R15 0
#define R14 8
#define R13 16
#define R12 24
#define RBP 32
#define RBX 40
#define R11 48
#define R10 56
#define R9 64
#define R8 72
#define RAX 80
#define RCX 88
#define RDX 96
#define RSI 104
#define RDI 112
#define RIP 128
#define RSP 152

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
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
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
    mov R15(%rsp), %r15
    mov R14(%rsp), %r14
    mov R13(%rsp), %r13
    mov R12(%rsp), %r12
    mov RBP(%rsp), %rbp
    mov RBX(%rsp), %rbx
    mov R10(%rsp), %r10
    mov R9(%rsp), %r9
    mov R8(%rsp), %r8
    mov RDX(%rsp), %rdx
    mov RSI(%rsp), %rsi
    mov RDI(%rsp), %rdi
    mov RIP(%rsp), %rcx
    mov TI_FLAGS(%rax), %eax
    load_flags
    mov R11(%rsp), %r11
    mov RAX(%rsp), %rax
    mov RSP(%rsp), %rsp
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
