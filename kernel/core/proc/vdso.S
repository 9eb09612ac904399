/* SPDX-License-Identifier: MIT */
/* The vDSO's ELF image (kernel/vdso), which execve copies into each program. */
    .section .rodata.vdso, "a"
    .balign 16
    .globl vdso_start, vdso_end
vdso_start:
    .incbin "vdso.so"
vdso_end:
    .section .note.GNU-stack, "", @progbits
