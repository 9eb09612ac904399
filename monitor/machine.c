/* SPDX-License-Identifier: MIT */
/* Starting and stopping a sandbox, on whichever machine. */
#define _GNU_SOURCE
#include "machine.h"

#include "filter.h"
#include "process.h"
#include "spawned.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

#define ANSWERS_MAX (128u << 10)

const struct machine *machine_find(const char name[8])
{
    static const struct machine *const machines[] = {&machine_process, &machine_kvm};

    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (memcmp(machines[i]->name, name, sizeof machines[i]->name) == 0)
            return machines[i];
    return NULL;
}

uint32_t machine_cpus_limit(cpu_set_t *set, uint32_t most)
{
    uint32_t n = 0;

    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set) && n++ >= most && most)
            CPU_CLR(i, set);
    return most && n > most ? most : n;
}

static uint32_t cpus_count(const struct sandbox_config *config)
{
    cpu_set_t cpus;

    if (config->machine == &machine_kvm)
        return config->cpus ? config->cpus : 1;
    return sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : machine_cpus_limit(&cpus, config->cpus);
}

/* Lays out the boot area; the tables' offsets are the monitor's choice. */
static int boot_fill(struct sandbox *sb, const struct sandbox_config *config, size_t *used, struct thaw_error *err)
{
    struct thaw_boot *boot = sb->boot;
    const struct snapshot *snap = config->restore;
    size_t off = BOOT_TABLES;

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
    boot->image_size = config->image_fd < 0 ? 0 : config->image_size;
    boot->cpus = cpus_count(config);
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
    if (config->machine == &machine_kvm) {
        off = (off + THAW_PAGE_SIZE - 1) & ~(size_t)(THAW_PAGE_SIZE - 1);
        boot->kvm_off = sb->kvm_off = off;
        off += sizeof(struct thaw_kvm);
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
_Static_assert(BOOT_TABLES + FILTER_MAX * sizeof(struct sock_filter) + THAW_REQUEST_MAX + ANSWERS_MAX + THAW_PAGE_SIZE +
                       sizeof(struct thaw_kvm) + THAW_REGION_MAX * sizeof(struct thaw_region) + 8 <=
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

static void regions_count(struct sandbox *sb, const struct sandbox_config *config)
{
    for (uint32_t i = 0; config->restore && i < config->restore->region_count; i++) {
        const struct thaw_region *r = &config->restore->regions[i];
        if (r->kind != THAW_REGION_COPY)
            *(r->kind == THAW_REGION_POPULATE ? &sb->pages_populated : &sb->pages_mapped) += r->len / THAW_PAGE_SIZE;
    }
}

/* A process was spawned ahead, and its standard descriptors are right. */
static bool spawned_fits(const struct sandbox_config *config)
{
    return config->spawned && config->spawned->pid > 0 && config->machine == &machine_process &&
           config->stdio[0] == 0 && config->stdio[1] == 1 && config->stdio[2] == 2 && config->image_fd >= 0;
}

static int machine_start_spawned(struct sandbox *sb, const struct sandbox_config *config, struct thaw_error *err)
{
    struct spawned *sp = config->spawned;
    size_t used;

    sb->boot = sp->boot;
    sb->boot_kept = true; /* the command is about to end then, and all its memory at once costs less */
    sb->control = sp->control;
    sb->pidfd = sp->pidfd;
    sb->proc = -1;
    sb->pid = sp->pid;
    if (config->machine->prepare(sb, NULL, err) || boot_fill(sb, config, &used, err) ||
        spawn_hand_over(sp, config, err)) {
        sp->pid = 0;
        machine_stop(sb, NULL);
        return -1;
    }
    sp->pid = 0;
    if (!config->restore) /* a cold start takes long, and makes other processes */
        spawn_unpin(sp);
    regions_count(sb, config);
    return 0;
}

int machine_start(struct sandbox *sb, const struct sandbox_config *config, struct thaw_error *err)
{
    struct child c = {.config = config, .sb = sb, .parent = getpid()};
    sigset_t outside, old;
    int pair[2];

    memset(sb, 0, sizeof(*sb));
    sb->pidfd = sb->control = sb->proc = -1;
    sb->config = config;
    sb->shares = config->shares;
    if (config->request->size > THAW_REQUEST_MAX)
        return thaw_error_set(err, 125, E2BIG, "the request is too large");
    if (spawned_fits(config))
        return machine_start_spawned(sb, config, err);
    if (config->spawned) /* its pinning would be inherited */
        spawn_cancel(config->spawned);
    sb->boot = boot_map();
    if (sb->boot == MAP_FAILED) {
        sb->boot = NULL;
        return thaw_error_set(err, 125, errno, "no memory for the boot area: %s", strerror(errno));
    }
    madvise(sb->boot, BOOT_TABLES + 0x4000, MADV_POPULATE_WRITE);
    if (boot_fill(sb, config, &c.boot_used, err))
        goto bad;
    sb->boot->vdso = host_vdso_find();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        thaw_error_set(err, 125, errno, "socketpair: %s", strerror(errno));
        goto bad;
    }
    sb->control = pair[0];
    c.boot = sb->boot;
    for (int i = 0; i < CHILD_FDS; i++)
        c.fds[i] = -1;
    memcpy(c.fds, config->stdio, sizeof(config->stdio));
    c.fds[THAW_FD_CONTROL] = pair[1];
    c.fds[THAW_FD_IMAGE] = config->image_fd;
    c.fds[THAW_FD_SNAPSHOT] = config->restore ? config->restore->fd : -1;

    if (config->machine->prepare(sb, &c, err)) {
        close(pair[1]);
        goto bad;
    }

    process_signals_block(&outside, &old);
    if (config->spawned)
        sigorset(&old, &old, &config->spawned->forwarded);
    long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &sb->pidfd, 0, 0);
    if (pid == 0)
        config->machine->run(&c);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(pair[1]);
    if (config->machine->prepared)
        config->machine->prepared(sb, &c);
    if (pid < 0) {
        thaw_error_set(err, 125, errno, "starting the sandbox process: %s", strerror(errno));
        goto bad;
    }
    sb->pid = (pid_t)pid;
    regions_count(sb, config);
    return 0;
bad:
    machine_stop(sb, NULL);
    return -1;
}

int machine_proc(struct sandbox *sb)
{
    if (sb->proc < 0)
        sb->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return sb->proc;
}

void machine_stop(struct sandbox *sb, int *wstatus)
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
    if (sb->boot && !sb->boot_kept)
        munmap(sb->boot, THAW_BOOT_AREA);
    sb->boot = NULL;
}
