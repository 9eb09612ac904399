/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sandbox.h"

#include <stdarg.h>
#include <stdio.h>

int thaw_error_set(struct thaw_error *err, int exit_status, int error, const char *fmt, ...)
{
    va_list ap;

    err->exit_status = exit_status;
    err->error = error;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    /* File names come from outside; a line must stay one line, and must not steer the terminal. */
    for (unsigned char *p = (unsigned char *)err->text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
    return -1;
}
