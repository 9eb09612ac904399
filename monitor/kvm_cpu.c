/* SPDX-License-Identifier: MIT */
/*
 * The guest's processor. It starts in 64-bit mode: no firmware, no real mode. What it can do is in kvm_cpuid.c.
 */
#define _GNU_SOURCE
#include "kvm.h"
#include "kvm_cpuid.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_PG (1u << 31)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NX (1u << 11)

/* CPUID */
#define LEAF1_EBX_APIC_ID 24
#define LEAF1_ECX_XSAVE (1u << 26)
#define LEAF7_EBX_FSGSBASE (1u << 0)
#define LEAF7_EBX_SMEP (1u << 7)
#define LEAF7_EBX_SMAP (1u << 20)
#define LEAF7_ECX_UMIP (1u << 2)
#define LEAFE7_EDX_INVARIANT_TSC (1u << 8)

#define THREAD_STACK (64u << 10)

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

struct features {
    uint64_t xcr0, cr4;
    bool invariant_tsc;
};

static void cpuid_set(struct vcpu *v, const struct cpuid *c, struct features *f)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[CPUID_MAX];
    } t = {.head.nent = c->count};

    *f = (struct features){.cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT};
    for (uint32_t i = 0; i < c->count; i++) {
        const struct cpuid_entry *e = &c->entry[i];
        t.entry[i] = (struct kvm_cpuid_entry2){.function = e->function,
                                               .index = e->index,
                                               .flags = e->flags,
                                               .eax = e->eax,
                                               .ebx = e->ebx,
                                               .ecx = e->ecx,
                                               .edx = e->edx};
        if (e->function == 1)
            t.entry[i].ebx |= v->index << LEAF1_EBX_APIC_ID;
    }
    const struct cpuid_entry *leaf1 = cpuid_find(c, 1, 0), *leaf7 = cpuid_find(c, 7, 0), *xsave = cpuid_find(c, 0xd, 0);
    const struct cpuid_entry *power = cpuid_find(c, 0x80000007, 0);
    if (leaf1 && leaf1->ecx & LEAF1_ECX_XSAVE && xsave) {
        f->cr4 |= CR4_OSXSAVE;
        f->xcr0 = (uint64_t)xsave->edx << 32 | xsave->eax;
    }
    if (leaf7)
        f->cr4 |= (leaf7->ebx & LEAF7_EBX_FSGSBASE ? CR4_FSGSBASE : 0) | (leaf7->ebx & LEAF7_EBX_SMEP ? CR4_SMEP : 0) |
                  (leaf7->ebx & LEAF7_EBX_SMAP ? CR4_SMAP : 0) | (leaf7->ecx & LEAF7_ECX_UMIP ? CR4_UMIP : 0);
    f->invariant_tsc = power && power->edx & LEAFE7_EDX_INVARIANT_TSC;
    vm_ioctl(v->vm, v->fd, KVM_SET_CPUID2, &t, "setting the processor's features");
}

static struct kvm_segment segment(uint16_t selector, bool code)
{
    return (struct kvm_segment){.limit = 0xffffffff,
                                .selector = selector,
                                .type = code ? 11 : 3, /* accessed; execute and read, or read and write */
                                .present = 1,
                                .s = 1,
                                .l = code,
                                .db = !code,
                                .g = 1};
}

/* Within a VM the processor seldom promises a constant rate, but a host that reads its own clocks by the counter has looked. */
static bool clocksource_is_tsc(void)
{
    char name[8] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, name, sizeof name - 1) == 4 && memcmp(name, "tsc\n", 4) == 0;

    if (fd >= 0)
        close(fd);
    return is;
}

void cpu_create(struct vm *vm, struct vcpu *v, uint64_t pml4, uint64_t entry, uint64_t arg)
{
    struct kvm_regs regs = {.rip = entry, .rdi = arg, .rflags = 2};
    struct kvm_sregs sregs;
    struct features f;
    struct {
        struct kvm_signal_mask head;
        uint8_t set[8];
    } mask = {.head.len = 8}; /* empty: whatever comes interrupts KVM_RUN */

    v->fd = vm_ioctl(vm, vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)v->index, "making a processor");
    int size = vm_ioctl(vm, vm->device, KVM_GET_VCPU_MMAP_SIZE, NULL, "asking for the size of its state");
    v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED || (size_t)size < sizeof *v->run)
        child_fail(vm->boot, "mapping the processor's state", errno);
    cpuid_set(v, vm->config->cpuid, &f);

    vm_ioctl(vm, v->fd, KVM_GET_SREGS, &sregs, "reading the processor's state");
    sregs.cs = segment(SELECTOR_CODE, true);
    sregs.ds = sregs.es = sregs.ss = segment(SELECTOR_DATA, false);
    sregs.fs = sregs.gs = segment(0, false);
    sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    sregs.cr3 = pml4;
    sregs.cr4 = f.cr4;
    sregs.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
    vm_ioctl(vm, v->fd, KVM_SET_SREGS, &sregs, "setting the processor's state");
    if (f.xcr0) {
        /* From here, not by XSETBV in the guest: a KVM within an emulated SVM may miss that. */
        struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = f.xcr0}}};
        vm_ioctl(vm, v->fd, KVM_SET_XCRS, &xcrs, "enabling vector registers");
    }
    if (v->index) {
        char *stack = mmap(NULL, THREAD_STACK + THAW_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack + THAW_PAGE_SIZE, THREAD_STACK, PROT_READ | PROT_WRITE))
            child_fail(vm->boot, "allocating a thread's stack", errno);
        v->stack_end = stack + THAW_PAGE_SIZE + THREAD_STACK;
    }
    vm_ioctl(vm, v->fd, KVM_SET_REGS, &regs, "setting the processor's registers");
    vm_ioctl(vm, v->fd, KVM_SET_SIGNAL_MASK, &mask, "setting the mask of signals");
    if (!v->index && (f.invariant_tsc || clocksource_is_tsc())) {
        int khz = vm_ioctl(vm, v->fd, KVM_GET_TSC_KHZ, NULL, "asking for the rate of the time stamp counter");
        vm->page->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
    }
}

bool cpu_is_quiet(struct vcpu *v)
{
    struct kvm_vcpu_events e;
    struct kvm_debugregs d;

    vm_ioctl(v->vm, v->fd, KVM_GET_VCPU_EVENTS, &e, "reading pending events");
    vm_ioctl(v->vm, v->fd, KVM_GET_DEBUGREGS, &d, "reading the debug registers");
    return !e.exception.injected && !e.exception.pending && !e.interrupt.injected && !e.nmi.injected &&
           !e.nmi.pending && !e.smi.smm && !(d.dr7 & 0xff);
}
