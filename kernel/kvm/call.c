/* SPDX-License-Identifier: MIT */
/* Calls to the monitor: written down in its page, and an OUT instruction. One processor, so one call at a time. */
#include "kvm.h"

#include "answers.h"

static void ring(void) { __asm__ volatile("outl %0, %w1" ::"a"(0), "d"(THAW_KVM_PORT) : "memory"); }

s64 monitor_call(u32 op, u64 a0, u64 a1, u64 a2)
{
    struct thaw_call *call = &kvm_page()->call;
    *call = (struct thaw_call){.op = op, .arg = {a0, a1, a2, 0}};
    ring();
    return call->ret;
}

s64 monitor_call_data(const struct thaw_call *call)
{
    kvm_page()->call = *call;
    ring();
    return kvm_page()->call.ret;
}

s64 machine_monitor_call(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    struct thaw_kvm *page = kvm_page();

    if (call->len > THAW_CALL_DATA_MAX)
        return -EINVAL;
    if (answers_find(call, data, reply, reply_size))
        return call->ret;
    boot->stats.monitor_calls++;
    call->ret = 0;
    page->call = *call;
    memcpy(page->data, data, call->len);
    ring();
    call->ret = page->call.ret;
    call->len = (u32)min((size_t)page->call.len, reply_size);
    memcpy(reply, page->data, call->len);
    return call->ret;
}
