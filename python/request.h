/* SPDX-License-Identifier: MIT */
/*
 * What a start brings: words, environment, working directory, terminals. Read from /dev/thaw in a
 * sandbox, from the process's own argv and environ where there is no such device.
 */
#ifndef THAW_PYTHON_REQUEST_H
#define THAW_PYTHON_REQUEST_H

#include <stdbool.h>

struct request {
    int argc;
    char **argv;        /* argc words and a NULL */
    char **env;         /* "NAME=VALUE" and a NULL; without the names that are ours */
    char *cwd;          /* canonical, or NULL: ask getcwd(3) */
    const char *script; /* absolute path of the script, or NULL: the word alone says it */
    unsigned tty;       /* bit n: descriptor n is a terminal */
};

/*
 * Opens /dev/thaw ahead of the snapshot on a descriptor out of the way of the program's own.
 * Returns the descriptor, or -1 where there is none.
 */
int request_open(void);

/*
 * Fills *r from the device (and closes it), or, with fd -1, from argc, argv and env.
 * The strings live until the process ends. Returns 0, or -1 after a line on stderr.
 */
int request_read(struct request *r, int fd, int argc, char **argv, char **env);

/* The value of NAME in r->env, or NULL; an empty value counts as none, as it does for Python. */
const char *request_getenv(const struct request *r, const char *name);

#endif
