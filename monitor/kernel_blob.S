/* SPDX-License-Identifier: MIT */
/*
 * The guest's kernels inside the monitor: whole pages. That of the process machine has a section of its own, so that it
 * can be linked at its place or be moved there; that of the kvm machine is copied into the guest's memory.
 */
    .macro kernel name, file
    .balign 4096
    .globl thaw_kernel_\name\()_start
    .type thaw_kernel_\name\()_start, @object
thaw_kernel_\name\()_start:
    .incbin "\file"
    .balign 4096
    .size thaw_kernel_\name\()_start, . - thaw_kernel_\name\()_start
    .endm

    .section .thaw_kernel, "ax", @progbits
    kernel process, kernel-process.bin

    .section .rodata.kernel_kvm, "a", @progbits
    kernel kvm, kernel-kvm.bin

    .section .rodata, "a", @progbits
    /* What the monitor looks at: the kernel's own page, far from all others, then stays untouched. */
    .balign 8
    .globl thaw_kernel_process_header
    .type thaw_kernel_process_header, @object
thaw_kernel_process_header:
    .incbin "kernel-process.bin", 0, 48
    .size thaw_kernel_process_header, . - thaw_kernel_process_header

    .globl thaw_kernel_process_build_id, thaw_kernel_kvm_build_id
    .type thaw_kernel_process_build_id, @object
    .type thaw_kernel_kvm_build_id, @object
    .size thaw_kernel_process_build_id, 16
    .size thaw_kernel_kvm_build_id, 16
thaw_kernel_process_build_id:
#include "kernel_process_build_id.h"
thaw_kernel_kvm_build_id:
#include "kernel_kvm_build_id.h"

    .section .note.GNU-stack, "", @progbits
