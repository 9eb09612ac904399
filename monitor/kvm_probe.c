/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "kvm_probe_guest.h"
#include "kvm_verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern const uint8_t kvm_probe_code[], kvm_probe_code_end[], kvm_probe_user[], kvm_probe_user_end[];
extern const uint8_t kvm_probe_fault[], kvm_probe_syscall[], kvm_probe_bad[];

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* Of this thread alone, its guest's time included: a busy host does not make it longer. */
static uint64_t cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

/* ---- the guest ---- */

/* The labels of one assembler file are no objects of C's. */
static size_t span(const uint8_t *from, const uint8_t *to) { return (uintptr_t)to - (uintptr_t)from; }

struct vm {
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
    volatile struct kvm_verdict *v; /* in memory shared with the parent, which may look at any time */
};

static int unfit(struct vm *v)
{
    v->v->finding = KVM_UNFIT;
    v->v->error = errno;
    return -1;
}

static void gate_set(struct vm *v, unsigned vector, const uint8_t *handler)
{
    uint64_t at = GUEST_CODE + span(kvm_probe_code, handler);
    uint64_t *gate = (uint64_t *)(void *)(v->memory + GUEST_IDT + vector * 16);

    gate[0] = (at & 0xffff) | SEL_CODE << 16 | 0x8e00ull << 32 | (at >> 16 & 0xffff) << 48;
    gate[1] = at >> 32;
}

static void memory_fill(struct vm *v)
{
    static const uint64_t gdt[] = {0,
                                   0x00af9b000000ffff,
                                   0x00cf93000000ffff,
                                   0x00cff3000000ffff,
                                   0x00affb000000ffff,
                                   0x67ull | 0x8bull << 40 | (uint64_t)GUEST_TSS << 16};
    uint64_t *pt = (uint64_t *)(void *)(v->memory + GUEST_PT), stack = GUEST_STACK_TOP;

    *(uint64_t *)(void *)(v->memory + GUEST_PML4) = GUEST_PDPT | 7;
    *(uint64_t *)(void *)(v->memory + GUEST_PDPT) = GUEST_PD | 7;
    *(uint64_t *)(void *)(v->memory + GUEST_PD) = GUEST_PT | 7;
    for (uint64_t page = 1; page < GUEST_SIZE / 4096; page++)
        pt[page] = page << 12 | 3;
    pt[GUEST_USER / 4096] |= 4;
    pt[GUEST_LAZY / 4096] = 0;
    memcpy(v->memory + GUEST_GDT, gdt, sizeof gdt);
    memcpy(v->memory + GUEST_TSS + 4, &stack, sizeof stack);
    memcpy(v->memory + GUEST_CODE, kvm_probe_code, span(kvm_probe_code, kvm_probe_code_end));
    memcpy(v->memory + GUEST_USER, kvm_probe_user, span(kvm_probe_user, kvm_probe_user_end));
    for (unsigned i = 0; i < 32; i++)
        gate_set(v, i, i == 14 ? kvm_probe_fault : kvm_probe_bad);
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
    struct kvm_segment s = {.limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .s = 1, .g = 1};

    s.l = code;
    s.db = !code;
    return s;
}

static int registers_set(struct vm *v)
{
    struct kvm_regs regs = {.rip = GUEST_CODE, .rsp = GUEST_STACK_TOP, .rflags = 2};
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry[3];
    } msrs = {.head.nmsrs = 3,
              .entry = {{.index = 0xc0000081, .data = (uint64_t)(SEL_DATA | 3) << 48 | (uint64_t)SEL_CODE << 32},
                        {.index = 0xc0000082, .data = GUEST_CODE + span(kvm_probe_code, kvm_probe_syscall)},
                        {.index = 0xc0000084, .data = 0x47700}}};
    struct kvm_sregs s;

    if (ioctl(v->vcpu, KVM_GET_SREGS, &s) < 0)
        return unfit(v);
    s.cs = segment(SEL_CODE, 11, true);
    s.ds = s.es = s.fs = s.gs = s.ss = segment(SEL_DATA, 3, false);
    s.tr = (struct kvm_segment){.base = GUEST_TSS, .limit = 0x67, .selector = SEL_TSS, .type = 11, .present = 1};
    s.gdt = (struct kvm_dtable){.base = GUEST_GDT, .limit = 0x37};
    s.idt = (struct kvm_dtable){.base = GUEST_IDT, .limit = 32 * 16 - 1};
    s.cr0 = 0x80010033;
    s.cr3 = GUEST_PML4;
    s.cr4 = 0x620;
    s.efer = 0x501;
    if (ioctl(v->vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(v->vcpu, KVM_SET_REGS, &regs) < 0)
        return unfit(v);
    if (ioctl(v->vcpu, KVM_SET_MSRS, &msrs) != 3)
        return unfit(v);
    return 0;
}

static int vm_create(struct vm *v)
{
    struct kvm_userspace_memory_region region = {.memory_size = GUEST_SIZE};
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[256];
    } cpuid = {.head.nent = 256};
    int size;

    if (ioctl(v->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return unfit(v);
    v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
    if (v->vm < 0)
        return unfit(v);
    /* Intel's needs a place for a task state segment of its own; elsewhere there is no such call. */
    ioctl(v->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
    v->memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->memory == MAP_FAILED)
        return unfit(v);
    memory_fill(v);
    region.userspace_addr = (uint64_t)(uintptr_t)v->memory;
    if (ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return unfit(v);
    v->vcpu = ioctl(v->vm, KVM_CREATE_VCPU, 0);
    size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (v->vcpu < 0 || size < (int)sizeof *v->run)
        return unfit(v);
    v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
    if (v->run == MAP_FAILED)
        return unfit(v);
    if (ioctl(v->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0 || ioctl(v->vcpu, KVM_SET_CPUID2, &cpuid) < 0)
        return unfit(v);
    return registers_set(v);
}

/* Runs the guest until it says something. The step, or STEP_BAD. */
static unsigned vm_step(struct vm *v)
{
    while (ioctl(v->vcpu, KVM_RUN, 0) < 0)
        if (errno != EINTR && errno != EAGAIN) {
            v->v->error = errno;
            return STEP_BAD;
        }
    if (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != GUEST_PORT ||
        v->run->io.direction != KVM_EXIT_IO_OUT || v->run->io.size != 1)
        return STEP_BAD;
    return ((uint8_t *)v->run)[v->run->io.data_offset];
}

static uint64_t native_loop(void)
{
    uint64_t begin = cpu_ns();
    unsigned n = GUEST_LOOPS;

    __asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n));
    return cpu_ns() - begin;
}

int kvm_device_open(volatile struct kvm_verdict *v)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    v->error = errno;
    v->finding = errno == ENOENT || errno == ENODEV || errno == ENXIO ? KVM_ABSENT
                 : errno == EACCES || errno == EPERM                  ? KVM_DENIED
                                                                      : KVM_UNFIT;
    return -1;
}

/* The next step, which is to be want; what it took, of this thread's time. */
static bool vm_expect(struct vm *vm, unsigned want, uint64_t *took)
{
    uint64_t begin = cpu_ns();

    if (vm_step(vm) != want) {
        vm->v->finding = KVM_WRONG;
        return false;
    }
    *took = cpu_ns() - begin;
    vm->v->step = want;
    return true;
}

/* In the child: fills v as it goes. */
static void guest_run(volatile struct kvm_verdict *v)
{
    uint64_t native = UINT64_MAX, loop = UINT64_MAX, took;
    struct vm vm = {.v = v};

    vm.kvm = kvm_device_open(v);
    if (vm.kvm < 0 || vm_create(&vm) < 0)
        return;
    v->step = STEP_CREATED;
    if (!vm_expect(&vm, STEP_RUNS, &took))
        return;
    /* Beside each other, so that an emulated host, where all is slow, passes; the best of some, so that one that is
     * busy does. An interpreter is hundreds of times slower in each; an exit is not counted as slow. */
    for (int i = 0; i < GUEST_ROUNDS; i++) {
        took = native_loop();
        native = took < native ? took : native;
        if (!vm_expect(&vm, STEP_LOOPED, &took))
            return;
        loop = took < loop ? took : loop;
        v->native_us = (uint32_t)(native / 1000);
        v->loop_us = (uint32_t)(loop / 1000);
    }
    if (loop > 20 * native + 2000000) {
        v->finding = KVM_SLOW;
        return;
    }
    if (!vm_expect(&vm, STEP_SYSCALLS, &took))
        return;
    v->syscall_ns = (uint32_t)(took / GUEST_SYSCALLS);
    if (!vm_expect(&vm, STEP_FAULTED, &took))
        return;
    v->fault_ns = (uint32_t)took;
    v->finding = KVM_USABLE;
}

/* ---- the child with its deadline ---- */

static uint32_t deadline_ms(void)
{
    const char *text = getenv("THAW_KVM_PROBE_MS");
    unsigned long ms = text ? strtoul(text, NULL, 10) : 0;

    return ms > 0 && ms <= 600000 ? (uint32_t)ms : 50;
}

/* Waits until the child has ended or the deadline is over; it is gone afterwards. True: it ended by itself. */
static bool child_wait(pid_t pid, int pidfd, uint64_t deadline, uint64_t *used_ns)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    struct rusage ru = {0};
    int64_t left = 0;
    int n;

    do {
        left = (int64_t)(deadline - now_ns());
        n = poll(&p, 1, left > 0 ? (int)((left + 999999) / 1000000) : 0);
    } while ((n < 0 && errno == EINTR) || (n == 0 && now_ns() < deadline));
    if (n <= 0)
        kill(pid, SIGKILL);
    while (wait4(pid, NULL, 0, &ru) < 0 && errno == EINTR)
        ;
    *used_ns = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000u +
               (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000u;
    return n > 0;
}

static void probe_once(volatile struct kvm_verdict *v)
{
    uint64_t begin = now_ns(), used_ns = 0, deadline_ns = v->deadline_ms * 1000000ull;
    pid_t parent = getpid();
    int pidfd = -1;
    long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            guest_run(v);
        _exit(0);
    }
    if (pid < 0) {
        v->error = errno;
        v->finding = KVM_UNDECIDED;
        return;
    }
    if (!child_wait((pid_t)pid, pidfd, begin + deadline_ns, &used_ns))
        /* A guest that hangs takes all the time there is. */
        v->finding = used_ns > deadline_ns / 2 ? KVM_LATE : KVM_UNDECIDED;
    else if (!v->finding)
        v->finding = KVM_UNDECIDED;
    close(pidfd);
    v->total_us = (uint32_t)((now_ns() - begin) / 1000);
}

struct kvm_verdict kvm_probe(void)
{
    struct kvm_verdict v = {.finding = KVM_UNDECIDED, .error = ENOMEM};
    volatile struct kvm_verdict *shared =
        mmap(NULL, sizeof v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd;

    if (shared == MAP_FAILED)
        return v;
    fd = kvm_device_open(shared);
    if (fd >= 0) {
        close(fd);
        /* Once more where the host was busy: its other work is no fault of KVM's. */
        for (int i = 0; i < 2 && (i == 0 || shared->finding == KVM_UNDECIDED); i++) {
            *shared = (struct kvm_verdict){.deadline_ms = deadline_ms()};
            probe_once(shared);
        }
    }
    v = *shared;
    munmap((void *)shared, sizeof v);
    return v;
}
