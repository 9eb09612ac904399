/* SPDX-License-Identifier: MIT */
/* What is known about this host's KVM: measured by kvm_probe.c, remembered until the next boot. */
#ifndef MONITOR_KVM_VERDICT_H
#define MONITOR_KVM_VERDICT_H

#include "sandbox.h"

struct thaw_store;

enum kvm_finding {
    KVM_USABLE = 1,
    KVM_ABSENT,   /* no /dev/kvm, or nothing behind it */
    KVM_DENIED,   /* this user may not open it */
    KVM_UNFIT,    /* it lacks something, or refuses to set up a VM */
    KVM_SLOW,     /* ring 0 is interpreted */
    KVM_WRONG,    /* the guest did not do what the CPU's manual says */
    KVM_LATE,     /* it did not get there within the deadline */
    KVM_UNDECIDED /* the host was too busy to tell */
};

struct kvm_verdict {
    uint32_t finding; /* enum kvm_finding */
    int32_t error;    /* errno, where a call failed, else 0 */
    uint32_t step;    /* the last STEP_* of kvm_probe_guest.h that was reached */
    uint32_t deadline_ms;
    uint32_t native_us;  /* a loop in the host's user mode */
    uint32_t loop_us;    /* the same in the guest's ring 0 */
    uint32_t syscall_ns; /* SYSCALL from ring 3 to ring 0, and back */
    uint32_t fault_ns;   /* a page fault of ring 3, served in ring 0 */
    uint32_t total_us;   /* what the probe took */
    uint32_t remembered; /* it comes from the cache */
};

/*
 * Runs a small guest in a child process: code in ring 0 at speed, system calls and a page fault of ring 3. 50 ms is
 * what it may take; THAW_KVM_PROBE_MS in the environment replaces that, for emulated hosts. Never fails: what went
 * wrong is the verdict.
 */
struct kvm_verdict kvm_probe(void);

/* Opens /dev/kvm; -1: v says why not. */
int kvm_device_open(volatile struct kvm_verdict *v);

/*
 * The verdict for this boot, from the user's cache or by a probe, which is then remembered. Whether /dev/kvm can be
 * opened is looked at each time. fresh: probe in any case.
 */
struct kvm_verdict kvm_verdict_get(const struct thaw_store *store, bool fresh);

#define KVM_VERDICT_TEXT 256
/* One clause, why KVM is usable or is not, and another, what to do about it ("" where nothing can be done). */
void kvm_verdict_explain(const struct kvm_verdict *v, char why[KVM_VERDICT_TEXT], char advice[KVM_VERDICT_TEXT]);

#endif
