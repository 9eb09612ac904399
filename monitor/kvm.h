/* SPDX-License-Identifier: MIT */
/* Inside the kvm machine's back end: a child process that owns a virtual machine and runs it. */
#ifndef MONITOR_KVM_H
#define MONITOR_KVM_H

#include "machine.h"

#include <linux/kvm.h>
#include <sys/types.h>

/* Descriptors of the child beyond THAW_FD_SNAPSHOT. While the guest runs it holds only 0 to 3, the one for signals and
 * one for each processor, see tools/gen-monitor-filter.c. */
#define KVM_FD_DEVICE 6 /* /dev/kvm; closed before the guest runs, as are the image and the snapshot */
#define KVM_FD_SIGNALS 4
#define KVM_FD_VCPU 5 /* the first; no descriptor beyond the last is open */

#define KVM_PID_PLACEHOLDER 0x7468706cu /* in the filter: where the process's number is put */

/* A processor of the guest's. Each has a thread: the first that of the process, the others wait until the guest starts
 * them. These share its thread area, errno included: see vm_syscall(). */
struct vcpu {
    struct vm *vm;
    uint32_t index;
    int fd, tid;
    struct kvm_run *run;
    char *stack_end;
    bool notify;  /* the guest is to be told of page->events, or of its place in page->kicks */
    bool started; /* by another thread */
};

struct vm {
    struct thaw_boot *boot; /* written to by the guest at any time */
    struct thaw_kvm *page;  /* in it */
    const struct sandbox_config *config;
    int device, fd, pid;
    uint32_t cpus;
    struct vcpu vcpu[THAW_KVM_CPUS_MAX];
    uint8_t *ram;
    uint64_t ram_size;
    uint32_t ioctls, exits, slots; /* for --stats; the threads add to them */
    bool regular[3];               /* descriptors 0 to 2: files, which are always ready */
    bool pipe[3];
    bool relaying; /* a call to the monitor is under way: one at a time */
    bool failed;
};

/* A system call's result or -errno; what several threads do while the guest runs goes this way, since they have but one
 * errno. */
#define vm_syscall(...) VM_SYSCALL_(__VA_ARGS__, 0, 0, 0, 0, 0)
#define VM_SYSCALL_(nr, a, b, c, d, e, ...) vm_syscall5(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
long vm_syscall5(long nr, long a, long b, long c, long d, long e);
/* Counts. The result, or -EINTR or -EAGAIN; ends the child on another error. */
int vm_ioctl(struct vm *vm, int fd, unsigned long request, void *arg, const char *what);
/* The guest cannot go on, or did what it must not. printf(3)'s format; it becomes the sandbox's end. Of several threads
 * the first to say so is heard. */
void vm_fail(struct vm *vm, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void vm_exit(struct vm *vm) __attribute__((noreturn));

/* ---- kvm_cpu.c: a processor in 64-bit mode with everything the host's has that makes sense here ---- */
void cpu_create(struct vm *vm, struct vcpu *v, uint64_t pml4, uint64_t entry, uint64_t arg);
/* True if the processor is between two instructions, with nothing pending that a snapshot would lose. */
bool cpu_is_quiet(struct vcpu *v);

/* ---- kvm_run.c ---- */
void vm_run(struct vm *vm) __attribute__((noreturn));

/* ---- kvm_call.c ---- */
void call_prepare(struct vm *vm);
/* Serves what the guest has written to the processor's place in vm->page->call. */
void call_serve(struct vcpu *v);
/* What came by signals goes to vm->page->events. True: something did, or another processor kicks this one. */
bool call_signals(struct vm *vm);
/* True: there is something in the page for the guest on this processor to look at. */
bool call_events(const struct vcpu *v);

#endif
