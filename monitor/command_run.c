/* SPDX-License-Identifier: MIT */
/* `thaw run` and `thaw exec`. The way of a restored start is kept short: each system call and each page counts. */
#define _GNU_SOURCE
#include "command.h"
#include "confine.h"
#include "libthaw.h"
#include "options.h"
#include "script.h"
#include "spawned.h"
#include "stats.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char run_help[] =
    "Usage: thaw run [OPTION...] FILE [ARG...]\n"
    "       thaw run [OPTION...] -c CODE [ARG...]\n"
    "       thaw run [OPTION...] -m MODULE [ARG...]\n"
    "       thaw run [OPTION...] - [ARG...]          a program on standard input\n"
    "       thaw run [OPTION...]                     the same, or a prompt on a terminal\n"
    "\n"
    "Runs Python in a sandbox that starts from a snapshot.\n"
    "\n"
    "  --cold                boot without a snapshot, and make none\n"
    "  --snapshot NAME       start from this snapshot (see thaw snapshot)\n"
    "  --image NAME          root image, or the path of one (python)\n"
    "  --machine MACHINE     auto, process or kvm (auto)\n"
    "  --memory SIZE         memory the program may use: 64M, 1G (256M)\n"
    "  --cpus N              processors it may use (process: the host's, kvm: 1)\n"
    "  --timeout DURATION    kill it after this time: 500ms, 10s, 2m\n"
    "  --env NAME[=VALUE]    set a variable, or pass one on; no other is\n"
    "  -v HOST:GUEST[:ro]    show a directory or file of the host in the sandbox\n"
    "  --stats FILE          write what the start took, as JSON\n"
    "  --strace              print each system call on standard error\n"
    "  --harden              namespaces and Landlock on top of seccomp\n"
    "  --help\n"
    "\n"
    "Exit status: the program's; 124 timeout; 125 thaw failed; 126, 127 cannot execute, not found;\n"
    "128+n killed by signal n; 137 out of memory.\n";

static const char exec_help[] = "Usage: thaw exec --root DIR [OPTION...] -- PROGRAM [ARG...]\n"
                                "       thaw exec --image NAME [OPTION...] [-- PROGRAM [ARG...]]\n"
                                "\n"
                                "Runs a Linux program in a sandbox, with a directory of the host as its "
                                "read-only root (what it writes goes\n"
                                "to memory), or an image.\n"
                                "\n"
                                "  --root DIR            the root\n"
                                "  --image NAME          root image, or the path of one\n"
                                "  --snapshot NAME       start from this snapshot of an image (see thaw snapshot)\n"
                                "  --cwd DIR             working directory in the sandbox (/)\n"
                                "  --machine MACHINE     auto, process or kvm (auto)\n"
                                "  --memory SIZE         memory the program may use: 64M, 1G (256M)\n"
                                "  --cpus N              processors it may use (process: the host's, kvm: 1)\n"
                                "  --timeout DURATION    kill it after this time: 500ms, 10s, 2m\n"
                                "  --env NAME[=VALUE]    set a variable, or pass one on; no other is\n"
                                "  -v HOST:GUEST[:ro]    show a directory or file of the host in the sandbox\n"
                                "  --stats FILE          write what the start took, as JSON\n"
                                "  --strace              print each system call on standard error\n"
                                "  --harden              namespaces and Landlock on top of seccomp\n"
                                "  --help\n";

/* What a whole run holds. It ends with the process: nothing is given back on the way out. */
struct run {
    struct options options;
    struct thaw_store *store;
    struct thaw_sandbox *sandbox;
    struct spawned spawned;
    const char *command;
    uint64_t start_ns;
    int stats_fd, signal_fd;
    struct thaw_error confine_error;
    bool confine_due, confine_failed;
};

static void run_confine(void *arg)
{
    struct run *r = arg;

    r->confine_due = false;
    if (confine_self(sandbox_shares(r->sandbox), sandbox_proc(r->sandbox), r->options.harden, &r->confine_error) < 0)
        r->confine_failed = true;
}

/*
 * Signals for us are meant for the program. What a terminal sends goes to the whole process group, so the sandbox
 * has it already; the rest (kill, timeout, a supervisor) is passed on. What comes before it runs ends us, and it with us.
 */
static void signals_set(sigset_t *set)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGUSR1, SIGUSR2, SIGPIPE};

    sigemptyset(set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(set, signals[i]);
}

/* nohup and its kin: what was ignored when we came is to be ignored by the program. */
static bool signal_is_ignored(int sig)
{
    struct sigaction action;

    return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void signals_forward(struct run *r)
{
    struct signalfd_siginfo info;
    struct thaw_error ignored;

    while (read(r->signal_fd, &info, sizeof info) == sizeof info)
        if (info.ssi_code != SI_KERNEL && info.ssi_signo != SIGPIPE && !signal_is_ignored((int)info.ssi_signo))
            thaw_sandbox_signal(r->sandbox, (int)info.ssi_signo, &ignored);
}

/*
 * A short program's whole life. So long thaw and the sandbox's kernel keep to one processor (spawned.h), and thaw has
 * not confined itself unless the sandbox asks it for something.
 */
#define SHORT_NS 50000000u

static int poll_timeout(const struct run *r, uint64_t deadline)
{
    uint64_t now;

    if ((r->spawned.pinned || r->confine_due) && (!deadline || deadline > r->start_ns + SHORT_NS))
        deadline = r->start_ns + SHORT_NS;
    if (!deadline)
        return -1;
    now = command_now();
    if (now >= deadline)
        return 0;
    now = (deadline - now + 999999) / 1000000;
    return now > 1000000 ? 1000000 : (int)now;
}

/* Is there a word from the sandbox, rather than the end of all? */
static bool sandbox_speaks(const struct pollfd *control)
{
    char c;

    return control->revents && (!(control->revents & POLLHUP) || recv(control->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

/* Serves the sandbox to its end. The exit status; status is filled in. */
static int run_supervise(struct run *r, struct thaw_status *status)
{
    uint64_t deadline = r->options.timeout > 0 ? r->start_ns + (uint64_t)r->options.timeout : 0;
    struct thaw_error err = {0};
    bool timed_out = false;

    for (;;) {
        struct pollfd p[4] = {
            {.events = POLLIN}, {.events = POLLIN}, {.fd = r->signal_fd, .events = POLLIN}, {.events = POLLIN}};
        int fds[3], n;

        thaw_sandbox_fds(r->sandbox, fds);
        p[0].fd = fds[0];
        p[1].fd = fds[1];
        p[3].fd = fds[2];
        n = poll(p, 4, poll_timeout(r, deadline));
        if (n < 0 && errno != EINTR) {
            thaw_error_set(&err, THAW_STATUS_FAILED, errno, "cannot wait for the sandbox: %s", strerror(errno));
            thaw_sandbox_stop(r->sandbox);
            return command_fail(&err);
        }
        if ((r->spawned.pinned || r->confine_due) && command_now() >= r->start_ns + SHORT_NS) {
            spawn_unpin(&r->spawned);
            if (r->confine_due)
                run_confine(r);
        }
        if (n > 0 && p[2].revents)
            signals_forward(r);
        if (n > 0 && r->confine_due && !p[0].revents && (p[3].revents || sandbox_speaks(&p[1])))
            run_confine(r);
        if (r->confine_failed) {
            thaw_sandbox_stop(r->sandbox);
            return command_fail(&r->confine_error);
        }
        if (n > 0 && (p[0].revents || p[1].revents || p[3].revents) && thaw_sandbox_step(r->sandbox, &err) != 0)
            break;
        if (deadline && command_now() >= deadline) {
            timed_out = true;
            thaw_sandbox_stop(r->sandbox);
            break;
        }
        if (r->confine_failed) { /* right after the snapshot */
            thaw_sandbox_stop(r->sandbox);
            return command_fail(&r->confine_error);
        }
    }
    thaw_sandbox_wait(r->sandbox, 0, status, &err);
    if (timed_out) {
        status->exit_status = THAW_STATUS_TIMEOUT;
        command_note(NULL, "timeout: the program took longer than --timeout allows and was killed");
    } else if (status->text[0]) {
        command_note(NULL, status->text);
    }
    return status->exit_status;
}

static int run_finish(struct run *r, int exit_status, const struct thaw_status *status)
{
    struct thaw_statistics statistics;
    struct thaw_error err;

    if (r->stats_fd < 0)
        return exit_status;
    thaw_sandbox_statistics(r->sandbox, &statistics);
    if (stats_write(r->stats_fd, &statistics, status, r->start_ns) == 0)
        return exit_status;
    thaw_error_set(&err, THAW_STATUS_FAILED, errno, "cannot write %s: %s", r->options.stats, strerror(errno));
    command_fail(&err);
    return exit_status ? exit_status : THAW_STATUS_FAILED;
}

/* Python's words: "python3" and what was behind the options. */
static const char **python_argv(const struct options *o)
{
    size_t n = 0;
    const char **v;

    while (o->argv[n])
        n++;
    v = malloc((n + 2) * sizeof *v);
    if (!v)
        return NULL;
    v[0] = "python3";
    memcpy(v + 1, o->argv, (n + 1) * sizeof *v);
    return v;
}

static bool is_script(const struct options *o) { return o->argv[0] && o->argv[0][0] != '-'; }

/* The script's folder comes first, so that a -v below it or upon it has its way. */
static int add_mounts(struct run *r, const struct script *script, struct thaw_start *start, struct thaw_error *err)
{
    const struct options *o = &r->options;
    size_t n = script->mount_count + o->mount_count;
    struct thaw_mount *m;

    if (n == 0)
        return 0;
    m = malloc(n * sizeof *m);
    if (!m)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    memcpy(m, script->mounts, script->mount_count * sizeof *m);
    if (o->mount_count > 0)
        memcpy(m + script->mount_count, o->mounts, o->mount_count * sizeof *m);
    start->mounts = m;
    start->mount_count = n;
    return 0;
}

/* The folder of the script is the working directory, so that a relative FILE would not lead to it. */
static const char *const *env_with_script(const char *const *env, const char *script)
{
    size_t n = 0;
    while (env && env[n])
        n++;
    const char **v = calloc(n + 2, sizeof *v);
    if (v) {
        if (n > 0)
            memcpy(v, env, n * sizeof *v);
        v[n] = script;
    }
    return v;
}

/* What a container image says about its start holds where the command line says nothing else. */
static int image_start(struct thaw_image *image, struct thaw_start *start, struct thaw_error *err)
{
    const char *const *argv, *const *env, *cwd;
    size_t n = 0, m = 0;
    const char **both;

    if (thaw_image_defaults(image, &argv, &env, &cwd, err) < 0)
        return -1;
    if (!start->argv[0])
        start->argv = argv;
    if (!start->argv[0])
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL,
                              "no program given, and the image names none; see `thaw exec --help`");
    if (!start->cwd && cwd && cwd[0] == '/')
        start->cwd = cwd;
    while (env[n])
        n++;
    while (start->env && start->env[m])
        m++;
    both = calloc(n + m + 1, sizeof *both);
    if (!both)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    /* Of two entries with one name the later one counts. */
    for (size_t i = 0, k = 0; i < n; i++)
        if (strchr(env[i], '=') && env[i][0] != '=')
            both[k++] = env[i];
    for (n = 0; both[n]; n++)
        ;
    for (size_t i = 0; i < m; i++)
        both[n + i] = start->env[i];
    start->env = both;
    return 0;
}

static int run_start(struct run *r, enum options_for what, struct thaw_error *err)
{
    const struct options *o = &r->options;
    struct thaw_start start = {
        .size = sizeof start,
        .root = o->root,
        .mode = o->cold       ? THAW_MODE_COLD
                : o->snapshot ? THAW_MODE_FROM
                              : THAW_MODE_AUTO,
        .env = o->env,
        .cwd = o->cwd,
        .stdio = {0, 1, 2},
        .memory = o->memory,
        .cpus = o->cpus,
        .machine = o->machine,
        .flags = (o->strace ? THAW_START_STRACE : 0) | (o->harden ? THAW_START_HARDEN : 0) |
                 (what == OPTIONS_EXEC ? THAW_START_EXEC : 0),
        .notice = command_note,
    };
    struct thaw_snapshot *snapshot = NULL;
    struct thaw_image *image = NULL;
    struct script script = {.mount_count = 0};

    if (thaw_store_open(&r->store, err) < 0)
        return -1;
    static char of_snapshot[PATH_MAX];
    const char *name = o->image;
    if (!name && o->snapshot)
        name = store_snapshot_image(r->store, o->snapshot, of_snapshot) == 0 ? of_snapshot : "python";
    if (name && thaw_image_open(r->store, name, &image, err) < 0)
        return -1;
    start.image = image;
    if (o->snapshot) {
        if (thaw_snapshot_open(r->store, image, o->snapshot, &snapshot, err) < 0)
            return -1;
        start.snapshot = snapshot;
    }
    if (what == OPTIONS_RUN) {
        start.argv = python_argv(o);
        if (!start.argv)
            return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
        if (is_script(o)) {
            if (script_find(&script, o->argv[0], err) < 0)
                return -1;
            start.cwd = script.cwd;
            start.env = env_with_script(o->env, script.env);
            if (!start.env)
                return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
        }
    } else {
        start.argv = o->argv;
        if (image && image_start(image, &start, err) < 0)
            return -1;
    }
    if (add_mounts(r, &script, &start, err) < 0)
        return -1;
    return sandbox_start_spawned(r->store, &start, &r->spawned, &r->sandbox, err);
}

static int command_start(char **argv, uint64_t start_ns, enum options_for what)
{
    struct run r = {.start_ns = start_ns, .command = argv[0], .stats_fd = -1};
    struct thaw_status status = {0};
    struct thaw_error err;
    int exit_status;

    if (options_parse(&r.options, what, argv, &err) < 0)
        return command_fail(&err);
    if (r.options.help)
        return command_print(what == OPTIONS_RUN ? run_help : exec_help);
    if (r.options.stats) {
        r.stats_fd = open(r.options.stats, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        if (r.stats_fd < 0) {
            thaw_error_set(&err, THAW_STATUS_FAILED, errno, "cannot open %s: %s", r.options.stats, strerror(errno));
            return command_fail(&err);
        }
    }
    signals_set(&r.spawned.forwarded);
    /* Meanwhile the sandbox's process gets ready. */
    if (r.options.machine != THAW_MACHINE_KVM && (r.options.image || r.options.snapshot))
        spawn_begin(&r.spawned);
    int started = run_start(&r, what, &err);
    spawn_cancel(&r.spawned);
    if (started < 0)
        return command_fail(&err);
    /* From here on the sandbox runs; what follows takes none of its time. */
    r.signal_fd = signalfd(-1, &r.spawned.forwarded, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r.signal_fd < 0) {
        thaw_error_set(&err, THAW_STATUS_FAILED, errno, "cannot pass signals on: %s", strerror(errno));
        thaw_sandbox_stop(r.sandbox);
        return command_fail(&err);
    }
    if (thaw_sandbox_snapshot_pending(r.sandbox))
        sandbox_on_snapshot(r.sandbox, run_confine, &r);
    else
        r.confine_due = true;
    exit_status = run_supervise(&r, &status);
    return run_finish(&r, exit_status, &status);
}

int command_run(char **argv, uint64_t start_ns) { return command_start(argv, start_ns, OPTIONS_RUN); }

int command_exec(char **argv, uint64_t start_ns) { return command_start(argv, start_ns, OPTIONS_EXEC); }
