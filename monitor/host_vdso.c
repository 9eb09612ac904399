/* SPDX-License-Identifier: MIT */
/* The host's vDSO: the sandbox keeps it, so that reading a clock costs no system call. See vdso(7). */
#define _GNU_SOURCE
#include "process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The range of the mappings called [vvar...] and [vdso], which adjoin. False if they do not, or are not to be had. */
static bool vdso_range(uintptr_t *start, uintptr_t *end)
{
    char buf[8192];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
    size_t have = 0;

    while (n > 0 && have + (size_t)n < sizeof(buf) - 1) { /* the kernel hands out whole lines, a page at most */
        have += (size_t)n;
        n = read(fd, buf + have, sizeof(buf) - 1 - have);
    }
    if (fd >= 0)
        close(fd);
    buf[have] = 0;
    *start = *end = 0;
    for (char *line = buf, *next; *line; line = next) {
        next = strchr(line, '\n');
        if (!next)
            break;
        *next++ = 0;
        if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
            continue;
        char *dash;
        uintptr_t from = strtoul(line, &dash, 16), to = *dash == '-' ? strtoul(dash + 1, NULL, 16) : 0;
        if (*end && from != *end)
            return false;
        if (!*start)
            *start = from;
        *end = to;
    }
    return *end > *start;
}

struct thaw_vdso host_vdso_find(void)
{
    uintptr_t base = getauxval(AT_SYSINFO_EHDR), start, end;

    if (!base || !vdso_range(&start, &end) || base < start || base >= end)
        return (struct thaw_vdso){0};
    return (struct thaw_vdso){.start = start, .end = end, .base = base};
}
