/* SPDX-License-Identifier: MIT */
/* Calls to the monitor: written down in its page, each processor in a place of its own, and an OUT instruction. */
#include "kvm.h"

#include "answers.h"

static void ring(void) { __asm__ volatile("outl %0, %w1" ::"a"(0), "d"(THAW_KVM_PORT) : "memory"); }

struct thaw_call *monitor_answer(void) { return &kvm_page()->call[this_cpu()->index]; }

s64 monitor_call(u32 op, u64 a0, u64 a1, u64 a2)
{
    struct thaw_call *call = monitor_answer();
    *call = (struct thaw_call){.op = op, .arg = {a0, a1, a2, 0}};
    ring();
    return call->ret;
}

s64 monitor_call_data(const struct thaw_call *call)
{
    struct thaw_call *answer = monitor_answer();
    *answer = *call;
    ring();
    return answer->ret;
}

s64 machine_monitor_call(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    struct thaw_kvm *page = kvm_page();
    struct thaw_call *answer = monitor_answer();

    if (call->len > THAW_CALL_DATA_MAX)
        return -EINVAL;
    if (answers_find(call, data, reply, reply_size))
        return call->ret;
    boot->stats.monitor_calls++;
    call->ret = 0;
    *answer = *call;
    memcpy(page->data, data, call->len);
    ring();
    call->ret = answer->ret;
    call->len = (u32)min((size_t)answer->len, reply_size);
    memcpy(reply, page->data, call->len);
    return call->ret;
}
