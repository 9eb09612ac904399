/* SPDX-License-Identifier: MIT */
	.section .rodata
	.globl	stash_code
stash_code:
	.incbin	"python/stash.py"
	.byte	0

	.section .note.GNU-stack, "", @progbits
