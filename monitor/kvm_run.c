/* SPDX-License-Identifier: MIT */
/* Runs the guest's processor, and looks at why it stopped. */
#define _GNU_SOURCE
#include "kvm.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor_filter.h" /* generated */

static void confine(struct vm *vm)
{
#if !defined(__SANITIZE_ADDRESS__)
    struct sock_fprog prog = {sizeof filter_kvm / sizeof *filter_kvm, (struct sock_filter *)filter_kvm};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
        child_fail(vm->boot, "installing the seccomp filter of the kvm machine", errno);
#else
    (void)vm;
    (void)filter_kvm;
#endif
}

/* A guest that is in user mode, or comes there, is to see page->events. */
static void notify(struct vm *vm)
{
    vm->run->request_interrupt_window = 0;
    if (!vm->notify)
        return;
    if (!__atomic_load_n(&vm->page->events, __ATOMIC_SEQ_CST)) { /* taken meanwhile */
        vm->notify = false;
    } else if (vm->run->ready_for_interrupt_injection && vm->run->if_flag) {
        struct kvm_interrupt irq = {.irq = THAW_KVM_VECTOR};
        vm_ioctl(vm, vm->vcpu, KVM_INTERRUPT, &irq, "interrupting the guest");
        vm->notify = false;
    } else {
        vm->run->request_interrupt_window = 1;
    }
}

static void served_io(struct vm *vm)
{
    const struct kvm_run *run = vm->run;

    if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != THAW_KVM_PORT || run->io.count != 1)
        vm_fail(vm, "it used I/O port %#x, where nothing is", run->io.port);
    call_serve(vm);
}

void vm_run(struct vm *vm)
{
    struct kvm_run *run = vm->run;
    struct timespec ts;

    vm->boot->exit.kind = THAW_EXIT_NONE;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    vm->boot->stats.t_entry_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    confine(vm);
    for (;;) {
        notify(vm);
        vm->exits++;
        if (vm_ioctl(vm, vm->vcpu, KVM_RUN, NULL, "running the guest") < 0) {
            vm->notify |= call_signals(vm);
            continue;
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO: served_io(vm); break;
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
