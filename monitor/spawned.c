/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "spawned.h"

#include "../kernel/process/image.h"
#include "filter.h"
#include "process.h"
#include "raw_syscall.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(THAW_KERNEL_IN_PLACE)

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SPAWN_MAGIC 0x6e7761707377ull
#define SPAWN_FD_BOOT THAW_FD_IMAGE   /* until it is mapped */
#define SPAWN_FD_EXE THAW_FD_SNAPSHOT /* until the execve */
#define SPAWN_POPULATE (BOOT_TABLES + 0x4000)

/* In the boot area, where the kernel will have its first stack: the start of the child, which has its own above. */
struct spawn {
    uint64_t magic;
    pid_t parent;
    struct child child;
};

/* What the spawned process waits for, with the descriptors of the image and, if there is one, the snapshot. */
struct spawn_order {
    uint64_t memory_limit;
    uint32_t harden, pinned;
    cpu_set_t cpus; /* pinned: what to go back to */
};

extern const char spawn_name[], __executable_start[], thaw_data_start[], _end[];
long spawn_clone(long flags, void *stack_top, int *pidfd, void (*fn)(void *), void *arg);
void spawn_main(const uint64_t *stack) __attribute__((noreturn));

static struct spawn *spawn_of(struct thaw_boot *boot) { return (void *)((char *)boot + BOOT_STACK_OFFSET); }
_Static_assert(BOOT_STACK_OFFSET + sizeof(struct spawn) + 4096 <= BOOT_STACK_END, "a stack fits above it");

/* ---- in the child: before the execve in the monitor's address space, on a stack of its own ---- */

static void spawn_exec(void *arg)
{
    struct spawn *spawn = arg;
    struct child *c = &spawn->child;
    const char *const argv[] = {spawn_name, NULL}, *const envp[] = {NULL};

    child_descriptors(c);
    /* One that had its number already has its flag still. */
    raw_syscall(SYS_fcntl, THAW_FD_CONTROL, F_SETFD, 0);
    raw_syscall(SYS_fcntl, SPAWN_FD_BOOT, F_SETFD, 0);
    raw_syscall(SYS_fcntl, SPAWN_FD_EXE, F_SETFD, FD_CLOEXEC);
    /* The stack need not be moved to a random place, which would take more page tables: nothing stays where it lies. */
    raw_syscall(SYS_personality, ADDR_NO_RANDOMIZE);
    child_fail(c->boot, "executing /proc/self/exe",
               -(int)raw_syscall(SYS_execveat, SPAWN_FD_EXE, "", argv, envp, AT_EMPTY_PATH));
}

static void spawn_receive(struct thaw_boot *boot, struct spawn_order *order)
{
    struct iovec iov = {order, sizeof *order};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))]; /* they become THAW_FD_IMAGE and THAW_FD_SNAPSHOT: the lowest free */
    } control;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long n;

    do
        n = raw_syscall(SYS_recvmsg, THAW_FD_CONTROL, &msg, 0);
    while (n == -EINTR);
    if (n == 0) /* the monitor is gone, or has no use for this one */
        raw_syscall(SYS_exit_group, 125);
    child_check(boot, "waiting for the monitor", n);
    if (n != sizeof *order || msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        child_fail(boot, "waiting for the monitor", EPROTO);
}

/* The host's stack is smaller, and nothing but it lies so far below its end (mmap_base() in Linux). */
#define STACK_RANGE (64u << 20)

/*
 * The vDSO and its data, side by side, are all that is mapped outside the window but for the stack: above it in older
 * kernels, far below it in newer ones. Anywhere else, and the sandbox does without. The stack's last bytes are the name
 * of the executed file.
 */
static void spawn_vdso(struct thaw_vdso *v, const uint64_t *stack)
{
    const char *name = NULL;
    const uint64_t *p = stack + 1;
    uint64_t base = 0;

    while (*p) /* argv */
        p++;
    for (p++; *p; p++) /* envp */
        ;
    for (p++; p[0] != AT_NULL; p += 2) {
        if (p[0] == AT_SYSINFO_EHDR)
            base = p[1];
        if (p[0] == AT_EXECFN)
            name = (const char *)p[1];
    }
    while (name && *name)
        name++;
    uint64_t end = ((uint64_t)name + 1 + 8 + THAW_PAGE_SIZE - 1) & ~(uint64_t)(THAW_PAGE_SIZE - 1);
    if (name && base > end)
        *v = (struct thaw_vdso){.start = end, .end = THAW_HOST_END, .base = base};
    else if (name && base >= THAW_WINDOW_END && base < end - STACK_RANGE)
        *v = (struct thaw_vdso){.start = THAW_WINDOW_END, .end = end - STACK_RANGE, .base = base};
}

/* After the execve, from spawn_start: stack is as the host's kernel leaves it, see the x86-64 ABI, 3.4.1. */
void spawn_main(const uint64_t *stack)
{
    struct thaw_boot *boot = (void *)THAW_BOOT_ADDR;
    struct spawn_order order = {0};
    long at = raw_syscall(SYS_mmap, THAW_BOOT_ADDR, THAW_BOOT_AREA, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED_NOREPLACE, SPAWN_FD_BOOT, 0);
    if (at != (long)THAW_BOOT_ADDR)
        raw_syscall(SYS_exit_group, 125);
    raw_syscall(SYS_madvise, boot, SPAWN_POPULATE, MADV_POPULATE_WRITE);
    if (spawn_of(boot)->magic != SPAWN_MAGIC)
        raw_syscall(SYS_exit_group, 125);

    child_begin(boot, spawn_of(boot)->parent);
    raw_syscall(SYS_prctl, PR_SET_NAME, "thaw");
    child_check(boot, "taking in orphaned processes", raw_syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1));
    raw_syscall(SYS_close, SPAWN_FD_BOOT);
    child_close_from(boot, THAW_FD_CONTROL + 1);
    child_privileges(boot);
    process_kernel_ready();

    spawn_receive(boot, &order);
    spawn_vdso(&boot->vdso, stack);
    boot->program[0][0] = (uint64_t)__executable_start;
    boot->program[0][1] = boot->program[0][0] + THAW_HUGE_SIZE;
    boot->program[1][0] = (uint64_t)thaw_data_start;
    boot->program[1][1] = ((uint64_t)_end + THAW_PAGE_SIZE - 1) & ~(uint64_t)(THAW_PAGE_SIZE - 1);
    child_limits(boot, process_data_limit(order.memory_limit));
    if (order.harden)
        child_harden(boot);
    if (order.pinned)
        raw_syscall(SYS_sched_setaffinity, 0, sizeof order.cpus, &order.cpus);
    process_kernel_enter();
}

/* ---- in the monitor ---- */

/* Beside what the command writes to anyway: page tables cost more than pages. */
static _Alignas(THAW_PAGE_SIZE) char boot_place[THAW_BOOT_AREA];
static bool boot_place_taken;

/* More than one processor, and no more than a cpu_set_t has: otherwise nothing is changed. */
static void spawn_pin(struct spawned *sp)
{
    unsigned cpu;
    cpu_set_t one;

    if (syscall(SYS_getcpu, &cpu, NULL, NULL) || cpu >= CPU_SETSIZE ||
        sched_getaffinity(0, sizeof sp->cpus, &sp->cpus) || CPU_COUNT(&sp->cpus) < 2)
        return;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sp->pinned = sched_setaffinity(0, sizeof one, &one) == 0;
}

void spawn_unpin(struct spawned *sp)
{
    if (sp->pinned)
        sched_setaffinity(0, sizeof sp->cpus, &sp->cpus);
    sp->pinned = false;
}

int spawn_begin(struct spawned *sp)
{
    int exe, memfd = -1, pair[2] = {-1, -1};
    sigset_t outside, old;
    void *boot = MAP_FAILED;
    long pid = -1;

    *sp = (struct spawned){.pidfd = -1, .control = -1, .forwarded = sp->forwarded};
    if (boot_place_taken)
        return -1;
    /* Not by its name, which may mean another file by now. */
    exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (exe < 0)
        goto out;
    memfd = memfd_create("thaw-boot", MFD_CLOEXEC);
    if (memfd < 0 || ftruncate(memfd, THAW_BOOT_AREA) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        goto out;
    boot = mmap(boot_place, THAW_BOOT_AREA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, 0);
    if (boot == MAP_FAILED)
        goto out;
    boot_place_taken = true; /* for good: the command starts one sandbox */
    madvise(boot, SPAWN_POPULATE, MADV_POPULATE_WRITE);

    struct spawn *spawn = spawn_of(boot);
    spawn->magic = SPAWN_MAGIC;
    spawn->parent = getpid();
    spawn->child = (struct child){.boot = boot};
    for (int i = 0; i < CHILD_FDS; i++)
        spawn->child.fds[i] = i < 3 ? i : -1;
    spawn->child.fds[THAW_FD_CONTROL] = pair[1];
    spawn->child.fds[SPAWN_FD_BOOT] = memfd;
    spawn->child.fds[SPAWN_FD_EXE] = exe;

    spawn_pin(sp);
    process_signals_block(&outside, &old);
    /* The caller waits for the execve: both at once in one address space would cost more than it hides. */
    pid = spawn_clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, (char *)boot + BOOT_STACK_END, &sp->pidfd,
                      spawn_exec, spawn);
    sigprocmask(SIG_SETMASK, &old, NULL);
out:
    if (exe >= 0)
        close(exe);
    if (memfd >= 0)
        close(memfd);
    if (pair[1] >= 0)
        close(pair[1]);
    if (pid > 0) {
        sp->pid = (pid_t)pid;
        sp->boot = boot;
        sp->control = pair[0];
        if (sp->boot->exit.kind == THAW_EXIT_NONE)
            return 0;
        spawn_cancel(sp); /* no execve: what confines us may forbid it */
        return -1;
    }
    if (pair[0] >= 0)
        close(pair[0]);
    if (boot != MAP_FAILED)
        munmap(boot, THAW_BOOT_AREA);
    spawn_unpin(sp);
    return -1;
}

int spawn_hand_over(const struct spawned *sp, const struct sandbox_config *config, struct thaw_error *err)
{
    struct thaw_boot *boot = sp->boot;
    struct spawn_order order = {
        .memory_limit = config->memory_limit,
        .harden = config->harden,
        .pinned = sp->pinned,
        .cpus = sp->cpus,
    };
    const int fds[2] = {config->image_fd, config->restore ? config->restore->fd : -1};
    const size_t fds_size = config->restore ? sizeof fds : sizeof *fds;
    struct iovec iov = {&order, sizeof order};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof fds)];
    } control = {.space = {0}};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(fds_size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    if (sp->pinned)
        boot->cpus = machine_cpus_limit(&order.cpus, config->cpus);
    boot->host_pid = (uint32_t)sp->pid;
    filter_set_pid((struct sock_filter *)((char *)boot + boot->filter_off), boot->filter_len, sp->pid);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds_size);
    memcpy(CMSG_DATA(c), fds, fds_size);
    sigprocmask(SIG_BLOCK, &sp->forwarded, NULL);
    /* One that has failed meanwhile has said so in the boot area. */
    if (sendmsg(sp->control, &msg, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return thaw_error_set(err, 125, errno, "handing the sandbox process its files: %s", strerror(errno));
    return 0;
}

void spawn_cancel(struct spawned *sp)
{
    if (sp->pid <= 0)
        return;
    spawn_unpin(sp);
    kill(sp->pid, SIGKILL);
    while (waitpid(sp->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(sp->pidfd);
    close(sp->control);
    munmap(sp->boot, THAW_BOOT_AREA);
    sp->pid = 0;
}

#else /* what libthaw is linked into cannot be executed anew */

int spawn_begin(struct spawned *sp)
{
    sp->pid = 0;
    return -1;
}

int spawn_hand_over(const struct spawned *sp, const struct sandbox_config *config, struct thaw_error *err)
{
    (void)sp;
    (void)config;
    return thaw_error_set(err, 125, ENOSYS, "no sandbox process was spawned");
}

void spawn_unpin(struct spawned *sp) { (void)sp; }

void spawn_cancel(struct spawned *sp) { (void)sp; }

#endif
