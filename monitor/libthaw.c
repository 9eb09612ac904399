/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/* The public library: images, snapshots, and the life of a sandbox. */
#include "libthaw.h"

#include "choice.h"
#include "kvm_cpuid.h"
#include "machine.h"
#include "page_cache.h"
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_DEFAULT (256ull << 20)
#define MEMORY_MIN (4ull << 20)
#define PYTHON_EXE "/usr/lib/thaw/python"
#define SNAPSHOTS_KEPT 8
#define SNAPSHOT_CREATE_TIMEOUT (300ll * 1000000000)

struct thaw_sandbox {
    struct sandbox sb;
    struct sandbox_config config;
    struct thaw_request *request;
    struct snapshot snapshot;
    struct snapshot_key key;
    const struct thaw_store *store;
    struct cpuid *cpuid; /* kvm: the host's, or a restored guest's */
    char *snapshot_to;
    int lock;    /* held while the automatic snapshot is being made */
    int near[3]; /* our ends of pipes, or -1 */
    bool has_snapshot, ended, control_gone, stopping, broken;
    void (*notice)(void *arg, const char *line);
    void *notice_arg;
    void (*on_snapshot)(void *arg);
    void *on_snapshot_arg;
    struct thaw_error failure; /* why it was stopped, if broken */
    struct thaw_status status;
    char refusal[256]; /* why its kernel refused the snapshot */
    char unmade[256];  /* why the monitor did not make it */
    struct thaw_statistics statistics;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts); /* as command_now() */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int out_of_memory(struct thaw_error *err)
{
    return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
}

/* ---- images and snapshots ---- */

int thaw_image_open(struct thaw_store *store, const char *name, struct thaw_image **res, struct thaw_error *err)
{
    struct thaw_image *image = malloc(sizeof *image);
    const char *base = strrchr(name, '/');
    size_t n;

    if (!image)
        return out_of_memory(err);
    if (image_open(&image->image, store, name, false, err) < 0) {
        free(image);
        return -1;
    }
    base = base ? base + 1 : name;
    image->info = NULL;
    image->defaults = NULL;
    n = strcspn(base, ".");
    if (n > STORE_NAME_MAX)
        n = STORE_NAME_MAX;
    memcpy(image->name, base, n);
    image->name[n] = 0;
    *res = image;
    return 0;
}

void thaw_image_close(struct thaw_image *image)
{
    if (!image)
        return;
    image_close(&image->image);
    free(image->info);
    free(image->defaults);
    free(image);
}

/* AUTO's choice is made once for a start, so that its snapshot is of the same machine. */
static const struct machine *machine_for(enum thaw_machine machine)
{
    return machine == THAW_MACHINE_KVM ? &machine_kvm : &machine_process;
}

int thaw_image_defaults(struct thaw_image *image, const char *const **argv, const char *const **env, const char **cwd,
                        struct thaw_error *err)
{
    size_t n = 0;

    if (!image->info) {
        struct image_info *info = malloc(sizeof *info);

        if (!info)
            return out_of_memory(err);
        if (image_info_read(info, image->image.path, err) < 0) {
            free(info);
            return -1;
        }
        image->info = info;
    }
    const char *config = image->info->config, *end = config + image->info->config_len;
    free(image->defaults);
    image->defaults = calloc(image->info->config_len + 2, sizeof *image->defaults);
    if (!image->defaults)
        return out_of_memory(err);
    *argv = image->defaults;
    *cwd = NULL;
    for (const char *p = config; p < end; p += strlen(p) + 1)
        if (*p == 'A')
            image->defaults[n++] = p + 1;
        else if (*p == 'W')
            *cwd = p + 1;
    *env = image->defaults + ++n;
    for (const char *p = config; p < end; p += strlen(p) + 1)
        if (*p == 'E')
            image->defaults[n++] = p + 1;
    return 0;
}

static int key_for(const struct machine *machine, const struct thaw_image *image, struct snapshot_key *key,
                   struct thaw_error *err)
{
    memset(key, 0, sizeof *key);
    if (snapshot_key_init(key, machine, err) < 0)
        return -1;
    memcpy(key->image, image->image.checksum, sizeof key->image);
    return 0;
}

int snapshot_result_error(enum snapshot_result result, const char *path, struct thaw_error *err)
{
    switch (result) {
    case SNAPSHOT_OK: return 0;
    case SNAPSHOT_ABSENT:
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOENT, "no snapshot %s; `thaw snapshot create` makes one",
                              path);
    case SNAPSHOT_STALE:
        return thaw_error_set(err, THAW_STATUS_FAILED, ESTALE,
                              "snapshot %s belongs to another build of thaw, image or CPU; make it anew with `thaw "
                              "snapshot create`",
                              path);
    case SNAPSHOT_DAMAGED: {
        char why[200];

        snprintf(why, sizeof why, "%s", err->text);
        return thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG, "snapshot %s is damaged%s%s; make it anew", path,
                              why[0] && !strstr(why, path) ? ": " : "", strstr(why, path) ? "" : why);
    }
    default:
        if (!err->text[0])
            thaw_error_set(err, THAW_STATUS_FAILED, EIO, "cannot open snapshot %s", path);
        return -1;
    }
}

int thaw_snapshot_open(struct thaw_store *store, const struct thaw_image *image, const char *name,
                       struct thaw_snapshot **res, struct thaw_error *err)
{
    struct thaw_snapshot *s;
    struct snapshot_key key;
    char path[PATH_MAX];
    enum snapshot_result r;

    if (store_snapshot_named(store, name, false, path, err) < 0)
        return -1;
    s = calloc(1, sizeof *s);
    if (!s)
        return out_of_memory(err);
    err->text[0] = 0;
    /* Which machine it is for is written in it. */
    r = snapshot_open(&s->snapshot, path, NULL, false, err);
    if (r == SNAPSHOT_OK) {
        const struct machine *machine = machine_find((const char *)s->snapshot.key.machine);
        if (key_for(machine, image, &key, err) < 0)
            r = SNAPSHOT_ERROR;
        /* On kvm the processor's features are in the snapshot, and compared when it is started. */
        if (machine == &machine_kvm)
            memcpy(key.cpu, s->snapshot.key.cpu, sizeof key.cpu);
        if (r == SNAPSHOT_OK && memcmp(&key, &s->snapshot.key, sizeof key) != 0)
            r = SNAPSHOT_STALE;
        if (r != SNAPSHOT_OK)
            snapshot_close(&s->snapshot);
    }
    if (r != SNAPSHOT_OK) {
        free(s);
        return snapshot_result_error(r, path, err);
    }
    *res = s;
    return 0;
}

void thaw_snapshot_close(struct thaw_snapshot *s)
{
    if (!s)
        return;
    snapshot_close(&s->snapshot);
    free(s);
}

/* ---- starting ---- */

static void notice(const struct thaw_sandbox *s, const char *line)
{
    if (s->notice)
        s->notice(s->notice_arg, line);
}

/* Python reads these only when it begins, so that a restored one would not heed them. */
static bool env_needs_cold(const char *const *env)
{
    for (; env && *env; env++)
        if (strncmp(*env, "PYTHON", 6) == 0 || strncmp(*env, "LC_", 3) == 0 || strncmp(*env, "LANG=", 5) == 0)
            return true;
    return false;
}

/* On kvm: what the guest sees of its processor, the host's until a snapshot says otherwise. */
static int processor_prepare(struct thaw_sandbox *s, struct thaw_error *err)
{
    if (s->config.machine != &machine_kvm)
        return 0;
    s->cpuid = malloc(sizeof *s->cpuid);
    if (!s->cpuid)
        return out_of_memory(err);
    s->config.cpuid = s->cpuid;
    return cpuid_host(s->cpuid, err);
}

/* False: the host lacks what why says. */
static bool processor_restore(struct thaw_sandbox *s, const struct snapshot *snapshot, char why[CPUID_WHY])
{
    struct cpuid saved = {.count = snapshot->cpuid_count};

    if (s->config.machine != &machine_kvm)
        return true;
    memcpy(saved.entry, snapshot->cpuid, saved.count * sizeof saved.entry[0]);
    if (!cpuid_fits(s->cpuid, &saved, why))
        return false;
    *s->cpuid = saved;
    return true;
}

static enum snapshot_result snapshot_open_auto(struct thaw_sandbox *s, const char *path, struct thaw_error *err)
{
    enum snapshot_result r = snapshot_open(&s->snapshot, path, &s->key, false, err);
    char why[CPUID_WHY];

    if (r == SNAPSHOT_OK && !processor_restore(s, &s->snapshot, why)) {
        snapshot_close(&s->snapshot);
        return SNAPSHOT_STALE;
    }
    return r;
}

/*
 * Decides what an automatic start does: restores, or boots cold and makes the snapshot, or (another process is just
 * making it, or nothing can be written) boots cold. Troubles with the snapshot are no reason not to start.
 */
static int start_auto(struct thaw_sandbox *s, const struct thaw_start *start, struct thaw_error *err)
{
    const struct thaw_image *image = start->image;
    struct thaw_error why = {0};
    enum snapshot_result r;
    char path[PATH_MAX];

    if (key_for(s->config.machine, image, &s->key, err) < 0 ||
        store_snapshot_auto(s->store, image->name, &s->key, path, err) < 0)
        return -1;
    r = snapshot_open_auto(s, path, &why);
    if (r == SNAPSHOT_OK)
        goto restore;
    if (r == SNAPSHOT_ERROR) {
        snapshot_result_error(r, path, &why);
        notice(s, why.text);
        return 0;
    }
    if (store_make_parents(path, &why) < 0) {
        char line[600];

        snprintf(line, sizeof line, "no snapshot can be kept, so this start is cold: %s", why.text);
        notice(s, line);
        return 0;
    }
    s->lock = store_lock(path);
    if (s->lock < 0) {
        if (errno != EWOULDBLOCK) {
            thaw_error_set(&why, THAW_STATUS_FAILED, errno,
                           "no snapshot can be kept, so this start is cold: cannot write beside %s: %s", path,
                           strerror(errno));
            notice(s, why.text);
        }
        return 0;
    }
    /* It may have been finished between our look and the lock. */
    why.text[0] = 0;
    r = snapshot_open_auto(s, path, &why);
    if (r == SNAPSHOT_OK) {
        close(s->lock);
        s->lock = -1;
        goto restore;
    }
    if (r == SNAPSHOT_DAMAGED) {
        char line[600];

        snapshot_result_error(r, path, &why);
        snprintf(line, sizeof line, "%s: done now", why.text);
        notice(s, line);
    }
    if (r == SNAPSHOT_DAMAGED || r == SNAPSHOT_STALE)
        store_remove(path);
    s->snapshot_to = strdup(path);
    return s->snapshot_to ? 0 : out_of_memory(err);
restore:
    s->has_snapshot = true;
    s->config.restore = &s->snapshot;
    return 0;
}

static int stdio_prepare(struct thaw_sandbox *s, const struct thaw_start *start, int far[3], struct thaw_error *err)
{
    for (int i = 0; i < 3; i++) {
        int fds[2], want = start->stdio[i];

        if (want >= 0) {
            s->config.stdio[i] = want;
            continue;
        }
        if (want == THAW_STDIO_NULL) {
            far[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        } else if (want != THAW_STDIO_PIPE) {
            return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "%d is no descriptor", want);
        } else if (i == 0) {
            /* A socket, because one can be written to without a SIGPIPE. */
            if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0) {
                shutdown(fds[0], SHUT_WR);
                far[i] = fds[0];
                s->near[i] = fds[1];
            }
        } else if (pipe2(fds, O_CLOEXEC) == 0) {
            far[i] = fds[1];
            s->near[i] = fds[0];
        }
        if (far[i] < 0)
            return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make a pipe: %s", strerror(errno));
        s->config.stdio[i] = far[i];
    }
    return 0;
}

static bool is_terminal(int fd)
{
    unsigned char termios[64]; /* the kernel's struct termios, of 36 bytes */

    return ioctl(fd, TCGETS, termios) == 0;
}

static int shares_prepare(struct thaw_sandbox *s, const struct thaw_start *start, struct request_mount *mounts,
                          size_t *count, struct thaw_error *err)
{
    *count = 0;
    s->config.shares = share_set_create();
    if (!s->config.shares)
        return out_of_memory(err);
    if (start->root) {
        if (share_add(s->config.shares, start->root, true, err) < 0)
            return -1;
        mounts[(*count)++] = (struct request_mount){"/", THAW_SHARE_RDONLY | THAW_SHARE_ROOT};
    }
    if (start->mount_count > THAW_SHARE_MAX - *count)
        return thaw_error_set(err, THAW_STATUS_FAILED, E2BIG, "more than %u directories are shared", THAW_SHARE_MAX);
    for (size_t i = 0; i < start->mount_count; i++) {
        const struct thaw_mount *m = &start->mounts[i];

        if (share_add(s->config.shares, m->host, m->rdonly, err) < 0)
            return -1;
        mounts[(*count)++] = (struct request_mount){m->guest, m->rdonly ? THAW_SHARE_RDONLY : 0};
    }
    return 0;
}

/* The script lies in one of the shares: its reading can be served ahead. */
static void start_preload(struct thaw_sandbox *s, const struct thaw_start *start, const struct request_mount *mounts,
                          size_t mount_count)
{
    static const char name[] = "THAW_SCRIPT=";
    const char *script = NULL;

    s->config.preload_share = -1;
    for (const char *const *e = start->env; e && *e; e++)
        if (strncmp(*e, name, sizeof name - 1) == 0)
            script = *e + sizeof name - 1;
    for (size_t i = 0; script && i < mount_count; i++) {
        size_t n = strlen(mounts[i].guest);
        if (strncmp(script, mounts[i].guest, n) == 0 && (script[n] == '/' || !script[n])) {
            s->config.preload_share = (int)i;
            s->config.preload_path = script[n] ? script + n + 1 : "";
        }
    }
}

static int start_request(struct thaw_sandbox *s, const struct thaw_start *start, const struct request_mount *mounts,
                         size_t mount_count, struct thaw_error *err)
{
    static const char *const defaults[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8",
                                           "THAW_SNAPSHOT=1", NULL};
    static const char *const defaults_cold[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8",
                                                NULL};
    bool exec = start->flags & THAW_START_EXEC;
    struct request_source source = {
        .exe = exec ? start->argv[0] : PYTHON_EXE,
        .argv = start->argv,
        .defaults = s->config.restore || s->snapshot_to ? defaults : defaults_cold,
        .env = start->env,
        .cwd = start->cwd ? start->cwd
               : exec     ? "/"
                          : "/root",
        .umask = 022,
        .mounts = mounts,
        .mount_count = mount_count,
    };

    for (int i = 0; i < 3; i++)
        if (start->stdio[i] >= 0 && is_terminal(start->stdio[i]))
            source.stdio_tty |= 1u << i;
    start_preload(s, start, mounts, mount_count);
    s->request = request_build(&source, err);
    return s->request ? 0 : -1;
}

static int start_check(const struct thaw_start *start, struct thaw_error *err)
{
    if (start->size != sizeof *start)
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL,
                              "struct thaw_start is of another version of the library");
    if (!start->argv || !start->argv[0])
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "nothing to run");
    if (!start->image == !start->root)
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "the root is to be an image or a directory");
    if (start->root && !(start->flags & THAW_START_EXEC))
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "Python is run from an image, not from a directory");
    if (start->mode == THAW_MODE_FROM && (!start->snapshot || !start->image))
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "no snapshot to start from");
    if (start->memory && start->memory < MEMORY_MIN)
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "less than %llu MiB of memory is too little",
                              MEMORY_MIN >> 20);
    return 0;
}

static int sandbox_start(struct thaw_store *store, const struct thaw_start *start, const char *snapshot_to,
                         const char *training, struct spawned *spawned, struct thaw_sandbox **res,
                         struct thaw_error *err)
{
    struct request_mount mounts[THAW_SHARE_MAX];
    int far[3] = {-1, -1, -1};
    struct thaw_sandbox *s;
    size_t mount_count;
    uint64_t t = now_ns();
    enum thaw_machine machine = start->machine;

    if (start_check(start, err) < 0)
        return -1;
    /* A snapshot says itself which machine it is for. */
    if ((machine != THAW_MACHINE_AUTO || start->mode != THAW_MODE_FROM) &&
        choice_make(store, machine, &machine, err) < 0)
        return -1;
    if (start->machine == THAW_MACHINE_AUTO && machine == THAW_MACHINE_KVM &&
        (start->cpus > THAW_KVM_CPUS_MAX || !machine_kvm_holds(start->memory ? start->memory : MEMORY_DEFAULT,
                                                               start->image ? start->image->image.size : 0)))
        machine = THAW_MACHINE_PROCESS;
    s = calloc(1, sizeof *s);
    if (!s)
        return out_of_memory(err);
    s->store = store;
    s->statistics.start_ns = t;
    s->notice = start->notice;
    s->notice_arg = start->notice_arg;
    s->lock = s->near[0] = s->near[1] = s->near[2] = -1;
    s->sb.pidfd = s->sb.control = s->sb.proc = -1;
    s->config = (struct sandbox_config){
        .machine = machine_for(machine),
        .image_fd = start->image ? start->image->image.fd : -1,
        .image_size = start->image ? start->image->image.size : 0,
        .memory_limit = start->memory ? start->memory : MEMORY_DEFAULT,
        .cpus = start->cpus,
        .strace = start->flags & THAW_START_STRACE,
        .harden = start->flags & THAW_START_HARDEN,
        .exec = start->flags & THAW_START_EXEC,
        .training = training,
        .spawned = spawned,
    };
    if (start->mode == THAW_MODE_FROM) {
        const struct machine *made_on = machine_find((const char *)start->snapshot->snapshot.key.machine);
        if (start->machine != THAW_MACHINE_AUTO && made_on != s->config.machine) {
            thaw_error_set(err, THAW_STATUS_FAILED, ESTALE, "the snapshot was made on the machine %s, not %s",
                           made_on->name, s->config.machine->name);
            goto bad;
        }
        s->config.machine = made_on;
    }
    if (processor_prepare(s, err) < 0)
        goto bad;
    if (snapshot_to) {
        if (key_for(s->config.machine, start->image, &s->key, err) < 0)
            goto bad;
        s->snapshot_to = strdup(snapshot_to);
        if (!s->snapshot_to) {
            out_of_memory(err);
            goto bad;
        }
    } else if (start->mode == THAW_MODE_FROM) {
        char why[CPUID_WHY];
        if (!processor_restore(s, &start->snapshot->snapshot, why)) {
            thaw_error_set(err, THAW_STATUS_FAILED, ESTALE,
                           "the snapshot needs %s, which this host's KVM does not offer; make it anew here with `thaw "
                           "snapshot create`",
                           why);
            goto bad;
        }
        s->config.restore = &start->snapshot->snapshot;
    } else if (start->mode == THAW_MODE_AUTO && !(start->flags & THAW_START_EXEC) && !env_needs_cold(start->env)) {
        if (start_auto(s, start, err) < 0)
            goto bad;
    }
    if (s->config.restore)
        page_cache_prepare(s->config.restore, s->config.image_fd);
    s->config.snapshot_to = s->snapshot_to;
    s->config.key = &s->key;
    if (stdio_prepare(s, start, far, err) < 0 || shares_prepare(s, start, mounts, &mount_count, err) < 0 ||
        start_request(s, start, mounts, mount_count, err) < 0)
        goto bad;
    s->config.request = s->request;
    if (machine_start(&s->sb, &s->config, err) < 0)
        goto bad;
    s->statistics.fork_ns = now_ns();
    s->statistics.restored = s->config.restore != NULL;
    s->sb.shares = s->config.shares;
    s->sb.config = &s->config;
    for (int i = 0; i < 3; i++)
        if (far[i] >= 0)
            close(far[i]);
    *res = s;
    return 0;
bad:
    for (int i = 0; i < 3; i++)
        if (far[i] >= 0)
            close(far[i]);
    s->ended = true; /* nothing to stop */
    thaw_sandbox_free(s);
    return -1;
}

int thaw_sandbox_start(struct thaw_store *store, const struct thaw_start *start, struct thaw_sandbox **sandbox,
                       struct thaw_error *err)
{
    return sandbox_start(store, start, NULL, NULL, NULL, sandbox, err);
}

int sandbox_start_spawned(struct thaw_store *store, const struct thaw_start *start, struct spawned *spawned,
                          struct thaw_sandbox **sandbox, struct thaw_error *err)
{
    return sandbox_start(store, start, NULL, NULL, spawned, sandbox, err);
}

/* ---- the end ---- */

static void gather_statistics(struct thaw_sandbox *s)
{
    struct thaw_statistics *st = &s->statistics;
    struct thaw_stats k;

    if (s->sb.boot) {
        memcpy(&k, &s->sb.boot->stats, sizeof k);
        st->entry_ns = k.t_entry_ns;
        st->mapped_ns = k.t_mapped_ns;
        st->user_ns = k.t_user_ns;
        st->snapshot_ns = k.t_snapshot_ns;
        st->exit_ns = k.t_exit_ns;
        st->syscalls = k.syscalls;
        st->unimplemented = k.unimplemented;
        st->monitor_calls = k.monitor_calls;
        st->faults = k.faults;
        if (s->sb.kvm_off) {
            const struct thaw_kvm *page = (const void *)((const char *)s->sb.boot + s->sb.kvm_off);
            st->vm_exits = page->exits;
            st->vm_ioctls = page->ioctls;
            st->vm_slots = page->slots;
        }
    }
    st->machine = s->config.machine == &machine_kvm ? THAW_MACHINE_KVM : THAW_MACHINE_PROCESS;
    st->snapshot_made = s->sb.snapshot_made;
    st->snapshot_us = s->sb.snapshot_us;
    st->pages_populated = s->sb.pages_populated;
    st->pages_mapped = s->sb.pages_mapped;
}

/* The kernel's call fills in the resources, of a child that it leaves to be reaped; libc's waitid() has no room for it. */
static void gather_rusage(struct thaw_sandbox *s)
{
    struct rusage ru;
    siginfo_t info;
    long r;

    if (s->sb.pid <= 0)
        return;
    kill(s->sb.pid, SIGKILL); /* before it has ended there is nothing to gather; if it has, this is nothing */
    do
        r = syscall(SYS_waitid, P_PID, s->sb.pid, &info, WEXITED | WNOWAIT, &ru);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return;
    s->statistics.memory_peak = (uint64_t)ru.ru_maxrss * 1024;
    s->statistics.cpu_user_us = (uint64_t)ru.ru_utime.tv_sec * 1000000 + (uint64_t)ru.ru_utime.tv_usec;
    s->statistics.cpu_system_us = (uint64_t)ru.ru_stime.tv_sec * 1000000 + (uint64_t)ru.ru_stime.tv_usec;
}

/* Text from the sandbox, made fit for one line of a terminal. */
static void clean_text(char *dst, size_t size, const char *prefix, const char *src, size_t src_size)
{
    size_t n = strlen(prefix);

    memcpy(dst, prefix, n);
    for (size_t i = 0; i < src_size && src[i] && n + 1 < size; i++)
        dst[n++] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
    dst[n] = 0;
}

static void status_broken(struct thaw_status *st, int code, const char *text)
{
    st->end = THAW_END_BROKEN;
    st->code = code;
    st->exit_status = THAW_STATUS_FAILED;
    if (text)
        snprintf(st->text, sizeof st->text, "%s", text);
}

static void status_signaled(struct thaw_status *st, int sig)
{
    st->end = THAW_END_SIGNALED;
    st->code = sig;
    st->exit_status = THAW_STATUS_SIGNAL + sig;
}

static void status_unexplained(struct thaw_sandbox *s, int wstatus)
{
    struct thaw_status *st = &s->status;

    if (WIFSIGNALED(wstatus)) {
        int sig = WTERMSIG(wstatus);

        switch (sig) {
        case SIGKILL:
            status_signaled(st, sig);
            snprintf(st->text, sizeof st->text, "killed from outside, or by a host that is out of memory");
            return;
        case SIGINT:
        case SIGTERM:
        case SIGHUP:
        case SIGQUIT:
        case SIGUSR1:
        case SIGUSR2: /* before its kernel could take them */ status_signaled(st, sig); return;
        default:
            status_broken(st, sig, NULL);
            snprintf(st->text, sizeof st->text, "the sandbox's kernel was killed by signal %d (%s)", sig,
                     strsignal(sig));
            return;
        }
    }
    status_broken(st, 0, NULL);
    snprintf(st->text, sizeof st->text, "the sandbox ended without saying why (status %#x)", (unsigned)wstatus);
}

static void status_set(struct thaw_sandbox *s, const struct thaw_exit *e, int wstatus)
{
    struct thaw_status *st = &s->status;
    uint32_t code = e->code;

    if (s->broken) {
        status_broken(st, 0, s->failure.text);
        return;
    }
    switch (e->kind) {
    case THAW_EXIT_CODE:
        st->end = THAW_END_EXITED;
        st->code = st->exit_status = (int)(code & 255);
        return;
    case THAW_EXIT_SIGNAL:
        if (code < 1 || code > 64)
            break;
        status_signaled(st, (int)code);
        return;
    case THAW_EXIT_OOM:
        st->end = THAW_END_MEMORY;
        st->exit_status = THAW_STATUS_OUT_OF_MEMORY;
        clean_text(st->text, sizeof st->text, "out of memory: more than the sandbox may use (--memory)", "", 0);
        return;
    case THAW_EXIT_PANIC:
        st->end = THAW_END_BROKEN;
        st->exit_status = THAW_STATUS_FAILED;
        clean_text(st->text, sizeof st->text, "the sandbox's kernel gave up: ", e->text, sizeof e->text);
        if (code > 0 && code < 134 && code != ECANCELED /* the kernel's own, no errno */ &&
            strlen(st->text) < sizeof st->text - 80)
            sprintf(st->text + strlen(st->text), ": %.60s", strerror((int)code));
        return;
    case THAW_EXIT_EXEC:
        st->end = THAW_END_EXEC;
        st->code = code < 4096 ? (int)code : EIO;
        st->exit_status = st->code == ENOENT ? THAW_STATUS_NOT_FOUND : THAW_STATUS_NOT_EXECUTABLE;
        clean_text(st->text, sizeof st->text, "cannot execute ", e->text, sizeof e->text);
        if (strlen(st->text) < sizeof st->text - 80)
            sprintf(st->text + strlen(st->text), ": %.60s", strerror(st->code));
        return;
    default: break;
    }
    if (s->stopping) {
        st->end = THAW_END_STOPPED;
        st->code = SIGKILL;
        st->exit_status = THAW_STATUS_SIGNAL + SIGKILL;
        return;
    }
    status_unexplained(s, wstatus);
}

/* The sandbox's process is over, or shall be. */
static void sandbox_end(struct thaw_sandbox *s)
{
    struct thaw_exit e = {0};
    int wstatus = 0;

    if (s->ended)
        return;
    s->statistics.end_ns = now_ns();
    gather_rusage(s);
    gather_statistics(s);
    if (s->sb.boot)
        memcpy(&e, &s->sb.boot->exit, sizeof e);
    if (e.kind == THAW_EXIT_CODE || e.kind == THAW_EXIT_SIGNAL)
        clean_text(s->refusal, sizeof s->refusal, "", e.text, sizeof e.text);
    machine_stop(&s->sb, &wstatus);
    s->ended = true;
    s->sb.boot = NULL;
    s->sb.pidfd = s->sb.control = -1;
    if (s->lock >= 0)
        close(s->lock);
    s->lock = -1;
    status_set(s, &e, wstatus);
}

static void sandbox_broken(struct thaw_sandbox *s, const struct thaw_error *err)
{
    s->broken = true;
    s->failure = *err;
    sandbox_end(s);
}

void thaw_sandbox_stop(struct thaw_sandbox *s)
{
    if (s->ended)
        return;
    s->stopping = true;
    sandbox_end(s);
}

void thaw_sandbox_free(struct thaw_sandbox *s)
{
    if (!s)
        return;
    thaw_sandbox_stop(s);
    for (int i = 0; i < 3; i++)
        if (s->near[i] >= 0)
            close(s->near[i]);
    if (s->lock >= 0)
        close(s->lock);
    if (s->has_snapshot)
        snapshot_close(&s->snapshot);
    share_set_free(s->config.shares);
    free(s->request);
    free(s->snapshot_to);
    free(s->cpuid);
    free(s);
}

/* ---- serving ---- */

static void snapshot_served(void *arg)
{
    struct thaw_sandbox *s = arg;

    if (s->sb.snapshot_made && s->lock >= 0)
        store_prune(s->store, SNAPSHOTS_KEPT);
    if (s->lock >= 0)
        close(s->lock);
    s->lock = -1;
    free(s->snapshot_to);
    s->snapshot_to = NULL;
    s->config.snapshot_to = NULL;
    if (s->on_snapshot)
        s->on_snapshot(s->on_snapshot_arg);
}

/* 1: ended, 0: goes on, -1: had to be stopped. */
static int sandbox_events(struct thaw_sandbox *s, bool process, bool control, bool notify, struct thaw_error *err)
{
    if (notify && !process)
        processes_serve(&s->sb);
    if (control && !process) {
        s->sb.snapshot_served = snapshot_served;
        s->sb.snapshot_served_arg = s;
        if (control_serve(&s->sb, err) < 0) {
            if (err->text[0]) {
                sandbox_broken(s, err);
                return -1;
            }
            s->control_gone = true; /* its end is at hand */
        } else if (err->text[0]) {
            snprintf(s->unmade, sizeof s->unmade, "%.*s", (int)sizeof s->unmade - 1, err->text);
            notice(s, err->text);
        }
        return 0;
    }
    if (process) {
        sandbox_end(s);
        return 1;
    }
    return 0;
}

void thaw_sandbox_fds(const struct thaw_sandbox *s, int fds[3])
{
    fds[2] = s->ended ? -1 : processes_fd(&s->sb);
    fds[0] = s->ended ? -1 : s->sb.pidfd;
    fds[1] = s->ended || s->control_gone ? -1 : s->sb.control;
}

static int ended_result(const struct thaw_sandbox *s, struct thaw_error *err)
{
    if (s->broken)
        *err = s->failure;
    return s->broken ? -1 : 1;
}

int thaw_sandbox_step(struct thaw_sandbox *s, struct thaw_error *err)
{
    struct pollfd p[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
    int fds[3];

    if (s->ended)
        return ended_result(s, err);
    thaw_sandbox_fds(s, fds);
    p[0].fd = fds[0];
    p[1].fd = fds[1];
    p[2].fd = fds[2];
    if (poll(p, 3, 0) <= 0)
        return 0;
    return sandbox_events(s, p[0].revents, p[1].revents, p[2].revents, err);
}

/* Milliseconds for poll(2) until the deadline, rounded up; -1: without end. */
static int until(uint64_t deadline)
{
    uint64_t now;

    if (deadline == 0)
        return -1;
    now = now_ns();
    if (now >= deadline)
        return 0;
    now = (deadline - now + 999999) / 1000000;
    return now > 1000000 ? 1000000 : (int)now;
}

int thaw_sandbox_wait(struct thaw_sandbox *s, int64_t timeout, struct thaw_status *status, struct thaw_error *err)
{
    return thaw_sandbox_communicate(s, NULL, 0, NULL, NULL, timeout, status, err);
}

static int output_read(struct thaw_output *out, int fd)
{
    unsigned char buf[16384];
    ssize_t n = read(fd, buf, sizeof buf);
    size_t keep;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    if (n == 0)
        return -1;
    keep = out->max - out->len < (size_t)n ? out->max - out->len : (size_t)n;
    if (keep > 0) {
        unsigned char *p = realloc(out->data, out->len + keep);

        if (!p)
            keep = 0;
        else {
            out->data = p;
            memcpy(p + out->len, buf, keep);
            out->len += keep;
        }
    }
    out->dropped += (size_t)n - keep;
    return 0;
}

static void near_close(struct thaw_sandbox *s, int i)
{
    close(s->near[i]);
    s->near[i] = -1;
}

int thaw_sandbox_communicate(struct thaw_sandbox *s, const void *input, size_t input_len, struct thaw_output *out,
                             struct thaw_output *errout, int64_t timeout, struct thaw_status *status,
                             struct thaw_error *err)
{
    uint64_t deadline = timeout < 0 ? 0 : timeout == 0 ? 1 : now_ns() + (uint64_t)timeout;
    struct thaw_output *outputs[2] = {out, errout};
    const char *in = input;
    int ret = 0;

    if (input && input_len == 0 && s->near[0] >= 0)
        near_close(s, 0);
    for (;;) {
        struct pollfd p[6] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLOUT},
                              {.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
        int fds[3], n, wait_ms;

        thaw_sandbox_fds(s, fds);
        p[0].fd = fds[0];
        p[1].fd = fds[1];
        p[2].fd = input ? s->near[0] : -1;
        p[3].fd = out ? s->near[1] : -1;
        p[4].fd = errout ? s->near[2] : -1;
        p[5].fd = fds[2];
        if (s->ended && p[3].fd < 0 && p[4].fd < 0)
            break;
        wait_ms = s->ended ? 0 : until(deadline); /* what is in the pipes, no more can come */
        n = poll(p, 6, wait_ms);
        if (n < 0 && errno != EINTR)
            return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot wait: %s", strerror(errno));
        if (n == 0 && s->ended)
            break;
        if (n == 0 && deadline && now_ns() >= deadline)
            return 0;
        if (n <= 0)
            continue;
        if (p[2].revents) {
            ssize_t w = send(s->near[0], in, input_len, MSG_NOSIGNAL | MSG_DONTWAIT);

            if (w > 0) {
                in += w;
                input_len -= (size_t)w;
            }
            if (input_len == 0 || (w < 0 && errno != EINTR && errno != EAGAIN))
                near_close(s, 0);
        }
        for (int i = 0; i < 2; i++)
            if (p[3 + i].revents && output_read(outputs[i], s->near[1 + i]) < 0)
                near_close(s, 1 + i);
        if (!s->ended && sandbox_events(s, p[0].revents, p[1].revents, p[5].revents, err) < 0)
            break;
    }
    ret = ended_result(s, err);
    if (status)
        *status = s->status;
    return ret;
}

int thaw_sandbox_stdio(const struct thaw_sandbox *s, int n) { return n >= 0 && n < 3 ? s->near[n] : -1; }

int thaw_sandbox_take_stdio(struct thaw_sandbox *s, int n)
{
    int fd = thaw_sandbox_stdio(s, n);

    if (fd >= 0)
        s->near[n] = -1;
    return fd;
}

int thaw_sandbox_signal(struct thaw_sandbox *s, int sig, struct thaw_error *err)
{
    if (s->ended)
        return thaw_error_set(err, THAW_STATUS_FAILED, ESRCH, "the sandbox has ended");
    if (sig < 1 || sig > 64)
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "%d is no signal", sig);
    if (syscall(SYS_pidfd_send_signal, s->sb.pidfd, sig, NULL, 0) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot send signal %d: %s", sig, strerror(errno));
    return 0;
}

void thaw_sandbox_statistics(const struct thaw_sandbox *s, struct thaw_statistics *statistics)
{
    /* While it runs its counters move; a copy of the handle's part is brought up to date without changing it. */
    struct thaw_sandbox copy;

    if (s->ended) {
        *statistics = s->statistics;
        return;
    }
    copy = *s;
    gather_statistics(&copy);
    *statistics = copy.statistics;
}

bool thaw_sandbox_snapshot_pending(const struct thaw_sandbox *s) { return !s->ended && s->snapshot_to; }

struct share_set *sandbox_shares(struct thaw_sandbox *s) { return s->config.shares; }

int sandbox_proc(struct thaw_sandbox *s) { return machine_proc(&s->sb); }

void sandbox_on_snapshot(struct thaw_sandbox *s, void (*fn)(void *arg), void *arg)
{
    s->on_snapshot = fn;
    s->on_snapshot_arg = arg;
}

/* ---- making a named snapshot ---- */

/* How it came that there is none: what the kernel refused it for, or else what the program said. */
static int snapshot_not_made(const struct thaw_sandbox *s, const char *path, const struct thaw_output *output,
                             struct thaw_error *err)
{
    const struct thaw_status *st = &s->status;
    int len = (int)output->len;

    while (len > 0 && output->data[len - 1] == '\n')
        len--;
    if (s->refusal[0])
        return thaw_error_set(err, THAW_STATUS_FAILED, EBUSY, "no snapshot %s was made: %s", path, s->refusal);
    if (s->unmade[0])
        return thaw_error_set(err, THAW_STATUS_FAILED, EIO, "no snapshot %s was made: %s", path, s->unmade);
    if (len > 0) {
        char text[300];
        int from = len, lines = 0;

        /* The last lines are those that count: an exception, and what came of it. */
        while (from > 0 && (output->data[from - 1] != '\n' || ++lines < 2))
            from--;
        if (len - from >= (int)sizeof text)
            from = len - (int)sizeof text + 1;
        snprintf(text, sizeof text, "%.*s", len - from, (const char *)output->data + from);
        for (char *p = text; *p; p++)
            if (*p == '\n')
                *p = ';';
        char clean[sizeof text];
        clean_text(clean, sizeof clean, "", text, sizeof text);
        return thaw_error_set(err, THAW_STATUS_FAILED, EIO, "no snapshot %s was made: %s (exit status %d)", path, clean,
                              st->exit_status);
    }
    return thaw_error_set(err, THAW_STATUS_FAILED, EIO, "no snapshot %s was made: %s (exit status %d)", path,
                          st->text[0] ? st->text : "the program did not ask for one", st->exit_status);
}

int thaw_snapshot_create(struct thaw_store *store, const struct thaw_image *image, const char *name,
                         const struct thaw_creation *creation, struct thaw_error *err)
{
    static const char *const python[] = {"python3", "-c", "pass", NULL};
    const char *env[2] = {NULL, NULL};
    struct thaw_start start = {
        .size = sizeof start,
        .image = image,
        .argv = creation && creation->argv ? creation->argv : python,
        .machine = creation ? creation->machine : THAW_MACHINE_AUTO,
        .memory = creation ? creation->memory : 0,
        .cpus = creation ? creation->cpus : 0,
        .stdio = {THAW_STDIO_NULL, THAW_STDIO_NULL, THAW_STDIO_PIPE},
        .flags = creation && creation->argv ? THAW_START_EXEC : 0,
        .env = env,
    };
    struct thaw_output output = {.max = 1 << 20};
    struct thaw_statistics statistics;
    struct thaw_status status;
    struct thaw_sandbox *s;
    char path[PATH_MAX], *warm = NULL;
    int ret;

    if (creation && creation->size != sizeof *creation)
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL,
                              "struct thaw_creation is of another version of the library");
    if (store_snapshot_named(store, name, true, path, err) < 0)
        return -1;
    if (creation && creation->warm) {
        warm = malloc(sizeof "THAW_WARM=" + strlen(creation->warm));
        if (!warm)
            return out_of_memory(err);
        strcpy(warm, "THAW_WARM=");
        strcat(warm, creation->warm);
        env[0] = warm;
    }
    ret = sandbox_start(store, &start, path, creation ? creation->train : NULL, NULL, &s, err);
    free(warm);
    if (ret < 0)
        return -1;
    ret = thaw_sandbox_communicate(s, NULL, 0, NULL, &output, SNAPSHOT_CREATE_TIMEOUT, &status, err);
    thaw_sandbox_statistics(s, &statistics);
    if (ret == 0)
        ret = thaw_error_set(err, THAW_STATUS_FAILED, ETIMEDOUT, "snapshot %s was not ready in time", path);
    else if (ret > 0)
        ret = statistics.snapshot_made ? 0 : snapshot_not_made(s, path, &output, err);
    free(output.data);
    thaw_sandbox_free(s);
    if (ret == 0 && start.image)
        store_snapshot_image_set(path, start.image->image.path);
    return ret;
}
