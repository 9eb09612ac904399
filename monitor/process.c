/* SPDX-License-Identifier: MIT */
/*
 * The process machine: the sandbox is a child of the monitor that gives up everything, jumps into the kernel image
 * and is confined by its own seccomp filter from there on.
 */
#define _GNU_SOURCE
#include "process.h"

#include "../kernel/process/image.h"
#include "filter.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <sys/rseq.h>
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

/* What the kernel may use of RLIMIT_DATA beside the guest's memory: its heap, its stacks, the snapshot's own. */
#define KERNEL_ALLOWANCE (16ull << 20)

#define ANSWERS_MAX (128u << 10)

/* The thaw command is linked with the kernel at its place (thaw.lds); a program that uses libthaw has it anywhere. */
#if defined(THAW_KERNEL_IN_PLACE)
#define KERNEL_IN_PLACE true
#define KERNEL_FILE THAW_KERNEL_ADDR
#else
extern const char thaw_kernel_start[];
#define KERNEL_IN_PLACE false
#define KERNEL_FILE ((uint64_t)thaw_kernel_start)
#endif

static const struct kernel_image *kernel_image(void) { return (const struct kernel_image *)KERNEL_FILE; }

/* ---- the child: raw system calls only, other threads of the caller do not exist here ---- */

struct child {
    const struct sandbox_config *config;
    struct thaw_boot *boot;
    int fds[6]; /* in the order of THAW_FD_*; -1: none */
    pid_t parent;
    size_t boot_used;
};

static void child_fail(struct thaw_boot *boot, const char *what, int error) __attribute__((noreturn));
static void child_fail(struct thaw_boot *boot, const char *what, int error)
{
    size_t n = strlen(what);
    memcpy(boot->exit.text, what, n < sizeof(boot->exit.text) ? n + 1 : 0);
    boot->exit.code = (uint32_t)error;
    boot->exit.kind = THAW_EXIT_PANIC;
    for (;;)
        syscall(SYS_exit_group, 125);
}

static void child_descriptors(struct child *c)
{
    /* Out of the way first, those that another is to replace. */
    for (int i = 0; i < 6; i++)
        if (c->fds[i] >= 0 && c->fds[i] < 6 && c->fds[i] != i) {
            c->fds[i] = (int)syscall(SYS_fcntl, c->fds[i], F_DUPFD, 6);
            if (c->fds[i] < 0)
                child_fail(c->boot, "duplicating a descriptor", errno);
        }
    for (int i = 0; i < 6; i++) {
        if (c->fds[i] < 0)
            syscall(SYS_close, i);
        else if (c->fds[i] != i && syscall(SYS_dup3, c->fds[i], i, 0) < 0)
            child_fail(c->boot, "duplicating a descriptor", errno);
    }
    if (syscall(SYS_close_range, 6, ~0u, 0) && errno != ENOSYS)
        child_fail(c->boot, "closing descriptors", errno);
    else if (errno == ENOSYS)
        for (int fd = 6; fd < 65536; fd++)
            syscall(SYS_close, fd);
}

static void child_limits(struct child *c)
{
    uint64_t data = c->config->memory_limit + KERNEL_ALLOWANCE;
    struct rlimit mem = {data, data}, none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none))
        child_fail(c->boot, "setting RLIMIT_CORE", errno);
    /* A lower hard limit of the caller's stays. */
    struct rlimit old;
    if (!getrlimit(RLIMIT_DATA, &old) && old.rlim_max < data)
        mem.rlim_cur = mem.rlim_max = old.rlim_max;
#if defined(__SANITIZE_ADDRESS__) /* whose shadow of the whole address space counts as data */
    mem = old;
#endif
    if (setrlimit(RLIMIT_DATA, &mem))
        child_fail(c->boot, "setting RLIMIT_DATA", errno);
}

static void child_privileges(struct child *c)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

    if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        child_fail(c->boot, "setting no_new_privs", errno);
    if (syscall(SYS_capset, &hdr, none))
        child_fail(c->boot, "dropping capabilities", errno);
}

/* --harden: what lies under the filter, should it have a hole. */
static void child_harden(struct child *c)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = (1ull << 13) - 1};

    if (syscall(SYS_unshare,
                CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))
        child_fail(c->boot, "unsharing namespaces for --harden (does this host allow user namespaces?)", errno);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0))
        child_fail(c->boot, "restricting by Landlock for --harden (does this host's kernel have it?)", errno);
    syscall(SYS_close, fd);
}

static void child_move(struct child *c, uint64_t from, uint64_t len, uint64_t to)
{
    long r = syscall(SYS_mremap, from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    if (r != (long)to)
        child_fail(c->boot, "moving memory into the kernel's window", errno);
}

/* glibc has told the host's kernel about a piece of its thread area, which will be gone. */
static void child_forget_rseq(void)
{
#if defined(__GLIBC__) && defined(SYS_rseq)
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    if (__rseq_size > 0 && syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG))
        syscall(SYS_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

static void child_run(struct child *c) __attribute__((noreturn));
static void child_run(struct child *c)
{
    struct thaw_boot *boot = c->boot;

    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        child_fail(boot, "asking to die with the monitor", errno);
    /* Orphans among the sandbox's processes come to its first, whose kernel lets the host reap them. */
    if (syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        child_fail(boot, "taking in orphaned processes", errno);
    if ((pid_t)syscall(SYS_getppid) != c->parent)
        syscall(SYS_exit_group, 125);
    /* Shared memory is not in a child's page tables yet. */
    syscall(SYS_madvise, boot, c->boot_used, MADV_POPULATE_WRITE);
    pid_t pid = (pid_t)syscall(SYS_getpid);
    boot->host_pid = (uint32_t)pid;
    filter_set_pid((struct sock_filter *)((char *)boot + boot->filter_off), boot->filter_len, pid);
    child_descriptors(c);
    child_limits(c);
    if (c->config->harden)
        child_harden(c);
    child_privileges(c);
    child_forget_rseq();

    const struct kernel_image *k = (const struct kernel_image *)THAW_KERNEL_ADDR;
    if (!KERNEL_IN_PLACE) {
        /* It moves away from where it is linked: from there on only its new place is looked at. */
        child_move(c, KERNEL_FILE, kernel_image()->end - THAW_KERNEL_ADDR, THAW_KERNEL_ADDR);
        if (syscall(SYS_mprotect, k->start, k->end - k->start, PROT_READ | PROT_EXEC))
            child_fail(boot, "mapping the kernel", errno);
    }
    syscall(SYS_madvise, k->start, k->end - k->start, MADV_POPULATE_READ);
    if ((uint64_t)boot != THAW_BOOT_ADDR)
        child_move(c, (uint64_t)boot, THAW_BOOT_AREA, THAW_BOOT_ADDR);
    ((void (*)(struct thaw_boot *))k->entry)((struct thaw_boot *)THAW_BOOT_ADDR);
    __builtin_unreachable();
}

/* ---- the parent ---- */

/* Lays out the boot area; the tables' offsets are the monitor's choice. */
static int boot_fill(struct sandbox *sb, const struct sandbox_config *config, size_t *used, struct thaw_error *err)
{
    struct thaw_boot *boot = sb->boot;
    const struct snapshot *snap = config->restore;
    size_t off = BOOT_TABLES_OFFSET;

    boot->magic = THAW_BOOT_MAGIC;
    boot->version = THAW_ABI_VERSION;
    boot->flags = (snap ? THAW_BOOT_RESTORE : 0) | (config->snapshot_to ? THAW_BOOT_SNAPSHOT : 0) |
                  (config->strace ? THAW_BOOT_STRACE : 0) | (config->image_fd < 0 ? THAW_BOOT_HOST_ROOT : 0) |
                  (config->train ? THAW_BOOT_TRAIN : 0);
    boot->hwcap = getauxval(AT_HWCAP);
    boot->hwcap2 = getauxval(AT_HWCAP2);
    if (boot->hwcap2 & 2)
        boot->flags |= THAW_BOOT_FSGSBASE;
    boot->memory_limit = config->memory_limit;
    boot->vdso = host_vdso_find();
    boot->image_size = config->image_fd < 0 ? 0 : config->image_size;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    boot->cpus = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : (uint32_t)CPU_COUNT(&cpus);
    if (getrandom(boot->entropy, sizeof(boot->entropy), 0) != (ssize_t)sizeof(boot->entropy))
        return thaw_error_set(err, 125, errno, "no fresh entropy from getrandom(2): %s", strerror(errno));

    boot->filter_off = (uint32_t)off;
    boot->filter_len = (uint32_t)filter_build((struct sock_filter *)((char *)boot + off));
    off += FILTER_MAX * sizeof(struct sock_filter);
    boot->request_off = (uint32_t)off;
    boot->request_size = config->request->size;
    memcpy((char *)boot + off, config->request, config->request->size);
    off = (off + config->request->size + 7) & ~(size_t)7;
    if (config->shares && config->preload_share >= 0 && config->preload_path) {
        boot->answers_off = (uint32_t)off;
        boot->answers_size = (uint32_t)answers_build(config->shares, config->preload_share, config->preload_path,
                                                     (char *)boot + off, ANSWERS_MAX);
        off += boot->answers_size;
    }
    boot->region_off = sb->region_off = (uint32_t)off;
    if (snap) {
        boot->region_count = snap->region_count;
        boot->resume = snap->resume;
        memcpy((char *)boot + off, snap->regions, snap->region_count * sizeof(struct thaw_region));
        off += snap->region_count * sizeof(struct thaw_region);
    }
    *used = (off + THAW_PAGE_SIZE - 1) & ~(size_t)(THAW_PAGE_SIZE - 1);
    return 0;
}
_Static_assert(BOOT_TABLES_OFFSET + FILTER_MAX * sizeof(struct sock_filter) + THAW_REQUEST_MAX + ANSWERS_MAX +
                       THAW_REGION_MAX * sizeof(struct thaw_region) + 8 <=
                   THAW_BOOT_AREA,
               "everything fits the boot area");

/* Where the sandbox will have it, if that is free here, so that it need not be moved. */
static void *boot_map(void)
{
    const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    void *boot =
        mmap((void *)THAW_BOOT_ADDR, THAW_BOOT_AREA, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0);

    return boot == MAP_FAILED ? mmap(NULL, THAW_BOOT_AREA, PROT_READ | PROT_WRITE, flags, -1, 0) : boot;
}

int process_start(struct sandbox *sb, const struct sandbox_config *config, struct thaw_error *err)
{
    struct child c = {.config = config, .parent = getpid()};
    sigset_t outside, old;
    int pair[2];

    memset(sb, 0, sizeof(*sb));
    sb->pidfd = sb->control = -1;
    sb->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sb->config = config;
    sb->shares = config->shares;
    if (kernel_image()->magic != THAW_KERNEL_MAGIC || kernel_image()->start != THAW_KERNEL_ADDR)
        return thaw_error_set(err, 125, 0, "the kernel inside this program is damaged: install thaw anew");
    if (config->request->size > THAW_REQUEST_MAX)
        return thaw_error_set(err, 125, E2BIG, "the request is too large");
    sb->boot = boot_map();
    if (sb->boot == MAP_FAILED) {
        sb->boot = NULL;
        return thaw_error_set(err, 125, errno, "no memory for the boot area: %s", strerror(errno));
    }
    madvise(sb->boot, BOOT_TABLES_OFFSET + 0x4000, MADV_POPULATE_WRITE);
    if (boot_fill(sb, config, &c.boot_used, err))
        goto bad;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        thaw_error_set(err, 125, errno, "socketpair: %s", strerror(errno));
        goto bad;
    }
    c.boot = sb->boot;
    memcpy(c.fds, config->stdio, sizeof(config->stdio));
    c.fds[THAW_FD_CONTROL] = pair[1];
    c.fds[THAW_FD_IMAGE] = config->image_fd;
    c.fds[THAW_FD_SNAPSHOT] = config->restore ? config->restore->fd : -1;

    /* Until the kernel runs, signals from outside wait; those it raises itself must not. */
    sigfillset(&outside);
    const int own[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(&outside, own[i]);
    sigprocmask(SIG_BLOCK, &outside, &old);
    long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &sb->pidfd, 0, 0);
    if (pid == 0)
        child_run(&c);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(pair[1]);
    sb->control = pair[0];
    if (pid < 0) {
        thaw_error_set(err, 125, errno, "starting the sandbox process: %s", strerror(errno));
        goto bad;
    }
    sb->pid = (pid_t)pid;
    if (config->restore)
        for (uint32_t i = 0; i < config->restore->region_count; i++) {
            const struct thaw_region *r = &config->restore->regions[i];
            *(r->kind == THAW_REGION_POPULATE ? &sb->pages_populated : &sb->pages_mapped) += r->len / THAW_PAGE_SIZE;
        }
    return 0;
bad:
    process_stop(sb, NULL);
    return -1;
}

void process_stop(struct sandbox *sb, int *wstatus)
{
    int status = 0;

    if (sb->pid > 0) {
        kill(sb->pid, SIGKILL);
        while (waitpid(sb->pid, &status, 0) < 0 && errno == EINTR)
            ;
        sb->pid = 0;
    }
    processes_end(sb);
    if (wstatus)
        *wstatus = status;
    if (sb->proc >= 0)
        close(sb->proc);
    sb->proc = -1;
    if (sb->pidfd >= 0)
        close(sb->pidfd);
    if (sb->control >= 0)
        close(sb->control);
    sb->pidfd = sb->control = -1;
    if (sb->boot)
        munmap(sb->boot, THAW_BOOT_AREA);
    sb->boot = NULL;
}

struct kernel_ranges process_kernel_ranges(void)
{
    const struct kernel_image *k = kernel_image();
    return (struct kernel_ranges){k->data_start, k->bss_end};
}
