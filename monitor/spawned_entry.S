/* SPDX-License-Identifier: MIT */
#define SYS_clone 56

    .text
/* long spawn_clone(flags, stack_top, pidfd, fn, arg): the child calls fn(arg) on that stack. */
    .globl spawn_clone
spawn_clone:
    sub $16, %rsi
    mov %rcx, 0(%rsi)
    mov %r8, 8(%rsi)
    xor %r10d, %r10d
    xor %r8d, %r8d
    mov $SYS_clone, %eax
    syscall
    test %rax, %rax
    jz 1f
    ret
1:  xor %ebp, %ebp
    pop %rax
    pop %rdi
    call *%rax
    ud2

/* The command's first instruction: a spawned sandbox process goes its own way, without a libc. */
    .globl spawn_start
spawn_start:
    cmpq $1, (%rsp)
    jne _start
    mov 8(%rsp), %rax
    mov spawn_name(%rip), %rcx
    cmp %rcx, (%rax)
    jne _start
    mov %rsp, %rdi
    xor %ebp, %ebp
    and $-16, %rsp
    call spawn_main
    ud2

    .section .rodata
    .globl spawn_name
spawn_name:
    .asciz "thaw: sandbox"

    .section .note.GNU-stack, "", @progbits
