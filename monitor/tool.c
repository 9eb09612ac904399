/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t tool_spawn(const struct tool *t, int out, int errout)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t defaults;
    int e = ENOENT;
    pid_t pid = -1;

    /* The caller may ignore what is to end the tool. */
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGHUP);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, errout, 2);
    for (const char *const *place = t->places; *place && e == ENOENT; place++)
        e = access(*place, X_OK) == 0 ? posix_spawn(&pid, *place, &actions, &attr, t->argv, t->env) : ENOENT;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    errno = e;
    return e ? -1 : pid;
}

/* Keeps the last line that has something in it. */
static void tool_lines(struct tool *t, const char *buf, size_t n, size_t *len)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] == '\n' || buf[i] == '\r') {
            *len = *len ? sizeof t->line : 0; /* keep the line until another begins */
            continue;
        }
        if (*len == sizeof t->line)
            *len = 0;
        if (*len < sizeof t->line - 1) {
            t->line[(*len)++] = buf[i];
            t->line[*len] = 0;
        }
    }
}

int tool_run(struct tool *t)
{
    int errs[2], outs[2] = {-1, -1}, wstatus = 0;
    bool overflow = false;
    size_t len = 0;
    char buf[4096];
    pid_t pid;

    t->line[0] = 0;
    t->out_len = 0;
    if (pipe2(errs, O_CLOEXEC) < 0)
        return -1;
    if (t->out && pipe2(outs, O_CLOEXEC) < 0) {
        close(errs[0]);
        close(errs[1]);
        return -1;
    }
    pid = tool_spawn(t, t->out ? outs[1] : errs[1], errs[1]);
    int e = errno;
    close(errs[1]);
    if (t->out)
        close(outs[1]);
    struct pollfd p[2] = {{.fd = pid < 0 ? -1 : errs[0], .events = POLLIN},
                          {.fd = pid < 0 ? -1 : outs[0], .events = POLLIN}};
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        int ready = poll(p, 2, 200);

        if (ready <= 0) {
            if (t->tick)
                t->tick(t->tick_arg);
            continue;
        }
        for (int i = 0; i < 2; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            ssize_t n = read(p[i].fd, buf, sizeof buf);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0) {
                p[i].fd = -1;
            } else if (i == 0) {
                tool_lines(t, buf, (size_t)n, &len);
            } else if ((size_t)n < t->out_size - t->out_len) {
                memcpy(t->out + t->out_len, buf, (size_t)n);
                t->out_len += (size_t)n;
            } else {
                overflow = true;
            }
        }
    }
    close(errs[0]);
    if (t->out) {
        close(outs[0]);
        t->out[t->out_len] = 0;
    }
    if (pid < 0) {
        errno = e;
        return -1;
    }
    while (waitpid(pid, &wstatus, 0) < 0 && errno == EINTR)
        ;
    if (overflow)
        strcpy(t->line, "it says too much");
    return overflow || !WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0;
}
