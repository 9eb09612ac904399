/* SPDX-License-Identifier: MIT */
/* For the programs that run inside a sandbox: each proves one thing, prints SUCCESS and ends with 0. */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

/* Signal handlers and thread functions have the parameters they must have. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                         \
    do {                                                                                    \
        errno = 0;                                                                          \
        if (!(cond)) {                                                                      \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, strerror(errno)); \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* The call must fail with this errno. */
#define FAILS(call, want)                                                                                            \
    do {                                                                                                             \
        errno = 0;                                                                                                   \
        long r_ = (long)(call);                                                                                      \
        if (r_ != -1 || errno != (want)) {                                                                           \
            fprintf(stderr, "%s:%d: %s: returned %ld, %s, not %s\n", __FILE__, __LINE__, #call, r_, strerror(errno), \
                    #want);                                                                                          \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

static inline int success(void)
{
    puts("SUCCESS");
    return fflush(stdout) ? 1 : 0;
}

#endif
