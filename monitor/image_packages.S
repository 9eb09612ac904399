/* SPDX-License-Identifier: MIT */
	.section .rodata
	.globl	image_packages_script
image_packages_script:
	.incbin	"monitor/image_packages.sh"
	.byte	0

	.section .note.GNU-stack, "", @progbits
