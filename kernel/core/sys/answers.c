/* SPDX-License-Identifier: MIT */
#include "answers.h"

#include "machine.h"

bool answers_find(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    struct thaw_boot *boot = machine_boot();
    u8 *at = (u8 *)boot + boot->answers_off, *end = at + boot->answers_size;

    if (!boot->answers_size)
        return false;
    if (machine_timestamp() - boot->stats.t_entry_ns > THAW_ANSWER_NS) {
        boot->answers_size = 0;
        return false;
    }
    while (at < end) {
        struct thaw_answer *a = (struct thaw_answer *)at;
        const u8 *key = at + sizeof(*a);
        bool read = a->call.op == THAW_CALL_PREAD;
        at += round_up(sizeof(*a) + a->key_len + a->call.len, 8);
        if (a->used || a->call.op != call->op || memcmp(a->call.arg, call->arg, 3 * sizeof(call->arg[0])) ||
            (read ? call->arg[3] < a->call.len : a->call.arg[3] != call->arg[3]) || a->key_len != call->len ||
            memcmp(key, data, call->len))
            continue;
        a->used = 1;
        call->ret = a->call.ret;
        call->len = (u32)min((size_t)a->call.len, reply_size);
        memcpy(reply, key + a->key_len, call->len);
        return true;
    }
    return false;
}
