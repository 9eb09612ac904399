/* SPDX-License-Identifier: MIT */
/* Runs the guest's processors, and looks at why they stopped. */
#define _GNU_SOURCE
#include "kvm.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor_filter.h" /* generated */

static void confine(struct vm *vm)
{
#if !defined(__SANITIZE_ADDRESS__)
    struct sock_filter filter[sizeof filter_kvm / sizeof *filter_kvm];
    struct sock_fprog prog = {sizeof filter_kvm / sizeof *filter_kvm, filter};

    memcpy(filter, filter_kvm, sizeof filter);
    for (unsigned i = 0; i < prog.len; i++)
        if (filter[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && filter[i].k == KVM_PID_PLACEHOLDER)
            filter[i].k = (uint32_t)vm->pid;
    /* All threads or none. */
    long r = vm_syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, vm->cpus > 1 ? SECCOMP_FILTER_FLAG_TSYNC : 0, &prog);
    if (r)
        child_fail(vm->boot, "installing the seccomp filter of the kvm machine", r < 0 ? (int)-r : ESRCH);
#else
    (void)vm;
    (void)filter_kvm;
#endif
}

/* A guest that is in user mode, or comes there, is to see what is in the page. */
static void notify(struct vcpu *v)
{
    v->run->request_interrupt_window = 0;
    if (!v->notify)
        return;
    if (!call_events(v)) { /* taken meanwhile */
        v->notify = false;
    } else if (v->run->ready_for_interrupt_injection && v->run->if_flag) {
        struct kvm_interrupt irq = {.irq = THAW_KVM_VECTOR};
        vm_ioctl(v->vm, v->fd, KVM_INTERRUPT, &irq, "interrupting the guest");
        v->notify = false;
    } else {
        v->run->request_interrupt_window = 1;
    }
}

static void served_io(struct vcpu *v)
{
    const struct kvm_run *run = v->run;

    if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != THAW_KVM_PORT || run->io.count != 1)
        vm_fail(v->vm, "it used I/O port %#x, where nothing is", run->io.port);
    call_serve(v);
}

static void vcpu_run(struct vcpu *v) __attribute__((noreturn));
static void vcpu_run(struct vcpu *v)
{
    struct kvm_run *run = v->run;
    struct vm *vm = v->vm;

    for (;;) {
        notify(v);
        __atomic_fetch_add(&vm->exits, 1, __ATOMIC_RELAXED);
        if (vm_ioctl(vm, v->fd, KVM_RUN, NULL, "running the guest") < 0) {
            v->notify |= call_signals(vm);
            continue;
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO: served_io(v); break;
        case KVM_EXIT_IRQ_WINDOW_OPEN:
        case KVM_EXIT_INTR: break;
        case KVM_EXIT_SHUTDOWN: vm_fail(vm, "triple fault");
        case KVM_EXIT_MMIO:
            vm_fail(vm, "it %s physical address %#llx, where nothing is", run->mmio.is_write ? "wrote to" : "read from",
                    (unsigned long long)run->mmio.phys_addr);
        case KVM_EXIT_HLT: vm_fail(vm, "it halted its processor");
        case KVM_EXIT_FAIL_ENTRY:
            vm_fail(vm, "KVM cannot enter the guest (%#llx)",
                    (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        case KVM_EXIT_INTERNAL_ERROR:
            vm_fail(vm, "KVM cannot emulate what it did (internal error %u)", run->internal.suberror);
        default: vm_fail(vm, "it left its virtual machine for reason %u", run->exit_reason);
        }
    }
}

static int vcpu_thread(void *arg) __attribute__((noreturn));
static int vcpu_thread(void *arg)
{
    struct vcpu *v = arg;
    uint64_t mask = ~(1ull << (THAW_SIG_KICK - 1));

    while (!__atomic_load_n(&v->started, __ATOMIC_SEQ_CST))
        vm_syscall(SYS_ppoll, NULL, 0, NULL, &mask, sizeof mask);
    vcpu_run(v);
}

/* The C library need not know of them: they share the first one's thread area. */
static void threads_create(struct vm *vm)
{
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

    vm->vcpu[0].tid = vm->pid;
    for (uint32_t i = 1; i < vm->cpus; i++) {
        struct vcpu *v = &vm->vcpu[i];
        v->tid = clone(vcpu_thread, v->stack_end, flags, v);
        if (v->tid < 0)
            child_fail(vm->boot, "starting a thread for a processor", errno);
    }
}

void vm_run(struct vm *vm)
{
    struct timespec ts;

    vm->boot->exit.kind = THAW_EXIT_NONE;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    vm->boot->stats.t_entry_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    threads_create(vm);
    confine(vm);
    vcpu_run(&vm->vcpu[0]);
}
