/* SPDX-License-Identifier: MIT */
/*
 * The process machine: the sandbox is a child of the monitor that gives up everything, jumps into the kernel image
 * and is confined by its own seccomp filter from there on.
 */
#define _GNU_SOURCE
#include "process.h"

#include "../kernel/process/image.h"
#include "filter.h"
#include "machine.h"
#include "page_cost.h"
#include "raw_syscall.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <sys/rseq.h>
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* What the kernel may use of RLIMIT_DATA beside the guest's memory: its heap, its stacks, the snapshot's own. */
#define KERNEL_ALLOWANCE (16ull << 20)

_Static_assert(BOOT_TABLES >= BOOT_STACK_END, "the kernel's first stack ends below the tables");

extern const uint8_t thaw_kernel_process_build_id[16];

/* The thaw command is linked with the kernel at its place (thaw.lds); a program that uses libthaw has it anywhere. */
#if defined(THAW_KERNEL_IN_PLACE)
#define KERNEL_IN_PLACE true
#define KERNEL_FILE THAW_KERNEL_ADDR
#else
extern const char thaw_kernel_process_start[];
#define KERNEL_IN_PLACE false
#define KERNEL_FILE ((uint64_t)thaw_kernel_process_start)
#endif

extern const struct kernel_image thaw_kernel_process_header; /* a copy of what the kernel begins with */
_Static_assert(sizeof(struct kernel_image) == 48, "kernel_blob.S copies so much");

static void child_move(struct child *c, uint64_t from, uint64_t len, uint64_t to)
{
    long r = raw_syscall(SYS_mremap, from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    if (r != (long)to)
        child_fail(c->boot, "moving memory into the kernel's window", (int)-r);
}

/* glibc has told the host's kernel about a piece of its thread area, which will be gone. */
static void child_forget_rseq(void)
{
#if defined(__GLIBC__) && defined(SYS_rseq)
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    if (__rseq_size > 0 && raw_syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG))
        raw_syscall(SYS_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

void process_kernel_ready(void)
{
    const struct kernel_image *k = (const struct kernel_image *)THAW_KERNEL_ADDR;

    /* Should it have to be read from the file, then as one huge page; before the first look at it. */
    raw_syscall(SYS_madvise, THAW_KERNEL_ADDR, THAW_HUGE_SIZE, MADV_HUGEPAGE);
    for (uint64_t at = k->start; at < k->end; at += PAGE_READ_BLOCK)
        raw_syscall(SYS_madvise, at, THAW_PAGE_SIZE, MADV_POPULATE_READ);
}

void process_kernel_enter(void)
{
    const struct kernel_image *k = (const struct kernel_image *)THAW_KERNEL_ADDR;

    ((void (*)(struct thaw_boot *))k->entry)((struct thaw_boot *)THAW_BOOT_ADDR);
    __builtin_unreachable();
}

uint64_t process_data_limit(uint64_t memory_limit) { return memory_limit + KERNEL_ALLOWANCE; }

/* In the child of a fork: the way of libthaw in other programs, and of whatever was not spawned ahead. */
static void process_run(struct child *c) __attribute__((noreturn));
static void process_run(struct child *c)
{
    struct thaw_boot *boot = c->boot;

    child_begin(boot, c->parent);
    /* Orphans among the sandbox's processes come to its first, whose kernel lets the host reap them. */
    child_check(boot, "taking in orphaned processes", raw_syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1));
    /* Shared memory is not in a child's page tables yet. */
    raw_syscall(SYS_madvise, boot, c->boot_used, MADV_POPULATE_WRITE);
    pid_t pid = (pid_t)raw_syscall(SYS_getpid);
    boot->host_pid = (uint32_t)pid;
    filter_set_pid((struct sock_filter *)((char *)boot + boot->filter_off), boot->filter_len, pid);
    child_descriptors(c);
    if (c->config->cpus) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        if (raw_syscall(SYS_sched_getaffinity, 0, sizeof cpus, &cpus) > 0 && machine_cpus_limit(&cpus, c->config->cpus))
            raw_syscall(SYS_sched_setaffinity, 0, sizeof cpus, &cpus);
    }
    child_limits(boot, process_data_limit(c->config->memory_limit));
    if (c->config->harden)
        child_harden(boot);
    child_privileges(boot);
    child_forget_rseq();

    if (!KERNEL_IN_PLACE) {
        const struct kernel_image *k = (const struct kernel_image *)THAW_KERNEL_ADDR;
        /* It moves away from where it is linked: from there on only its new place is looked at. */
        child_move(c, KERNEL_FILE, thaw_kernel_process_header.end - THAW_KERNEL_ADDR, THAW_KERNEL_ADDR);
        child_check(boot, "mapping the kernel",
                    raw_syscall(SYS_mprotect, k->start, k->end - k->start, PROT_READ | PROT_EXEC));
    }
    process_kernel_ready();
    if ((uint64_t)boot != THAW_BOOT_ADDR)
        child_move(c, (uint64_t)boot, THAW_BOOT_AREA, THAW_BOOT_ADDR);
    process_kernel_enter();
}

/* ---- the parent ---- */

void process_signals_block(sigset_t *outside, sigset_t *old)
{
    static const int own[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

    sigfillset(outside);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(outside, own[i]);
    sigprocmask(SIG_BLOCK, outside, old);
}

static int process_prepare(struct sandbox *sb, struct child *c, struct thaw_error *err)
{
    (void)sb;
    (void)c;
    if (thaw_kernel_process_header.magic != THAW_KERNEL_MAGIC || thaw_kernel_process_header.start != THAW_KERNEL_ADDR)
        return thaw_error_set(err, 125, 0, "the kernel inside this program is damaged: install thaw anew");
    return 0;
}

static bool within(const struct thaw_region *r, uint64_t start, uint64_t end)
{
    return r->start >= start && r->start < end && r->len <= end - r->start;
}

static const char *process_region_check(const struct thaw_region *r, bool *user)
{
    const struct kernel_image *k = &thaw_kernel_process_header;
    bool kernel = within(r, k->data_start, k->bss_end) || within(r, THAW_HEAP_ADDR, THAW_HEAP_END) ||
                  within(r, THAW_KSTACK_ADDR, THAW_KSTACK_END);

    *user = within(r, THAW_USER_START, THAW_USER_END);
    if (!*user && !kernel)
        return "a region lies outside the sandbox's memory";
    return kernel && r->prot & PROT_EXEC ? "a region has a protection it may not have" : NULL;
}

static bool process_resume_check(uint64_t resume)
{
    const struct kernel_image *k = &thaw_kernel_process_header;
    return resume >= k->data_start && resume < k->bss_end && k->bss_end - resume >= 64 && !(resume & 7);
}

const struct machine machine_process = {
    .name = "process",
    .build_id = thaw_kernel_process_build_id,
    .prepare = process_prepare,
    .run = process_run,
    .region_check = process_region_check,
    .resume_check = process_resume_check,
};
