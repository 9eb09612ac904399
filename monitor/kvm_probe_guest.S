/* SPDX-License-Identifier: MIT */
/* The guest of the probe. Both parts are copied to where kvm_probe_guest.h says; neither has a relocation. */
#include "kvm_probe_guest.h"

	.section .rodata, "a"
	.globl kvm_probe_code, kvm_probe_code_end, kvm_probe_user, kvm_probe_user_end
	.globl kvm_probe_fault, kvm_probe_syscall, kvm_probe_bad

	.macro say step
	mov $\step, %al
	out %al, $GUEST_PORT
	.endm

kvm_probe_code:
	say STEP_RUNS
	mov $GUEST_ROUNDS, %ebx
1:	mov $GUEST_LOOPS, %ecx
2:	dec %ecx
	jnz 2b
	say STEP_LOOPED
	dec %ebx
	jnz 1b
	/* To ring 3. */
	xor %ebx, %ebx
	mov $GUEST_USER, %ecx
	mov $0x2, %r11d
	sysretq

kvm_probe_syscall:
	cmp $2, %edi
	je 2f
	inc %ebx
	cmp $GUEST_SYSCALLS, %ebx
	jne 1f
	say STEP_SYSCALLS
1:	sysretq
2:	say STEP_FAULTED
	hlt

kvm_probe_fault:
	/* A write of ring 3 to a page that is not there, at that address, once. */
	cmpl $6, (%rsp)
	jne kvm_probe_bad
	mov %cr2, %rax
	cmp $GUEST_LAZY, %rax
	jne kvm_probe_bad
	test %ebp, %ebp
	jnz kvm_probe_bad
	inc %ebp
	movq $(GUEST_SPARE | 7), GUEST_PT + GUEST_LAZY / 4096 * 8
	invlpg GUEST_LAZY
	add $8, %rsp
	iretq

kvm_probe_bad:
	say STEP_BAD
	hlt
	jmp kvm_probe_bad
kvm_probe_code_end:

kvm_probe_user:
	xor %ebp, %ebp
	xor %edi, %edi
	mov $GUEST_SYSCALLS, %r12d
1:	syscall
	dec %r12d
	jnz 1b
	mov $GUEST_WORD, %r13
	mov %r13, GUEST_LAZY
	mov GUEST_LAZY, %r14
	cmp %r13, %r14
	jne 2f
	mov $2, %edi
2:	syscall
	jmp 2b
kvm_probe_user_end:

	.section .note.GNU-stack, "", @progbits
