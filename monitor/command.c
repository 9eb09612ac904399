/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void command_note(void *arg, const char *line)
{
    struct iovec iov[3] = {{"thaw: ", 6}, {(char *)line, strlen(line)}, {"\n", 1}};

    (void)arg;
    if (writev(2, iov, 3) < 0)
        return; /* there is nobody else to tell */
}

int command_fail(const struct thaw_error *err)
{
    command_note(NULL, err->text);
    return err->exit_status ? err->exit_status : THAW_STATUS_FAILED;
}

int command_flush(void)
{
    struct thaw_error err;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    thaw_error_set(&err, THAW_STATUS_FAILED, errno, "cannot write to standard output: %s", strerror(errno));
    return command_fail(&err);
}

int command_print(const char *text)
{
    fputs(text, stdout);
    return command_flush();
}

uint64_t command_now(void)
{
    struct timespec ts;

    /* Not by the vDSO: for a few times it costs more to bring its pages in. */
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int command_options(char **argv, const struct command_option *options, size_t count, const char *help,
                    struct thaw_error *err)
{
    bool only_words = false;
    int kept = 1;

    for (char **a = argv + 1; *a; a++) {
        const struct command_option *o = NULL;
        size_t len = 0;

        if (only_words || (*a)[0] != '-' || (*a)[1] == 0) {
            argv[kept++] = *a;
            continue;
        }
        if (strcmp(*a, "--") == 0) {
            only_words = true;
            continue;
        }
        for (size_t i = 0; i < count && !o; i++) {
            len = strlen(options[i].name);
            if (strncmp(*a, options[i].name, len) == 0 && ((*a)[len] == 0 || (options[i].value && (*a)[len] == '=')))
                o = &options[i];
        }
        if (!o)
            return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "unknown option '%.200s'; see `thaw %s --help`", *a,
                                  help);
        if (!o->value) {
            *o->flag = true;
        } else if ((*a)[len] == '=') {
            *o->value = *a + len + 1;
        } else {
            if (!a[1])
                return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "argument expected for %s; see `thaw %s --help`",
                                      *a, help);
            *o->value = *++a;
        }
    }
    argv[kept] = NULL;
    return kept - 1;
}
