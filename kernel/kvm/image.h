/* SPDX-License-Identifier: MIT */
/* The header at the start of the kvm machine's kernel image. Read by the monitor, written by entry.S. */
#ifndef KVM_IMAGE_H
#define KVM_IMAGE_H

#ifndef __ASSEMBLER__
#include <stdint.h>

#endif
#define THAW_KVM_MAGIC 0x6b766d776168742e

#ifndef __ASSEMBLER__
/*
 * Addresses are the kernel's virtual ones; the image lies at THAW_KVM_RAM_GPA in one piece. The monitor starts it in
 * 64-bit mode with paging on (CR3 = pml4_gpa), flat segments, interrupts off, no stack.
 */
struct kvm_image {
    uint64_t magic;
    uint64_t start;      /* THAW_KERNEL_ADDR; all but the last three are page-aligned */
    uint64_t data_start; /* writable from here */
    uint64_t data_end;   /* zeroed memory from here: not in the file */
    uint64_t bss_end;
    uint64_t pml4_gpa;
    uint64_t entry;     /* of a cold boot */
    uint64_t restore;   /* of a restored one; rdi: thaw_boot.resume */
    uint64_t cpu_entry; /* of another processor than the first, when that starts it; rdi: its number */
};
#endif

#endif
