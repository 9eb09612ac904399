/* SPDX-License-Identifier: MIT */
/* Answers to calls that are still to come: see struct thaw_answer. They spare a start the waiting for us. */
#include "sandbox.h"

#include <string.h>
#include <sys/stat.h>

struct answers {
    struct share_set *set;
    unsigned char *buf;
    size_t used, room;
};

/* Serves one call and keeps the answer. The result of the call, or -1 if there is no room for it. */
static int64_t answer(struct answers *a, struct thaw_call call, const char *path)
{
    struct thaw_answer *rec = (struct thaw_answer *)(void *)(a->buf + a->used);
    size_t key_len = path ? strlen(path) : 0;
    /* A read may bring what it asks for, the others attributes. */
    size_t most = call.op == THAW_CALL_PREAD ? call.arg[3] : sizeof(struct thaw_stat);
    size_t data = sizeof *rec + key_len;
    unsigned char reply[sizeof(struct thaw_stat)];
    uint32_t len = 0;

    if (a->room - a->used < data + most + 8)
        return -1;
    call.len = (uint32_t)key_len;
    int64_t ret = share_serve(a->set, &call, path, most > sizeof reply ? a->buf + a->used + data : reply, &len);
    if (ret < 0)
        return -1;
    if (most <= sizeof reply)
        memcpy(a->buf + a->used + data, reply, len);
    if (key_len > 0)
        memcpy(a->buf + a->used + sizeof *rec, path, key_len);
    call.ret = ret;
    call.len = len;
    *rec = (struct thaw_answer){.call = call, .key_len = (uint32_t)key_len};
    a->used += (data + len + 7) & ~(size_t)7;
    return ret;
}

size_t answers_build(struct share_set *set, int share, const char *path, void *buf, size_t room)
{
    struct answers a = {.set = set, .buf = buf, .room = room};
    const uint64_t s = (uint64_t)share;

    if (answer(&a, (struct thaw_call){.op = THAW_CALL_STAT, .arg = {s}}, "") < 0)
        return 0;
    if (*path) {
        size_t at = a.used + sizeof(struct thaw_answer) + strlen(path);
        struct thaw_stat copy;
        if (answer(&a, (struct thaw_call){.op = THAW_CALL_STAT, .arg = {s}}, path) < 0)
            return a.used;
        memcpy(&copy, a.buf + at, sizeof copy);
        if (!S_ISREG(copy.mode)) /* a link has more to it */
            return a.used;
    }
    size_t at = a.used + sizeof(struct thaw_answer) + strlen(path);
    struct thaw_stat file;
    int64_t handle = answer(&a, (struct thaw_call){.op = THAW_CALL_OPEN, .arg = {s}}, path);
    if (handle < 0)
        return a.used;
    memcpy(&file, a.buf + at, sizeof file);
    if (file.size && file.size < THAW_CALL_DATA_MAX / 2)
        answer(&a, (struct thaw_call){.op = THAW_CALL_PREAD, .arg = {s, (uint64_t)handle, 0, file.size}}, NULL);
    return a.used;
}
