/* SPDX-License-Identifier: MIT */
/* Calls to the monitor: one packet there, one back, one call at a time. */
#include "answers.h"
#include "process.h"
#include "wait.h"

static struct {
    struct thaw_call call;
    u8 data[THAW_CALL_DATA_MAX];
} * packet;
static bool busy;
static struct wait_queue idle = {LIST_HEAD_INIT(idle.head)};

static s64 packet_io(int nr, size_t n)
{
    s64 r;
    do
        r = host_syscall(nr, THAW_FD_CONTROL, (u64)packet, n, 0, 0, 0);
    while (r == -EINTR);
    return r;
}

void monitor_tell(u32 op, u64 a, u64 b)
{
    const struct thaw_call call = {.op = op, .arg = {a, b}};
    s64 r;
    do
        r = host_syscall(HOST_write, THAW_FD_CONTROL, (u64)&call, sizeof(call), 0, 0, 0);
    while (r == -EINTR);
}

s64 machine_monitor_call(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    struct wait_entry e;
    s64 ret = -EIO;

    if (call->len > THAW_CALL_DATA_MAX)
        return -EINVAL;
    if (answers_find(call, data, reply, reply_size))
        return call->ret;
    /* Not interruptible: the other call ends soon, or the monitor is gone and so are we. */
    wait_queue_add(&idle, &e, current);
    for (machine_block_prepare(); busy; machine_block_prepare())
        machine_block(0);
    wait_queue_remove(&e);
    if (!packet && !(packet = page_alloc(page_align(sizeof(*packet)) / PAGE_SIZE)))
        return -ENOMEM;
    busy = true;
    boot->stats.monitor_calls++;
    call->ret = 0;
    packet->call = *call;
    memcpy(packet->data, data, call->len);

    kernel_unlock();
    size_t n = sizeof(packet->call) + call->len;
    bool sent = packet_io(HOST_write, n) == (s64)n;
    if (sent && call->op == THAW_CALL_CLOSE) { /* has no reply */
        call->len = 0;
        ret = 0;
    } else if (sent) {
        s64 got = packet_io(HOST_read, sizeof(*packet));
        if (got >= (s64)sizeof(packet->call) && packet->call.op == call->op &&
            packet->call.len == (u64)got - sizeof(packet->call)) {
            ret = packet->call.ret;
            call->len = (u32)min((size_t)packet->call.len, reply_size);
        }
    }
    kernel_lock();

    if (ret != -EIO)
        memcpy(reply, packet->data, call->len);
    else
        call->len = 0;
    call->ret = ret;
    busy = false;
    wake_up(&idle);
    return ret;
}

void monitor_call_reset(void) { busy = false; }
