/* SPDX-License-Identifier: MIT */
/*
 * The kvm machine: the sandbox is a child of the monitor that makes a virtual machine, gives up all that it does not need
 * to run it, and does nothing else. What the guest's kernel asks for on the host's side is in kvm_call.c; calls on shares
 * and snapshots are passed on to the monitor.
 */
#define _GNU_SOURCE
#include "kvm.h"
#include "raw_syscall.h"

#include "../kernel/kvm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* What the kernel may use beside the guest's memory: as on the process machine, and its page tables. */
#define KERNEL_ALLOWANCE (16ull << 20)
#define TABLES_SHARE 256
#define HUGE_SIZE (2ull << 20)

extern const char thaw_kernel_kvm_start[];
extern const uint8_t thaw_kernel_kvm_build_id[16];

static const struct kvm_image *kernel_image(void)
{
    return (const struct kvm_image *)(const void *)thaw_kernel_kvm_start;
}

/* 0: more than there can be. */
static uint64_t ram_size(uint64_t memory_limit)
{
    const struct kvm_image *k = kernel_image();
    uint64_t n = memory_limit + memory_limit / TABLES_SHARE + KERNEL_ALLOWANCE + (k->bss_end - k->start);

    n = (n + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
    return memory_limit <= THAW_KVM_RAM_MAX && n <= THAW_KVM_RAM_MAX ? n : 0;
}

bool machine_kvm_holds(uint64_t memory_limit, uint64_t image_size)
{
    return ram_size(memory_limit) && image_size <= THAW_KVM_IMAGE_MAX;
}

/* ---- in the child ---- */

long vm_syscall5(long nr, long a, long b, long c, long d, long e) { return raw_syscall(nr, a, b, c, d, e); }

void vm_exit(struct vm *vm)
{
    vm->page->exits = __atomic_load_n(&vm->exits, __ATOMIC_RELAXED);
    vm->page->ioctls = __atomic_load_n(&vm->ioctls, __ATOMIC_RELAXED);
    vm->page->slots = vm->slots;
    for (;;)
        vm_syscall(SYS_exit_group, vm->boot->exit.kind == THAW_EXIT_CODE ? 0 : 125);
}

void vm_fail(struct vm *vm, const char *fmt, ...)
{
    struct thaw_exit *e = &vm->boot->exit;
    va_list ap;

    while (__atomic_exchange_n(&vm->failed, true, __ATOMIC_SEQ_CST)) /* another thread is about to end us all */
        vm_syscall(SYS_poll, NULL, 0, -1);
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    e->code = 0;
    e->kind = THAW_EXIT_PANIC;
    vm_exit(vm);
}

int vm_ioctl(struct vm *vm, int fd, unsigned long request, void *arg, const char *what)
{
    __atomic_fetch_add(&vm->ioctls, 1, __ATOMIC_RELAXED);
    long r = vm_syscall(SYS_ioctl, fd, request, arg);
    if (r < 0 && r != -EINTR && r != -EAGAIN)
        vm_fail(vm, "KVM: %s: %s", what, strerror((int)-r));
    return (int)r;
}

static void slot_set(struct vm *vm, uint32_t flags, uint64_t gpa, uint64_t size, void *at)
{
    struct kvm_userspace_memory_region slot = {.slot = vm->slots++,
                                               .flags = flags,
                                               .guest_phys_addr = gpa,
                                               .memory_size = size,
                                               .userspace_addr = (uint64_t)at};
    vm_ioctl(vm, vm->fd, KVM_SET_USER_MEMORY_REGION, &slot, "adding memory");
}

/* The regions come from a snapshot that the monitor has checked: none overlaps another or lies outside. */
static void memory_restore(struct vm *vm, const struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->region_count; i++) {
        const struct thaw_region *r = &snapshot->regions[i];
        uint8_t *at = vm->ram + (r->start - THAW_KVM_RAM_GPA);

        switch (r->kind) {
        case THAW_REGION_DATA:
            if (mmap(at, r->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, THAW_FD_SNAPSHOT,
                     (off_t)r->offset) == MAP_FAILED)
                child_fail(vm->boot, "mapping the snapshot", errno);
            break;
        case THAW_REGION_COPY:
            for (uint64_t done = 0; done < r->len;) {
                ssize_t n = pread(THAW_FD_SNAPSHOT, at + done, r->len - done, (off_t)(r->offset + done));
                if (n <= 0)
                    child_fail(vm->boot, "reading the snapshot", n ? errno : EIO);
                done += (uint64_t)n;
            }
            break;
        case THAW_REGION_POPULATE: /* an older host that knows it not takes its faults one by one */
            madvise(at, r->len, r->prot & PROT_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
            break;
        default: break; /* fresh memory is zero */
        }
    }
}

static void memory_create(struct vm *vm, void *at)
{
    const struct kvm_image *k = kernel_image();
    const struct snapshot *snapshot = vm->config->restore;

    vm->ram =
        mmap(at, vm->ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (vm->ram == MAP_FAILED)
        child_fail(vm->boot, "allocating the guest's memory", errno);
    madvise(vm->ram, vm->ram_size, MADV_HUGEPAGE);
    madvise(vm->ram, vm->ram_size, MADV_DONTDUMP);
    if (snapshot)
        memory_restore(vm, snapshot);
    else
        memcpy(vm->ram, k, k->data_end - k->start);
    slot_set(vm, 0, THAW_KVM_BOOT_GPA, THAW_BOOT_AREA, vm->boot);
    slot_set(vm, 0, THAW_KVM_RAM_GPA, vm->ram_size, vm->ram);
    if (vm->config->image_fd >= 0) {
        uint64_t size = (vm->config->image_size + THAW_PAGE_SIZE - 1) & ~(uint64_t)(THAW_PAGE_SIZE - 1);
        void *image = mmap(NULL, size, PROT_READ, MAP_SHARED, THAW_FD_IMAGE, 0);
        if (image == MAP_FAILED)
            child_fail(vm->boot, "mapping the image", errno);
        slot_set(vm, KVM_MEM_READONLY, THAW_KVM_IMAGE_GPA, size, image);
    }
}

static void descriptor_move(struct vm *vm, int from, int to)
{
    if (from != to && (syscall(SYS_dup3, from, to, O_CLOEXEC) < 0 || close(from)))
        child_fail(vm->boot, "duplicating a descriptor", errno);
}

static void kvm_machine_run(struct child *c) __attribute__((noreturn));
static void kvm_machine_run(struct child *c)
{
    const struct kvm_image *k = kernel_image();
    const struct snapshot *restore = c->config->restore;
    struct vm vm = {.boot = c->boot,
                    .page = (struct thaw_kvm *)(void *)((char *)c->boot + c->sb->kvm_off),
                    .config = c->config,
                    .device = KVM_FD_DEVICE,
                    .ioctls = 1, /* the monitor's, for the processor's features */
                    .cpus = c->boot->cpus,
                    .ram_size = c->sb->reserved_size};

    child_begin(c->boot, c->parent);
    child_descriptors(c);
    vm.pid = getpid();
    c->boot->host_pid = (uint32_t)vm.pid;
    vm.page->ram_size = vm.ram_size;
    do
        vm.fd = vm_ioctl(&vm, vm.device, KVM_CREATE_VM, NULL, "making a virtual machine");
    while (vm.fd < 0);
    memory_create(&vm, c->sb->reserved);
    for (uint32_t i = 0; i < vm.cpus; i++) {
        vm.vcpu[i] = (struct vcpu){.vm = &vm, .index = i};
        if (i)
            cpu_create(&vm, &vm.vcpu[i], k->pml4_gpa, k->cpu_entry, i);
        else if (restore)
            cpu_create(&vm, &vm.vcpu[i], k->pml4_gpa, k->restore, restore->resume);
        else
            cpu_create(&vm, &vm.vcpu[i], k->pml4_gpa, k->entry, 0);
    }
    /* The processors keep the machine; their descriptors are all that is needed from here on. */
    close(vm.device);
    close(vm.fd);
    close(THAW_FD_SNAPSHOT);
    for (uint32_t i = 0; i < vm.cpus; i++) {
        descriptor_move(&vm, vm.vcpu[i].fd, KVM_FD_VCPU + (int)i);
        vm.vcpu[i].fd = KVM_FD_VCPU + (int)i;
    }
    call_prepare(&vm);
    child_limits(c->boot, c->config->memory_limit);
    if (c->config->harden)
        child_harden(c->boot);
    child_privileges(c->boot);
    child_landlock_if_there();
    vm_run(&vm);
}

/* ---- in the monitor ---- */

static int kvm_machine_prepare(struct sandbox *sb, struct child *c, struct thaw_error *err)
{
    const struct kvm_image *k = kernel_image();
    const struct sandbox_config *config = sb->config;
    uint64_t need = 0;

    if (k->magic != THAW_KVM_MAGIC || k->start != THAW_KERNEL_ADDR)
        return thaw_error_set(err, 125, 0, "the kernel inside this program is damaged: install thaw anew");
    sb->reserved_size = ram_size(config->memory_limit);
    if (!sb->reserved_size)
        return thaw_error_set(err, 125, E2BIG, "--memory: the kvm machine has at most %llu GiB",
                              (unsigned long long)(THAW_KVM_RAM_MAX >> 30) - 1);
    if (config->cpus > THAW_KVM_CPUS_MAX)
        return thaw_error_set(err, 125, E2BIG, "--cpus: the kvm machine has at most %u processors", THAW_KVM_CPUS_MAX);
    if (config->image_fd >= 0 && config->image_size > THAW_KVM_IMAGE_MAX)
        return thaw_error_set(err, 125, E2BIG, "the kvm machine takes images of %llu GiB at most",
                              (unsigned long long)(THAW_KVM_IMAGE_MAX >> 30));
    for (uint32_t i = 0; config->restore && i < config->restore->region_count; i++) {
        const struct thaw_region *r = &config->restore->regions[i];
        uint64_t end = r->start - THAW_KVM_RAM_GPA + r->len;
        need = end > need ? end : need;
    }
    if (need > sb->reserved_size)
        return thaw_error_set(err, 125, ENOMEM, "the snapshot holds %llu MiB, more than --memory allows",
                              (unsigned long long)(need >> 20));
    c->fds[KVM_FD_DEVICE] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (c->fds[KVM_FD_DEVICE] < 0)
        return thaw_error_set(err, 125, errno, "--machine kvm: /dev/kvm: %s; see `thaw doctor`", strerror(errno));
    /* What is missing leaves no gap that KVM's descriptors would fill. */
    for (int i = THAW_FD_IMAGE; i <= THAW_FD_SNAPSHOT; i++)
        if (c->fds[i] < 0)
            c->fds[i] = c->fds[KVM_FD_DEVICE];
    /* A place for the guest's memory that is free in the child as well, and known here. */
    sb->reserved =
        mmap(NULL, sb->reserved_size + HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sb->reserved == MAP_FAILED) {
        sb->reserved = NULL;
        close(c->fds[KVM_FD_DEVICE]);
        return thaw_error_set(err, 125, errno, "no address space for the guest's memory: %s", strerror(errno));
    }
    uint64_t at = ((uint64_t)sb->reserved + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
    munmap(sb->reserved, at - (uint64_t)sb->reserved);
    munmap((void *)(at + sb->reserved_size), (uint64_t)sb->reserved + HUGE_SIZE - at);
    sb->reserved = (void *)at;
    sb->memory_bias = at - THAW_KVM_RAM_GPA;
    return 0;
}

static void kvm_machine_prepared(struct sandbox *sb, struct child *c)
{
    close(c->fds[KVM_FD_DEVICE]);
    munmap(sb->reserved, sb->reserved_size);
    sb->reserved = NULL;
}

static const char *kvm_region_check(const struct thaw_region *r, bool *user)
{
    *user = true; /* kinds and protections do not depend on whose it is */
    if (r->kind == THAW_REGION_IMAGE)
        return "a region is mapped from the image";
    if (r->start < THAW_KVM_RAM_GPA || r->start - THAW_KVM_RAM_GPA >= THAW_KVM_RAM_MAX ||
        r->len > THAW_KVM_RAM_MAX - (r->start - THAW_KVM_RAM_GPA))
        return "a region lies outside the sandbox's memory";
    return NULL;
}

static bool kvm_resume_check(uint64_t resume)
{
    const struct kvm_image *k = kernel_image();
    return resume >= k->data_start && resume < k->bss_end && k->bss_end - resume >= 64 && !(resume & 7);
}

const struct machine machine_kvm = {
    .name = "kvm",
    .build_id = thaw_kernel_kvm_build_id,
    .prepare = kvm_machine_prepare,
    .prepared = kvm_machine_prepared,
    .run = kvm_machine_run,
    .region_check = kvm_region_check,
    .resume_check = kvm_resume_check,
};
