/* SPDX-License-Identifier: MIT */
/* The header at the start of the process machine's kernel image. Read by the monitor, written by entry.S. */
#ifndef PROCESS_IMAGE_H
#define PROCESS_IMAGE_H

#ifndef __ASSEMBLER__
#include <stdint.h>

#endif
#define THAW_KERNEL_MAGIC 0x6b70776168742e02

#ifndef __ASSEMBLER__
/* Addresses are those of the running kernel; all but entry are page-aligned. */
struct kernel_image {
    uint64_t magic;
    uint64_t start;      /* THAW_KERNEL_ADDR: the file from here, readable and executable */
    uint64_t end;        /* of the file */
    uint64_t data_start; /* writable memory from here, the kernel's to map and fill: not in the file */
    uint64_t bss_end;
    uint64_t entry; /* void entry(struct thaw_boot *), on any stack */
};
#endif

/* Below the boot information: the stack on which the kernel starts, then room for the monitor's tables. */
#define BOOT_PARK_OFFSET 0xf00 /* u32 go, u32 parked, u64 initiator: see share.c */
#define BOOT_STACK_OFFSET 0x1000
#define BOOT_STACK_END 0x4000
#define BOOT_TABLES_OFFSET 0x4000

#endif
