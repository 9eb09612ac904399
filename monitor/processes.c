/* SPDX-License-Identifier: MIT */
/*
 * The host processes of a sandbox, beside its first.
 *
 * The sandbox's filter lets it make a process only with the monitor's leave (seccomp_unotify(2)). Here they are counted,
 * known by pidfd once the guest's kernel has told their numbers, signalled, and killed at the end. None of this believes
 * the guest: a number counts only if the process behind it holds our control socket as its descriptor 3, which the
 * sandbox can neither close nor pass on. Those that the guest does not tell of are found in /proc by the same mark.
 *
 * A keeper, a process of its own, does the last when the monitor is killed: the host kills only the first process then.
 */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1ul
#endif

#define CLONE_PROCESS (CLONE_PARENT_SETTID | SIGCHLD)
#define CLONE_PARENT_SETTID 0x00100000
#define MARK_MAX 40
#define RECOUNT_NS 500000000u
/* The kernel's part of the memory file beside its heap: see kernel/process/share.c. */
#define KERNEL_PART_MAX (1ull << 30)
#define KERNEL_HEAP_EXTRA (16ull << 20)

struct process {
    pid_t pid;
    int pidfd;
};

struct processes {
    int notify; /* seccomp's listener */
    int memory;
    bool memory_given;
    pid_t keeper;
    char mark[MARK_MAX]; /* what /proc/PID/fd/3 reads for each process of the sandbox */
    unsigned count;      /* of known[] */
    unsigned unreported; /* were allowed, and not told of yet */
    uint64_t recounted;  /* CLOCK_MONOTONIC ns of the last look at how many there really are */
    struct process known[THAW_PROCESS_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- whose process it is ---- */

static bool has_mark(int dir, const char *path, const char *mark)
{
    char text[MARK_MAX];
    ssize_t n = readlinkat(dir, path, text, sizeof text);

    return n > 0 && (size_t)n == strlen(mark) && memcmp(text, mark, (size_t)n) == 0;
}

/* Calls fn for each number in directory fd, which is read from its beginning, until fn says false. */
static void each_number(int fd, bool (*fn)(int dir, unsigned number, void *arg), void *arg)
{
    struct entry {
        uint64_t ino;
        int64_t off;
        unsigned short reclen;
        unsigned char type;
        char name[];
    };
    char buf[8192] __attribute__((aligned(8)));
    long n;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return;
    while ((n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(buf + at);
            char *end;
            unsigned long number = strtoul(e->name, &end, 10);

            at += e->reclen;
            if (*end == 0 && end != e->name && !fn(fd, (unsigned)number, arg))
                return;
        }
}

struct search {
    const char *mark;
    bool found;
    unsigned count;
};

static bool thread_has_mark(int dir, unsigned tid, void *arg)
{
    struct search *s = arg;
    char path[32];

    snprintf(path, sizeof path, "%u/fd/3", tid);
    s->found = has_mark(dir, path, s->mark);
    return !s->found;
}

/* The first thread may have ended before the others; then it shows no descriptors, not even to its own user (EACCES). */
static bool process_has_mark(int proc, pid_t pid, const char *mark)
{
    struct search s = {.mark = mark};
    char path[32];
    int dir;

    snprintf(path, sizeof path, "%d/fd/3", (int)pid);
    if (has_mark(proc, path, mark))
        return true;
    snprintf(path, sizeof path, "%d/task", (int)pid);
    dir = (int)syscall(SYS_openat, proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return false;
    each_number(dir, thread_has_mark, &s);
    close(dir);
    return s.found;
}

static bool pidfd_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, 0) != 0;
}

/* A pidfd of pid, if that is a process of the sandbox; -1. */
static int process_open(int proc, pid_t pid, const char *mark)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0)
        return -1;
    /* Alive after the look, so the look was at this process and not at one that had the number before or after it. */
    if (process_has_mark(proc, pid, mark) && !pidfd_ended(fd))
        return fd;
    close(fd);
    return -1;
}

/* ---- killing what was not told of ---- */

static bool kill_if_ours(int proc, unsigned pid, void *arg)
{
    struct search *s = arg;
    int fd;

    /* Most processes are not: look before opening. */
    if (!process_has_mark(proc, (pid_t)pid, s->mark))
        return true;
    s->count++;
    fd = process_open(proc, (pid_t)pid, s->mark);
    if (fd < 0)
        return true;
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    close(fd);
    return true;
}

/* No new ones come, since nobody allows them any more, but one that was allowed may just be on its way: its maker is
 * seen as long as it is not there. */
static void kill_marked(int proc, const char *mark)
{
    for (;;) {
        struct search s = {.mark = mark};

        each_number(proc, kill_if_ours, &s);
        if (s.count == 0)
            return;
        poll(NULL, 0, 1);
    }
}

/* ---- the keeper ---- */

static void close_all_but(int a, int b)
{
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

    if (low > 0)
        syscall(SYS_close_range, 0, low - 1, 0);
    if (high > low + 1)
        syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0u, 0);
}

static void keeper_run(pid_t monitor, int proc, const char *mark) __attribute__((noreturn));
static void keeper_run(pid_t monitor, int proc, const char *mark)
{
    int fd = (int)syscall(SYS_pidfd_open, monitor, 0);

    if (fd >= 0 && (pid_t)syscall(SYS_getppid) == monitor) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        close_all_but(fd, proc);
        while (poll(&p, 1, -1) <= 0)
            ;
    }
    kill_marked(proc, mark);
    for (;;)
        syscall(SYS_exit_group, 0);
}

static int keeper_start(struct sandbox *sb, struct processes *ps)
{
    pid_t self = getpid();
    sigset_t all, old;
    long pid;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    pid = syscall(SYS_clone, 0, 0, 0, 0, 0); /* without a signal at its end: nobody but us is to wait for it */
    if (pid == 0)
        keeper_run(self, sb->proc, ps->mark);
    sigprocmask(SIG_SETMASK, &old, NULL);
    ps->keeper = (pid_t)pid;
    return pid < 0 ? -errno : 0;
}

/* ---- serving ---- */

static int mark_read(struct sandbox *sb, struct processes *ps)
{
    char path[32];
    ssize_t n;

    snprintf(path, sizeof path, "%d/fd/3", (int)sb->pid);
    n = readlinkat(sb->proc, path, ps->mark, sizeof ps->mark);
    if (n <= 0 || (size_t)n == sizeof ps->mark || memcmp(ps->mark, "socket:[", 8) != 0)
        return -EIO;
    return 0;
}

static int memory_make(const struct sandbox *sb, struct processes *ps, uint64_t kernel_part, uint64_t *size)
{
    if (kernel_part > KERNEL_PART_MAX || kernel_part % THAW_PAGE_SIZE)
        return -EINVAL;
    *size = kernel_part + ((sb->config->memory_limit + KERNEL_HEAP_EXTRA) & ~(uint64_t)(THAW_PAGE_SIZE - 1));
    ps->memory = (int)syscall(SYS_memfd_create, "thaw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ps->memory < 0 || ftruncate(ps->memory, (off_t)*size) < 0 ||
        fcntl(ps->memory, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    return 0;
}

static void processes_free(struct processes *ps)
{
    for (unsigned i = 0; i < ps->count; i++)
        close(ps->known[i].pidfd);
    if (ps->notify >= 0)
        close(ps->notify);
    if (ps->memory >= 0)
        close(ps->memory);
    free(ps);
}

int64_t processes_prepare(struct sandbox *sb, const struct thaw_call *call)
{
    struct processes *ps;
    uint64_t size;
    int err = -EIO;

    if (sb->processes || machine_proc(sb) < 0 || call->arg[0] > 1024)
        return -EAGAIN;
    ps = calloc(1, sizeof *ps);
    if (!ps)
        return -ENOMEM;
    ps->memory = -1;
    ps->notify = (int)syscall(SYS_pidfd_getfd, sb->pidfd, (int)call->arg[0], 0);
    if (ps->notify < 0)
        err = -errno;
    else
        err = mark_read(sb, ps);
    err = err ? err : memory_make(sb, ps, call->arg[1], &size);
    err = err ? err : keeper_start(sb, ps);
    /* The one who asks sleeps until we answer: the host may run us in its place. Older hosts cannot. */
    if (!err)
        ioctl(ps->notify, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    if (err) {
        processes_free(ps);
        return err;
    }
    sb->processes = ps;
    return (int64_t)size;
}

int processes_fd(const struct sandbox *sb) { return sb->processes ? sb->processes->notify : -1; }

static void forget_ended(struct processes *ps)
{
    for (unsigned i = 0; i < ps->count;) {
        if (!pidfd_ended(ps->known[i].pidfd)) {
            i++;
            continue;
        }
        close(ps->known[i].pidfd);
        ps->known[i] = ps->known[--ps->count];
    }
}

static struct process *process_find(struct processes *ps, uint64_t pid)
{
    for (unsigned i = 0; i < ps->count; i++)
        if ((uint64_t)ps->known[i].pid == pid)
            return &ps->known[i];
    return NULL;
}

void processes_add(struct sandbox *sb, uint64_t pid)
{
    struct processes *ps = sb->processes;
    struct process *known;
    int fd;

    if (!ps || pid == 0 || pid > 0x7fffffff || pid == (uint64_t)sb->pid)
        return;
    known = process_find(ps, pid);
    if (known) {
        if (!pidfd_ended(known->pidfd))
            return;
        close(known->pidfd);
        *known = ps->known[--ps->count];
    }
    fd = process_open(sb->proc, (pid_t)pid, ps->mark);
    if (fd < 0)
        return; /* ended already, or a lie: it counts as untold until recount() */
    if (ps->count == THAW_PROCESS_MAX) {
        close(fd);
        return;
    }
    if (ps->unreported > 0)
        ps->unreported--;
    ps->known[ps->count++] = (struct process){(pid_t)pid, fd};
}

void processes_kick(struct sandbox *sb, uint64_t pid, uint64_t tid)
{
    struct process *p = sb->processes ? process_find(sb->processes, pid) : NULL;

    /* Alive now, and it cannot be replaced by another of its number before the next line: only we let the sandbox make
     * processes, and the host hands a number out again only after all others. */
    if (p && tid <= 0x7fffffff && !pidfd_ended(p->pidfd))
        syscall(SYS_tgkill, p->pid, (pid_t)tid, THAW_SIG_KICK);
}

static bool count_if_ours(int proc, unsigned pid, void *arg)
{
    struct search *s = arg;

    s->count += process_has_mark(proc, (pid_t)pid, s->mark);
    return true;
}

/* How many there really are, the guest's word aside. */
static void recount(const struct sandbox *sb, struct processes *ps)
{
    struct search s = {.mark = ps->mark};
    uint64_t now = now_ns();

    if (ps->recounted && now - ps->recounted < RECOUNT_NS)
        return;
    ps->recounted = now;
    poll(NULL, 0, 20); /* what was allowed just now shows itself */
    each_number(sb->proc, count_if_ours, &s);
    forget_ended(ps);
    ps->unreported = s.count > 1 + ps->count ? s.count - 1 - ps->count : 0;
}

static bool may_make(const struct sandbox *sb, struct processes *ps)
{
    if (1 + ps->count + ps->unreported >= THAW_PROCESS_MAX)
        forget_ended(ps);
    if (1 + ps->count + ps->unreported >= THAW_PROCESS_MAX)
        recount(sb, ps);
    return 1 + ps->count + ps->unreported < THAW_PROCESS_MAX;
}

/* Puts the memory file into the process that asks. */
static int memory_give(struct processes *ps, uint64_t id)
{
    struct seccomp_notif_addfd add = {
        .id = id, .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (uint32_t)ps->memory, .newfd = THAW_FD_MEMORY};

    if (ps->memory_given)
        return -EPERM;
    if (ioctl(ps->notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0)
        return -errno;
    ps->memory_given = true;
    return THAW_FD_MEMORY;
}

void processes_serve(struct sandbox *sb)
{
    struct processes *ps = sb->processes;
    struct seccomp_notif rq;
    struct seccomp_notif_resp resp;
    struct pollfd p = {.events = POLLIN};
    int fd;

    if (!ps)
        return;
    p.fd = ps->notify;
    memset(&rq, 0, sizeof rq);
    if (poll(&p, 1, 0) <= 0)
        return;
    if (!(p.revents & POLLIN) && (p.revents & POLLHUP)) { /* nobody is left who could ask */
        close(ps->notify);
        ps->notify = -1;
        return;
    }
    if (!(p.revents & POLLIN) || ioctl(ps->notify, SECCOMP_IOCTL_NOTIF_RECV, &rq) < 0)
        return;
    memset(&resp, 0, sizeof resp);
    resp.id = rq.id;
    if (rq.data.nr == SYS_memfd_create) {
        fd = memory_give(ps, rq.id);
        if (fd < 0)
            resp.error = fd;
        else
            resp.val = fd;
    } else if (rq.data.nr == SYS_clone && rq.data.args[0] == CLONE_PROCESS && may_make(sb, ps)) {
        resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE; /* its argument is a value: nothing can change it now */
        ps->unreported++;
    } else {
        resp.error = -EAGAIN;
    }
    if (ioctl(ps->notify, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 && resp.flags)
        ps->unreported--;
}

void processes_end(struct sandbox *sb)
{
    struct processes *ps = sb->processes;

    if (!ps)
        return;
    for (unsigned i = 0; i < ps->count; i++)
        syscall(SYS_pidfd_send_signal, ps->known[i].pidfd, SIGKILL, NULL, 0);
    for (unsigned i = 0; i < ps->count; i++) {
        struct pollfd p = {.fd = ps->known[i].pidfd, .events = POLLIN};
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
            ;
    }
    if (ps->unreported > 0)
        kill_marked(sb->proc, ps->mark);
    if (ps->keeper > 0) {
        kill(ps->keeper, SIGKILL);
        while (waitpid(ps->keeper, NULL, __WALL) < 0 && errno == EINTR)
            ;
    }
    processes_free(ps);
    sb->processes = NULL;
}
