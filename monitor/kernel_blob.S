/* SPDX-License-Identifier: MIT */
/* The guest's kernel inside the monitor: whole pages, so that they can be moved into the sandbox's window. */
    .section .thaw_kernel, "ax", @progbits
    .balign 4096
    .globl thaw_kernel_start
    .type thaw_kernel_start, @object
thaw_kernel_start:
    .incbin "kernel-process.bin"
    .balign 4096
    .size thaw_kernel_start, . - thaw_kernel_start

    .section .rodata, "a", @progbits
    .globl thaw_kernel_build_id
    .type thaw_kernel_build_id, @object
    .size thaw_kernel_build_id, 16
thaw_kernel_build_id:
#include "kernel_build_id.h"

    .section .note.GNU-stack, "", @progbits
