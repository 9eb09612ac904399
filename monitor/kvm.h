/* SPDX-License-Identifier: MIT */
/* Inside the kvm machine's back end: a child process that owns a virtual machine and runs it. */
#ifndef MONITOR_KVM_H
#define MONITOR_KVM_H

#include "machine.h"

#include <linux/kvm.h>
#include <sys/types.h>

/* Descriptors of the child beyond THAW_FD_SNAPSHOT. While the guest runs it holds only 0 to 3 and these two, see
 * tools/gen-monitor-filter.c. */
#define KVM_FD_DEVICE 6 /* /dev/kvm; closed before the guest runs, as are the image and the snapshot */
#define KVM_FD_VCPU 4
#define KVM_FD_SIGNALS 5

struct vm {
    struct thaw_boot *boot; /* written to by the guest at any time */
    struct thaw_kvm *page;  /* in it */
    const struct sandbox_config *config;
    int device, fd, vcpu;
    struct kvm_run *run;
    uint8_t *ram;
    uint64_t ram_size;
    uint32_t ioctls, exits, slots; /* for --stats */
    bool regular[3];               /* descriptors 0 to 2: files, which are always ready */
    bool pipe[3];
    bool notify; /* the guest is to be told of page->events */
};

/* Counts. Ends the child on an error other than EINTR and EAGAIN. */
int vm_ioctl(struct vm *vm, int fd, unsigned long request, void *arg, const char *what);
/* The guest cannot go on, or did what it must not. printf(3)'s format; it becomes the sandbox's end. */
void vm_fail(struct vm *vm, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void vm_exit(struct vm *vm) __attribute__((noreturn));

/* ---- kvm_cpu.c: a processor in 64-bit mode with everything the host's has that makes sense here ---- */
void cpu_create(struct vm *vm, uint64_t pml4, uint64_t entry, uint64_t arg);
/* True if the processor is between two instructions, with nothing pending that a snapshot would lose. */
bool cpu_is_quiet(struct vm *vm);

/* ---- kvm_run.c ---- */
void vm_run(struct vm *vm) __attribute__((noreturn));

/* ---- kvm_call.c ---- */
void call_prepare(struct vm *vm);
/* Serves what the guest has written to vm->page->call. */
void call_serve(struct vm *vm);
/* What came by signals goes to vm->page->events. True: something did. */
bool call_signals(struct vm *vm);

#endif
