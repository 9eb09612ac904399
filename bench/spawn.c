/* SPDX-License-Identifier: MIT */
/*
 * Times whole processes: from before posix_spawn(3) until wait4(2) has the status.
 *
 *   spawn [-n ROUNDS] [-w WARMUPS] [-i FILE] [-t SECONDS] COMMAND [ARG...] [++ COMMAND [ARG...]]...
 *
 * The commands take turns (A B C A B C ...), so that a change of the machine's pace meets all of them alike. Their
 * standard input is FILE (/dev/null if not given), their standard output goes to /dev/null, their standard error is
 * ours. Each measured run is a line on standard output:
 *
 *   ROUND COMMAND NANOSECONDS STATUS USER_US SYSTEM_US MINOR_FAULTS MAX_RSS_KIB
 *
 * COMMAND counts from 0, STATUS is as a shell would have it, the rest is of wait4's struct rusage: the process and the
 * children it has waited for. A command that takes longer than SECONDS (60) is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { COMMANDS_MAX = 64 };

struct run {
    int64_t ns;
    int status;
    struct rusage usage;
};

static volatile sig_atomic_t late;

static void on_alarm(int sig)
{
    (void)sig;
    late = 1;
}

static void fail(const char *what, int error)
{
    fprintf(stderr, "spawn: %s: %s\n", what, strerror(error));
    exit(125);
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static struct run run_once(char **argv, const char *input, unsigned timeout)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    struct run r = {0};
    int status, error;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    /* A group of its own, so that a late command goes with all that it has started. */
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);

    /* Again each second: the first signal may come before we wait. */
    struct itimerval timer = {.it_value.tv_sec = timeout, .it_interval.tv_sec = 1}, off = {0};
    late = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    int64_t start = now_ns();
    error = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
    if (error)
        fail(argv[0], error);
    while (wait4(pid, &status, 0, &r.usage) < 0) {
        if (errno != EINTR)
            fail("wait4", errno);
        if (late)
            kill(-pid, SIGKILL);
    }
    r.ns = now_ns() - start;
    setitimer(ITIMER_REAL, &off, NULL);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int64_t timeval_us(struct timeval t) { return (int64_t)t.tv_sec * 1000000 + t.tv_usec; }

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (!*text || *end || n > 1000000)
        fail(text, EINVAL);
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    unsigned rounds = 1, warmups = 0, timeout = 60, count = 0;
    const char *input = "/dev/null";
    char **commands[COMMANDS_MAX];
    struct sigaction sa = {.sa_handler = on_alarm};
    int opt;

    while ((opt = getopt(argc, argv, "+n:w:i:t:")) != -1)
        switch (opt) {
        case 'n': rounds = number(optarg); break;
        case 'w': warmups = number(optarg); break;
        case 'i': input = optarg; break;
        case 't': timeout = number(optarg); break;
        default: return 125;
        }
    for (char **a = argv + optind; *a;) {
        if (count == COMMANDS_MAX)
            fail("too many commands", E2BIG);
        commands[count++] = a;
        while (*a && strcmp(*a, "++"))
            a++;
        if (*a)
            *a++ = NULL;
    }
    if (!count || !*commands[count - 1])
        fail("no command", EINVAL);
    sigaction(SIGALRM, &sa, NULL); /* without SA_RESTART: it ends the wait */

    for (unsigned round = 0; round < warmups + rounds; round++)
        for (unsigned i = 0; i < count; i++) {
            struct run r = run_once(commands[i], input, timeout);

            if (round >= warmups)
                printf("%u %u %lld %d %lld %lld %ld %ld\n", round - warmups, i, (long long)r.ns, r.status,
                       (long long)timeval_us(r.usage.ru_utime), (long long)timeval_us(r.usage.ru_stime),
                       r.usage.ru_minflt, r.usage.ru_maxrss);
        }
    return 0;
}
