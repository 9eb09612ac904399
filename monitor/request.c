/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Grows towards THAW_REQUEST_MAX; most requests fit into the first piece. */
struct builder {
    unsigned char *buf;
    size_t len, room;
    int error;
};

static void put(struct builder *b, const void *data, size_t n)
{
    if (b->error)
        return;
    if (n > THAW_REQUEST_MAX - b->len) {
        b->error = E2BIG;
        return;
    }
    if (n > b->room - b->len) {
        size_t room = b->room;
        unsigned char *p;

        while (room - b->len < n)
            room *= 2;
        p = realloc(b->buf, room);
        if (!p) {
            b->error = ENOMEM;
            return;
        }
        b->buf = p;
        b->room = room;
    }
    memcpy(b->buf + b->len, data, n);
    b->len += n;
}

static uint32_t put_string(struct builder *b, const char *s)
{
    uint32_t off = (uint32_t)b->len;

    put(b, s, strlen(s) + 1);
    return off;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");

    return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* True if an entry behind list[i] has the same name. */
static bool is_replaced(const char *entry, const char *const *rest)
{
    for (; rest && *rest; rest++)
        if (same_name(entry, *rest))
            return true;
    return false;
}

static uint32_t put_env(struct builder *b, const struct request_source *s)
{
    uint32_t n = 0;

    for (const char *const *e = s->defaults; e && *e; e++)
        if (!is_replaced(*e, s->env)) {
            put_string(b, *e);
            n++;
        }
    for (const char *const *e = s->env; e && *e; e++)
        if (!is_replaced(*e, e + 1)) {
            put_string(b, *e);
            n++;
        }
    return n;
}

static bool is_guest_path(const char *p) { return p && p[0] == '/' && strlen(p) < THAW_CALL_NAME_MAX; }

static int source_check(const struct request_source *s, struct thaw_error *err)
{
    if (!s->argv || !s->argv[0])
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "nothing to run");
    if (!is_guest_path(s->cwd))
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "working directory '%.200s' is not an absolute path",
                              s->cwd ? s->cwd : "");
    if (s->mount_count > THAW_SHARE_MAX)
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "more than %u directories are shared", THAW_SHARE_MAX);
    for (size_t i = 0; i < s->mount_count; i++)
        if (!is_guest_path(s->mounts[i].guest))
            return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "path in the sandbox '%.200s' is not absolute",
                                  s->mounts[i].guest ? s->mounts[i].guest : "");
    for (const char *const *e = s->env; e && *e; e++)
        if ((*e)[0] == '=' || !strchr(*e, '='))
            return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "environment entry '%.200s' is not NAME=VALUE", *e);
    return 0;
}

struct thaw_request *request_build(const struct request_source *s, struct thaw_error *err)
{
    struct thaw_request r = {.magic = THAW_REQUEST_MAGIC, .umask = s->umask & 0777, .stdio_tty = s->stdio_tty & 7};
    struct thaw_share shares[THAW_SHARE_MAX];
    struct builder b = {.room = 2048};

    if (source_check(s, err) < 0)
        return NULL;
    b.buf = malloc(b.room);
    if (!b.buf)
        b.error = ENOMEM;
    put(&b, &r, sizeof r);
    /* The table first, so that it is aligned. */
    r.share_count = (uint32_t)s->mount_count;
    r.share_off = (uint32_t)b.len;
    if (!b.error && s->mount_count > 0) {
        memset(shares, 0, s->mount_count * sizeof *shares);
        put(&b, shares, s->mount_count * sizeof *shares);
    }
    r.argv_off = (uint32_t)b.len;
    for (const char *const *a = s->argv; *a && !b.error; a++, r.argc++)
        put_string(&b, *a);
    r.env_off = (uint32_t)b.len;
    r.envc = put_env(&b, s);
    r.cwd_off = put_string(&b, s->cwd);
    r.exe_off = put_string(&b, s->exe ? s->exe : s->argv[0]);
    for (size_t i = 0; i < s->mount_count; i++) {
        shares[i].path_off = put_string(&b, s->mounts[i].guest);
        shares[i].flags = s->mounts[i].flags;
    }
    if (b.error) {
        free(b.buf);
        if (b.error == E2BIG)
            thaw_error_set(err, THAW_STATUS_FAILED, E2BIG, "arguments and environment are too long: more than %u bytes",
                           THAW_REQUEST_MAX);
        else
            thaw_error_set(err, THAW_STATUS_FAILED, b.error, "out of memory");
        return NULL;
    }
    r.size = (uint32_t)b.len;
    memcpy(b.buf, &r, sizeof r);
    if (s->mount_count > 0)
        memcpy(b.buf + r.share_off, shares, s->mount_count * sizeof *shares);
    return (struct thaw_request *)b.buf;
}
