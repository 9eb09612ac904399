/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/*
 * The monitor's side of the control socket: one packet in, one packet out. The peer is the guest's kernel, which is
 * not trusted; a packet that does not say how long it is, or says it wrongly, ends the sandbox.
 */
#include "share.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int control_broken(struct thaw_error *err, const char *how)
{
    return thaw_error_set(err, THAW_STATUS_FAILED, EPROTO,
                          "the sandbox's kernel broke the protocol (%s); it has been stopped", how);
}

static int control_reply(struct sandbox *sb, struct thaw_call *reply, void *data, struct thaw_error *err)
{
    struct iovec iov[2] = {{reply, sizeof *reply}, {data, reply->len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = reply->len ? 2 : 1};
    ssize_t n;

    do
        n = sendmsg(sb->control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    /* An honest kernel asks one thing at a time. For one that never listens nobody waits: there is a timeout to keep. */
    if (n < 0 && errno == EAGAIN)
        return control_broken(err, "it does not take its answers");
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
        return -1; /* it ended meanwhile: its status says why */
    if (n < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot answer the sandbox: %s", strerror(errno));
    return 0;
}

int control_serve(struct sandbox *sb, struct thaw_error *err)
{
    unsigned char *buf = sb->shares ? share_buffers(sb->shares) : NULL;
    unsigned char small[256];
    unsigned char *data_out = buf ? buf + SHARE_BUFFERS / 2 : NULL;
    struct thaw_call call, reply;
    struct iovec iov[2] = {{&call, sizeof call}, {buf ? buf : small, buf ? THAW_CALL_DATA_MAX : sizeof small}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    err->exit_status = 0; /* set only if there is something to say */
    err->error = 0;
    err->text[0] = 0;
    do
        n = recvmsg(sb->control, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return -1; /* the peer is gone */
    if (n < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot hear the sandbox: %s", strerror(errno));
    /* No control buffer was given, so descriptors sent along were dropped by the host's kernel already. */
    if ((msg.msg_flags & MSG_TRUNC) || (size_t)n < sizeof call)
        return control_broken(err, "a packet of a wrong size");
    if (call.len != (size_t)n - sizeof call)
        return control_broken(err, "a wrong length");

    reply = (struct thaw_call){.op = call.op};
    switch (call.op) {
    case THAW_CALL_SNAPSHOT:
        reply.ret = snapshot_take(sb, &call, err);
        if (sb->snapshot_served)
            sb->snapshot_served(sb->snapshot_served_arg);
        break;
    case THAW_CALL_TRAINED: reply.ret = snapshot_trained(sb, &call); break;
    case THAW_CALL_PROCESSES: reply.ret = processes_prepare(sb, &call); break;
    /* These are not answered. */
    case THAW_CALL_PROCESS: processes_add(sb, call.arg[0]); return 0;
    case THAW_CALL_KICK: processes_kick(sb, call.arg[0], call.arg[1]); return 0;
    case THAW_CALL_OVER:
        if (sb->pid > 0)
            kill(sb->pid, SIGKILL);
        return 0;
    default:
        if (!data_out)
            reply.ret = -ENODEV;
        else
            reply.ret = share_serve(sb->shares, &call, buf, data_out, &reply.len);
        if (call.op == THAW_CALL_CLOSE)
            return 0;
    }
    return control_reply(sb, &reply, data_out, err);
}
