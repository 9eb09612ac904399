/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "signals.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "start.h"

static bool signals_known;
static uint64_t signals_not_default; /* bit n - 1: ignored or caught; see proc(5), SigIgn and SigCgt */

static bool signals_mask(const char *status, const char *name, uint64_t *mask)
{
    const char *at = strstr(status, name);
    if (at == NULL)
        return false;
    *mask |= strtoull(at + strlen(name), NULL, 16);
    return true;
}

static bool signals_read(void)
{
    char status[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, status, sizeof status - 1) : -1;
    if (fd >= 0)
        close(fd);
    status[n > 0 ? n : 0] = '\0';
    signals_not_default = 0;
    return signals_mask(status, "\nSigIgn:", &signals_not_default) &&
           signals_mask(status, "\nSigCgt:", &signals_not_default);
}

void (*signals_get(int signum))(int)
{
    if (signum == 1)
        signals_known = thaw_start_is_in_thaw() && signals_read();
    /* The C library keeps two for itself, and says so. */
    bool own = signum > 31 && signum < SIGRTMIN;
    if (!signals_known || own || signum > 64 || (signals_not_default >> (signum - 1) & 1) != 0)
        return PyOS_getsig(signum);
    return SIG_DFL;
}
