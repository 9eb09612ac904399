/* SPDX-License-Identifier: MIT */
#include "direct.h"
#include "image.h"

#define HOST_rt_sigreturn 15
#define HOST_rt_sigprocmask 14
#define HOST_clone 56
#define HOST_exit 60
#define HOST_arch_prctl 158
#define HOST_ARCH_SET_GS 0x1001
#define HOST_futex 202
#define TI_KICKED 8
#define UC_RIP 168 /* in struct host_ucontext */
#define KSTACK_SIZE 0x10000
#define THAW_USER_END_ADDR 0x700000000000
#define THAW_BOOT_PARK (0x700000000000 + BOOT_PARK_OFFSET)

    .section .text.header, "ax"
    .quad THAW_KERNEL_MAGIC
    .quad kernel_start
    .quad kernel_end
    .quad kernel_data_start
    .quad kernel_bss_end
    .quad kernel_entry

    .text
/* void kernel_entry(struct thaw_boot *boot): from the monitor's child. */
    .globl kernel_entry
kernel_entry:
    lea BOOT_STACK_END(%rdi), %rsp
    xor %ebp, %ebp
    call process_entry
    ud2

/*
 * s64 host_syscall_intr(nr, a0, a1, a2, a3, a4, a5, kicked). A kick sets *kicked; if it comes between the test and
 * the system call, its handler moves the instruction pointer from [start, end) to host_intr_eintr.
 */
    .globl host_syscall_intr, host_intr_start, host_intr_end, host_intr_eintr
host_syscall_intr:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    mov 16(%rsp), %r11
host_intr_start:
    cmpl $0, (%r11)
    jne host_intr_eintr
    syscall
host_intr_end:
    ret
host_intr_eintr:
    mov $-4, %rax
    ret

/*
 * Where the host's signal handlers return to: back into what was interrupted, but not past a kick that
 * came meanwhile. A kick within [signal_restorer, signal_restorer_end) starts it again. rsp is at the ucontext.
 */
    .globl signal_restorer, signal_restorer_end
signal_restorer:
    mov $THAW_USER_END_ADDR, %rax
    cmp %rax, UC_RIP(%rsp) /* the kernel itself was interrupted: it will see the kick */
    jae 2f
    mov %rsp, %rax
    and $-KSTACK_SIZE, %rax
    cmpl $0, TI_KICKED(%rax)
    jne 1f
2:  mov $HOST_rt_sigreturn, %eax
    syscall
signal_restorer_end:
    ud2
1:  mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call trap_kicked
    mov %rbx, %rsp
    jmp signal_restorer

    .globl enter_user
enter_user:
    mov %rdi, %rsp
    jmp signal_restorer

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

/* s64 host_clone(flags, stack, parent_tid, child_tid, tls): the child starts at the frame that stack points to. */
    .globl host_clone
host_clone:
    mov %rcx, %r10
    mov $HOST_clone, %eax
    syscall
    test %rax, %rax
    jz 1f
    ret
1:  mov %rsp, %rax /* GS base is still the maker's */
    and $-KSTACK_SIZE, %rax
    mov TI_GS(%rax), %rsi
    mov $HOST_ARCH_SET_GS, %edi
    mov $HOST_arch_prctl, %eax
    syscall
    jmp signal_restorer

/* The first code of a process: the frame that it goes to user mode from is on top of its stack. */
    .globl process_begin
process_begin:
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call thread_begin
    mov %rbx, %rsp
    jmp signal_restorer

/* s64 host_clone_move(flags, parent_tid): 0 in the new process, on the same stack; the old thread touches it no more. */
    .globl host_clone_move
host_clone_move:
    mov %rsi, %rdx
    xor %esi, %esi
    xor %r10d, %r10d
    xor %r8d, %r8d
    mov $HOST_clone, %eax
    syscall
    test %rax, %rax
    jg 1f
    ret
1:  xor %edi, %edi
    mov $HOST_exit, %eax
    syscall
    ud2

/* void host_thread_exit(u32 *slot_word): from the store on the stack is another's. */
    .globl host_thread_exit
host_thread_exit:
    mov %rdi, %rbx
    mov $2, %edi /* SIG_SETMASK */
    lea all_signals(%rip), %rsi
    xor %edx, %edx
    mov $8, %r10d
    mov $HOST_rt_sigprocmask, %eax
    syscall
    movl $0, (%rbx)
    xor %edi, %edi
    mov $HOST_exit, %eax
    syscall
    ud2

/*
 * The handler of HOST_SIG_PARK, which blocks all other signals. Stacks and data are about to move: from the count on
 * nothing is written to them. The thread that asked for it does the moving, on a stack outside (share.c).
 */
    .globl park_handler
park_handler:
    mov $THAW_BOOT_PARK, %rax
    mov %rsp, %rcx
    and $-KSTACK_SIZE, %rcx
    cmp %rcx, 8(%rax)
    je share_move
    mov %rax, %rdi
    lock incl 4(%rax)
1:  cmpl $0, (%rdi)
    jne 2f
    xor %esi, %esi /* FUTEX_WAIT */
    xor %edx, %edx
    xor %r10d, %r10d
    mov $HOST_futex, %eax
    syscall
    jmp 1b
2:  ret

/* void share_run_on(stack_top, fn) */
    .globl share_run_on
share_run_on:
    push %rbx
    mov %rsp, %rbx
    mov %rdi, %rsp
    call *%rsi
    mov %rbx, %rsp
    pop %rbx
    ret

    .section .rodata
all_signals:
    .quad -1

    .section .note.GNU-stack, "", @progbits
