/* SPDX-License-Identifier: MIT */
/* The control socket: packets that a guest's kernel should not send. */
#define _GNU_SOURCE
#include "share.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct sandbox sb;
    struct sandbox_config config;
    int guest;
    struct thaw_error err;
    unsigned char packet[SHARE_PACKET + 64];
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct thaw_error err;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    w->sb.control = fds[0];
    w->guest = fds[1];
    w->sb.shares = share_set_create();
    w->sb.config = &w->config;
    assert_int_equal(share_add(w->sb.shares, "/", true, &err), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    share_set_free(w->sb.shares);
    close(w->sb.control);
    if (w->guest >= 0)
        close(w->guest);
    free(w);
    return 0;
}

static int serve(struct world *w, const struct thaw_call *call, size_t extra)
{
    memcpy(w->packet, call, sizeof *call);
    assert_int_equal(send(w->guest, w->packet, sizeof *call + extra, 0), sizeof *call + extra);
    return control_serve(&w->sb, &w->err);
}

static struct thaw_call reply_of(struct world *w, size_t *len)
{
    struct thaw_call reply;
    ssize_t n = recv(w->guest, w->packet, sizeof w->packet, MSG_DONTWAIT);

    assert_true(n >= (ssize_t)sizeof reply);
    memcpy(&reply, w->packet, sizeof reply);
    *len = (size_t)n - sizeof reply;
    assert_int_equal(reply.len, *len);
    return reply;
}

static void test_a_call_is_answered_once_with_its_data(void **state)
{
    struct world *w = *state;
    struct thaw_call call = {.op = THAW_CALL_STAT}, reply;
    size_t len;

    assert_int_equal(serve(w, &call, 0), 0);
    reply = reply_of(w, &len);
    assert_int_equal(reply.op, THAW_CALL_STAT);
    assert_int_equal(reply.ret, 0);
    assert_int_equal(len, sizeof(struct thaw_stat));
    assert_int_equal(recv(w->guest, w->packet, 1, MSG_DONTWAIT), -1);
}

static void test_the_largest_packet_fits(void **state)
{
    struct world *w = *state;
    struct thaw_call call = {.op = THAW_CALL_STAT, .len = THAW_CALL_DATA_MAX}, reply;
    size_t len;

    assert_int_equal(serve(w, &call, THAW_CALL_DATA_MAX), 0);
    reply = reply_of(w, &len);
    assert_int_equal(reply.ret, -ENAMETOOLONG);
}

static void test_a_packet_of_a_wrong_length_ends_the_sandbox(void **state)
{
    struct world *w = *state;
    static const struct {
        uint32_t says;
        size_t is;
    } wrong[] = {{1, 0},
                 {0, 1},
                 {UINT32_MAX, 0},
                 {5, 4},
                 {THAW_CALL_DATA_MAX + 1, THAW_CALL_DATA_MAX + 1},
                 {0, THAW_CALL_DATA_MAX + 1}};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct thaw_call call = {.op = THAW_CALL_STAT, .len = wrong[i].says};

        assert_int_equal(serve(w, &call, wrong[i].is), -1);
        assert_int_equal(w->err.error, EPROTO);
        assert_int_equal(recv(w->guest, w->packet, 1, MSG_DONTWAIT), -1);
    }
    for (size_t n = 1; n < sizeof(struct thaw_call); n++) {
        assert_int_equal(send(w->guest, w->packet, n, 0), n);
        assert_int_equal(control_serve(&w->sb, &w->err), -1);
        assert_int_equal(w->err.error, EPROTO);
    }
}

static void test_unknown_calls_get_enosys(void **state)
{
    struct world *w = *state;
    static const uint32_t ops[] = {0, 7, 15, 35, 1000, UINT32_MAX};
    size_t len;

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct thaw_call call = {.op = ops[i]};

        assert_int_equal(serve(w, &call, 0), 0);
        assert_int_equal(reply_of(w, &len).ret, -ENOSYS);
        assert_int_equal(len, 0);
    }
}

static void test_a_snapshot_that_was_not_promised_is_refused(void **state)
{
    struct world *w = *state;
    struct thaw_call call = {.op = THAW_CALL_SNAPSHOT, .arg = {1}};
    size_t len;

    assert_int_equal(serve(w, &call, 0), 0);
    assert_true(reply_of(w, &len).ret < 0);
    call.op = THAW_CALL_TRAINED;
    assert_int_equal(serve(w, &call, 0), 0);
    assert_true(reply_of(w, &len).ret < 0);
}

static void test_a_sandbox_without_shares_has_no_files(void **state)
{
    struct world *w = *state;
    struct thaw_call call = {.op = THAW_CALL_STAT};
    struct share_set *set = w->sb.shares;
    size_t len;

    w->sb.shares = NULL;
    assert_int_equal(serve(w, &call, 0), 0);
    assert_int_equal(reply_of(w, &len).ret, -ENODEV);
    call.len = 5000;
    assert_int_equal(serve(w, &call, 5000), -1);
    w->sb.shares = set;
}

static void test_descriptors_sent_along_are_dropped(void **state)
{
    struct world *w = *state;
    struct thaw_call call = {.op = THAW_CALL_STAT};
    struct iovec iov = {&call, sizeof call};
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } u = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int before = dup(0), after, zero = 0;

    close(before);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &zero, sizeof zero);
    assert_int_equal(sendmsg(w->guest, &msg, 0), sizeof call);
    assert_int_equal(control_serve(&w->sb, &w->err), 0);
    after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

static void test_a_peer_that_went_away_is_no_error_of_its_own(void **state)
{
    struct world *w = *state;
    struct thaw_call call = {.op = THAW_CALL_STAT};

    assert_int_equal(control_serve(&w->sb, &w->err), 0); /* nothing there: no waiting */
    assert_int_equal(send(w->guest, &call, sizeof call, 0), sizeof call);
    close(w->guest);
    w->guest = -1;
    assert_int_equal(control_serve(&w->sb, &w->err), -1);
    assert_int_equal(w->err.text[0], 0);
    assert_int_equal(control_serve(&w->sb, &w->err), -1);
    assert_int_equal(w->err.text[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_call_is_answered_once_with_its_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_largest_packet_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_packet_of_a_wrong_length_ends_the_sandbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_calls_get_enosys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_snapshot_that_was_not_promised_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sandbox_without_shares_has_no_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors_sent_along_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_that_went_away_is_no_error_of_its_own, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
