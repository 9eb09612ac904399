/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const char help[] = "Usage: thaw COMMAND [ARG...]\n"
                           "\n"
                           "Runs Python in sandboxes that start from snapshots.\n"
                           "\n"
                           "  run FILE | -c CODE | -m MODULE | -      run a Python program\n"
                           "  exec --root DIR -- PROGRAM [ARG...]     run a static Linux program\n"
                           "  snapshot create|list|inspect|verify|remove\n"
                           "  image build|list|inspect|remove\n"
                           "  doctor                                  what this host can do\n"
                           "\n"
                           "  --help, --version\n"
                           "\n"
                           "`thaw COMMAND --help` says more of each; so does thaw(1).\n";

/* A descriptor that we open must not become the program's standard input, output or error. */
static int stdio_fill(void)
{
    struct pollfd p[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};

    if (poll(p, 3, 0) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (p[i].revents & POLLNVAL) {
            /* Lowest first, so that the free one is taken. */
            if (open("/dev/null", i == 0 ? O_RDONLY : O_WRONLY) != i)
                return -1;
        }
    return 0;
}

static int command_dispatch(char **argv, uint64_t start_ns)
{
    static const struct {
        const char *name;
        int (*timed)(char **, uint64_t);
        int (*plain)(char **);
    } commands[] = {
        {"run", command_run, NULL},     {"exec", command_exec, NULL},     {"snapshot", NULL, command_snapshot},
        {"image", NULL, command_image}, {"doctor", NULL, command_doctor},
    };
    struct thaw_error err;

    if (!argv[0]) {
        fputs(help, stderr);
        return THAW_STATUS_FAILED;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].timed ? commands[i].timed(argv, start_ns) : commands[i].plain(argv);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0)
        return command_print(help);
    if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)
        return command_print("thaw " THAW_VERSION "\n");
    thaw_error_set(&err, THAW_STATUS_FAILED, EINVAL, "no command '%.200s'; see `thaw --help`", argv[0]);
    return command_fail(&err);
}

#if defined(__SANITIZE_ADDRESS__)
/* The command gives nothing back on its way out; that the library does is tested on its own. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

#define STACK_USED (40u << 10)

/* One system call for the stack that a start is going to use, in place of a fault for each page. */
static void stack_populate(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)4095;

    madvise((void *)(here - STACK_USED), STACK_USED, MADV_POPULATE_WRITE);
}

int main(int argc, char **argv)
{
    uint64_t start_ns = command_now();
    int status;

    stack_populate();

    if (stdio_fill() < 0)
        return THAW_STATUS_FAILED;
    status = command_dispatch(argc > 0 ? argv + 1 : argv, start_ns);
#if defined(__SANITIZE_ADDRESS__)
    return status;
#else
    _exit(status); /* stdout is flushed; the rest goes with the process */
#endif
}
