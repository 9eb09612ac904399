/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "thaw_abi.h"

/* Names that talk to the launcher; a program started natively would not see them. */
static const char *const own_names[] = {"THAW_SNAPSHOT", "THAW_WARM", "THAW_SCRIPT"};

/* Room for what most starts bring; a larger request gets memory of its own. Its strings live as long as the process. */
static union {
    struct thaw_request head;
    char bytes[16 << 10];
} request_small;
static char *request_bytes = request_small.bytes;

int request_open(void)
{
    int fd = open("/dev/thaw", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* The program's first open() must get 3, as it does natively. */
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

static bool request_name_is_own(const char *entry)
{
    for (size_t i = 0; i < sizeof own_names / sizeof own_names[0]; i++) {
        size_t n = strlen(own_names[i]);
        if (strncmp(entry, own_names[i], n) == 0 && entry[n] == '=')
            return true;
    }
    return false;
}

/* Cuts count strings out of [off, size); returns false when they are not all there. */
static bool request_strings(uint32_t off, uint32_t count, uint32_t size, char **out)
{
    char *at = request_bytes + off;
    if (off > size)
        return false;
    size_t left = size - off;
    for (uint32_t i = 0; i < count; i++) {
        size_t n = strnlen(at, left);
        if (n == left)
            return false;
        out[i] = at;
        at += n + 1;
        left -= n + 1;
    }
    return true;
}

static int request_fail(const char *what)
{
    fprintf(stderr, "thaw: /dev/thaw: %s; is this launcher as old as the kernel?\n", what);
    return -1;
}

static int request_parse(struct request *r, size_t got)
{
    const struct thaw_request *h = (const void *)request_bytes;
    if (got < sizeof *h || h->magic != THAW_REQUEST_MAGIC || h->size < sizeof *h || h->size > got)
        return request_fail("not a request");
    /* Every string takes a byte at least, so these bounds also bound the allocation. */
    if (h->argc == 0 || h->argc > h->size || h->envc > h->size)
        return request_fail("bad counts");
    char **list = calloc((size_t)h->argc + h->envc + 3, sizeof *list);
    if (list == NULL)
        return request_fail("no memory");
    r->argc = (int)h->argc;
    r->argv = list;
    r->env = list + h->argc + 1;
    if (!request_strings(h->argv_off, h->argc, h->size, r->argv) ||
        !request_strings(h->env_off, h->envc, h->size, r->env) || !request_strings(h->cwd_off, 1, h->size, &r->cwd))
        return request_fail("strings out of range");
    r->tty = h->stdio_tty;
    return 0;
}

static void request_hide_own_names(char **env)
{
    char **to = env;
    for (char **from = env; *from != NULL; from++)
        if (!request_name_is_own(*from))
            *to++ = *from;
    *to = NULL;
}

int request_read(struct request *r, int fd, int argc, char **argv, char **env)
{
    memset(r, 0, sizeof *r);
    if (fd < 0) {
        r->argc = argc;
        r->argv = argv;
        r->env = env;
        for (int i = 0; i < 3; i++)
            r->tty |= (unsigned)isatty(i) << i;
    } else {
        size_t got = 0, room = sizeof request_small;
        for (;;) {
            if (got == room) {
                char *more = malloc(THAW_REQUEST_MAX);
                if (more == NULL || room == THAW_REQUEST_MAX)
                    return request_fail("too large");
                request_bytes = memcpy(more, request_bytes, got);
                room = THAW_REQUEST_MAX;
            }
            ssize_t n = read(fd, request_bytes + got, room - got);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return request_fail(strerror(errno));
            got += (size_t)n;
            if (n == 0 || (got >= sizeof request_small.head && got >= ((struct thaw_request *)request_bytes)->size))
                break;
        }
        close(fd);
        if (request_parse(r, got) < 0)
            return -1;
    }
    /* The word may be relative to a directory that only the caller has; thaw says where the file is. */
    r->script = request_getenv(r, "THAW_SCRIPT");
    if (r->script != NULL && r->script[0] != '/')
        r->script = NULL;
    request_hide_own_names(r->env);
    return 0;
}

const char *request_getenv(const struct request *r, const char *name)
{
    size_t n = strlen(name);
    for (char **e = r->env; *e != NULL; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return (*e)[n + 1] != '\0' ? *e + n + 1 : NULL;
    return NULL;
}
