/* SPDX-License-Identifier: MIT */
/* The guest of the probe: its memory map and what it says. Included by C and assembler. */
#ifndef MONITOR_KVM_PROBE_GUEST_H
#define MONITOR_KVM_PROBE_GUEST_H

/* Guest-physical and virtual addresses are the same, a page each. */
#define GUEST_PML4 0x1000
#define GUEST_PDPT 0x2000
#define GUEST_PD 0x3000
#define GUEST_PT 0x4000
#define GUEST_IDT 0x5000
#define GUEST_GDT 0x6000
#define GUEST_TSS 0x6100
#define GUEST_CODE 0x7000 /* ring 0's */
#define GUEST_USER 0x8000 /* ring 3's */
#define GUEST_STACK_TOP 0xa000
#define GUEST_SPARE 0xb000 /* the page that the fault brings */
#define GUEST_LAZY 0xc000  /* where: nothing is mapped there */
#define GUEST_SIZE 0x10000

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_USER_DATA (0x18 | 3) /* in the order that SYSRET wants */
#define SEL_USER_CODE (0x20 | 3)
#define SEL_TSS 0x28

#define GUEST_LOOPS 5000
#define GUEST_ROUNDS 4 /* of the loop, each with a STEP_LOOPED */
#define GUEST_SYSCALLS 64
#define GUEST_WORD 0x7468617721 /* what ring 3 stores in the lazy page */

/* The guest says what it has done with `out %al, $GUEST_PORT`. */
#define GUEST_PORT 0x10
#define STEP_NONE 0
#define STEP_CREATED 1 /* the VM is set up */
#define STEP_RUNS 2    /* ring 0 runs */
#define STEP_LOOPED 3  /* the loop is done once more */
#define STEP_SYSCALLS 4
#define STEP_FAULTED 5 /* the page fault was served, ring 3 read back what it had stored */
#define STEP_BAD 6     /* something happened that should not have */

#endif
