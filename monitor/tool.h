/* SPDX-License-Identifier: MIT */
/* Other programs that a command has run: mkfs.erofs, sh, thaw-oci. */
#ifndef MONITOR_TOOL_H
#define MONITOR_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#define TOOL_LINE 256

struct tool {
    const char *const *places; /* absolute paths to try in order, NULL-terminated */
    char *const *argv, *const *env;
    /* stdout: kept here, NUL-terminated, if out is not NULL (what is more than its room is an error); else it goes where
     * stderr goes. */
    char *out;
    size_t out_size, out_len;
    char line[TOOL_LINE];    /* the last line of stderr */
    void (*tick)(void *arg); /* some times a second, if not NULL */
    void *tick_arg;
};

/*
 * Runs it with stdin from /dev/null until it has ended. 0: exit status 0. -1: it could not be started, errno says why
 * (ENOENT: it is in none of the places). 1: it failed, line says why, or is "".
 */
int tool_run(struct tool *tool);

#endif
