/* SPDX-License-Identifier: MIT */
/* Pipes, FIFOs, eventfd, timerfd, the console as files, and waiting for all of them. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "calls.h"
#include "vfs.h"

#define SIGPIPE_BIT sigmask(13)
#define SIGUSR1 10

CALL(pipe2);
CALL(poll);
CALL(ppoll);
CALL(select);
CALL(pselect6);
CALL(epoll_create1);
CALL(epoll_ctl);
CALL(epoll_wait);
CALL(epoll_pwait);
CALL(eventfd2);
CALL(timerfd_create);
CALL(timerfd_settime);
CALL(timerfd_gettime);
CALL(ioctl);
CALL(fcntl);
CALL(read);
CALL(write);
CALL(close);
CALL(dup);
#define FIONREAD 0x541b
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032

static u64 now_ms(void) { return machine_clock(1) / 1000000; }

static void pipe_make(int fds[2], u32 flags) { assert_int_equal(sys(pipe2, P(fds), flags), 0); }

static void close_all(void)
{
    for (int fd; (fd = files_next_fd(current->process->files, 0)) >= 0;)
        assert_int_equal(sys(close, (u64)fd), 0);
}

static s64 wr(int fd, const char *s) { return sys(write, (u64)fd, P(s), strlen(s)); }

/* A thread that does one thing after a while. */
struct later {
    struct task *task;
    int ms, fd, sig, closes;
    const char *text;
};

static void later_run(void *arg)
{
    struct later *l = arg;

    fake_sleep_ms((unsigned)l->ms);
    if (l->text)
        wr(l->fd, l->text);
    if (l->closes)
        sys(close, (u64)l->fd);
    if (l->sig)
        fake_signal(l->task, l->sig);
}

static struct task *later(struct later *l)
{
    l->task = current;
    return fake_thread(later_run, l);
}

static void clear_signal(void)
{
    current->pending.set = 0;
    current->restore_blocked = false;
    current->restart_deadline = 0;
}

/* ---- pipes ---- */

static void test_a_pipe_gives_back_what_was_put_in(void **state)
{
    int p[2];
    char buf[8192];
    s32 n;

    pipe_make(p, 0);
    assert_int_equal(wr(p[1], "hello "), 6);
    assert_int_equal(wr(p[1], "world"), 5);
    assert_int_equal(sys(ioctl, (u64)p[0], FIONREAD, P(&n)), 0);
    assert_int_equal(n, 11);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 8), 8);
    assert_memory_equal(buf, "hello wo", 8);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 100), 3);
    assert_memory_equal(buf, "rld", 3);
    assert_int_equal(sys(read, (u64)p[1], P(buf), 1), -EBADF);
    assert_int_equal(sys(write, (u64)p[0], P(buf), 1), -EBADF);
    close_all();
}

/* Enough rounds for the ring to wrap and to grow. */
static void test_a_pipes_ring_keeps_the_order(void **state)
{
    static u8 out[70000], in[70000];
    u32 sent = 0, got = 0, seed = 1;
    int p[2];

    pipe_make(p, O_NONBLOCK);
    while (got < 2000000) {
        u32 n = rand_r(&seed) % 60000, k;
        s64 r;

        for (k = 0; k < n; k++)
            out[k] = (u8)((sent + k) * 2654435761u >> 24);
        r = sys(write, (u64)p[1], P(out), n);
        sent += r > 0 ? (u32)r : 0;
        r = sys(read, (u64)p[0], P(in), rand_r(&seed) % 60000);
        for (k = 0; r > 0 && k < (u32)r; k++)
            assert_int_equal(in[k], (u8)((got + k) * 2654435761u >> 24));
        got += r > 0 ? (u32)r : 0;
    }
    close_all();
}

static void test_writes_up_to_pipe_buf_go_in_whole_or_not_at_all(void **state)
{
    static char buf[65536];
    int p[2];

    pipe_make(p, O_NONBLOCK);
    assert_int_equal(sys(write, (u64)p[1], P(buf), 65536 - 100), 65536 - 100);
    assert_int_equal(sys(write, (u64)p[1], P(buf), 101), -EAGAIN);
    assert_int_equal(sys(write, (u64)p[1], P(buf), 4096), -EAGAIN);
    assert_int_equal(sys(write, (u64)p[1], P(buf), 4097), 100); /* larger ones may be cut */
    assert_int_equal(sys(write, (u64)p[1], P(buf), 1), -EAGAIN);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 65536), 65536);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 1), -EAGAIN);
    close_all();
}

static void test_the_end_of_a_pipe_shows_on_the_other_side(void **state)
{
    int p[2];
    char c;

    pipe_make(p, 0);
    assert_int_equal(wr(p[1], "x"), 1);
    sys(close, (u64)p[1]);
    assert_int_equal(sys(read, (u64)p[0], P(&c), 1), 1);
    assert_int_equal(sys(read, (u64)p[0], P(&c), 1), 0);
    close_all();
    pipe_make(p, 0);
    sys(close, (u64)p[0]);
    fake_signals_sent();
    assert_int_equal(wr(p[1], ""), 0);
    assert_int_equal(fake_signals_sent(), 0);
    assert_int_equal(wr(p[1], "x"), -EPIPE);
    assert_int_equal(fake_signals_sent(), SIGPIPE_BIT);
    close_all();
}

static void test_a_reader_waits_for_bytes_for_the_end_and_for_signals(void **state)
{
    struct later l = {.ms = 20, .text = "now"};
    struct task *t;
    int p[2];
    char buf[10];

    pipe_make(p, 0);
    l.fd = p[1];
    t = later(&l);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 10), 3);
    fake_join(t);
    l = (struct later){.ms = 20, .sig = SIGUSR1};
    t = later(&l);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 10), -ERESTARTSYS);
    clear_signal();
    fake_join(t);
    l = (struct later){.ms = 20, .fd = p[1], .closes = 1};
    t = later(&l);
    assert_int_equal(sys(read, (u64)p[0], P(buf), 10), 0);
    fake_join(t);
    close_all();
}

static void drain(void *arg)
{
    int *p = arg;
    static char buf[4096];

    for (s64 left = 200000; left > 0;) {
        s64 r = sys(read, (u64)p[0], P(buf), sizeof(buf));

        assert_true(r > 0);
        left -= r;
    }
}

static void test_a_writer_waits_for_room(void **state)
{
    static char buf[200000];
    struct task *t;
    int p[2];

    pipe_make(p, 0);
    t = fake_thread(drain, p);
    assert_int_equal(sys(write, (u64)p[1], P(buf), sizeof(buf)), sizeof(buf));
    fake_join(t);
    close_all();
}

static void test_a_pipes_size_can_be_set(void **state)
{
    static char buf[1 << 20];
    int p[2];

    pipe_make(p, O_NONBLOCK);
    assert_int_equal(sys(fcntl, (u64)p[0], F_GETPIPE_SZ), 65536);
    assert_int_equal(sys(fcntl, (u64)p[1], F_SETPIPE_SZ, 5000), 8192);
    assert_int_equal(sys(write, (u64)p[1], P(buf), 10000), 8192);
    assert_int_equal(sys(fcntl, (u64)p[1], F_SETPIPE_SZ, 4096), -EBUSY);
    assert_int_equal(sys(fcntl, (u64)p[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    assert_int_equal(sys(write, (u64)p[1], P(buf), sizeof(buf)), (1 << 20) - 8192);
    assert_int_equal(sys(fcntl, (u64)p[1], F_SETPIPE_SZ, (1 << 20) + 1), -EPERM);
    close_all();
}

static int fifo_make_open(struct inode *inode, u32 flags)
{
    struct path path = {NULL, dentry_alloc_hidden(NULL, "fifo", inode_get(inode))};
    struct file *f = file_open_path(&path, flags, false);

    if (IS_ERR(f)) {
        path_put(&path);
        return (int)PTR_ERR(f);
    }
    return fd_install(f, false, 0);
}

static void fifo_writer(void *arg)
{
    fake_sleep_ms(20);
    int fd = fifo_make_open(arg, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(wr(fd, "through"), 7);
    sys(close, (u64)fd);
}

static void test_opens_of_a_fifo_wait_for_each_other(void **state)
{
    struct super_block *sb = tmpfs_mount(0755, 1 << 20);
    struct inode *root = sb->root->inode, *fifo;
    struct later l = {.ms = 20, .sig = SIGUSR1};
    struct pollfd pf = {.events = POLLIN};
    struct task *t;
    char buf[10];
    int r, w;

    assert_int_equal(root->op->create(root, "f", 1, S_IFIFO | 0600, 0, &fifo), 0);
    assert_int_equal(fifo_make_open(fifo, O_WRONLY | O_NONBLOCK), -ENXIO);
    t = fake_thread(fifo_writer, fifo);
    r = fifo_make_open(fifo, O_RDONLY);
    assert_int_equal(sys(read, (u64)r, P(buf), 10), 7);
    assert_int_equal(sys(read, (u64)r, P(buf), 10), 0);
    fake_join(t);
    sys(close, (u64)r);
    assert_null(fifo->special);

    t = later(&l);
    assert_int_equal(fifo_make_open(fifo, O_RDONLY), -ERESTARTSYS);
    clear_signal();
    fake_join(t);
    assert_null(fifo->special);

    /* no hang-up before the first writer, one after the last */
    pf.fd = r = fifo_make_open(fifo, O_RDONLY | O_NONBLOCK);
    assert_int_equal(sys(poll, P(&pf), 1, 0), 0);
    w = fifo_make_open(fifo, O_WRONLY | O_NONBLOCK);
    assert_true(w >= 0);
    assert_int_equal(sys(read, (u64)r, P(buf), 10), -EAGAIN);
    sys(close, (u64)w);
    assert_int_equal(sys(poll, P(&pf), 1, 0), 1);
    assert_int_equal(pf.revents, POLLHUP);
    close_all();
    inode_put(fifo);
    super_put(sb);
}

/* ---- poll, select ---- */

static void test_poll_reports_what_is_ready(void **state)
{
    int p[2], q[2];
    char c;

    pipe_make(p, 0);
    pipe_make(q, 0);
    struct pollfd fds[] = {
        {p[0], POLLIN, 77}, {p[1], POLLIN | POLLOUT, 77}, {-5, POLLIN, 77}, {99, POLLIN, 77}, {q[0], POLLIN, 77}};
    assert_int_equal(sys(poll, P(fds), 5, (u64)-1), 2);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, POLLOUT);
    assert_int_equal(fds[2].revents, 0);
    assert_int_equal(fds[3].revents, POLLNVAL);
    wr(p[1], "x");
    sys(close, (u64)q[1]);
    assert_int_equal(sys(poll, P(fds), 5, (u64)-1), 4);
    assert_int_equal(fds[0].revents, POLLIN);
    assert_int_equal(fds[4].revents, POLLHUP);
    sys(read, (u64)p[0], P(&c), 1);
    sys(close, (u64)p[0]);
    assert_int_equal(sys(poll, P(fds + 1), 1, (u64)-1), 1);
    assert_int_equal(fds[1].revents, POLLOUT | POLLERR);
    assert_int_equal(sys(poll, P(fds), 100000, 0), -EINVAL);
    assert_int_equal(sys(poll, 8, 1, 0), -EFAULT);
    assert_int_equal(sys(poll, 0, 0, 0), 0);
    close_all();
}

static void test_poll_sleeps_until_a_wake_its_time_or_a_signal(void **state)
{
    struct later l = {.ms = 30, .text = "x"};
    struct task *t;
    int p[2];
    u64 start = now_ms();

    pipe_make(p, 0);
    struct pollfd fds[40];
    for (int i = 0; i < 40; i++) /* more than fit without an allocation */
        fds[i] = (struct pollfd){p[0], POLLIN, 0};
    assert_int_equal(sys(poll, P(fds), 40, 30), 0);
    assert_in_range(now_ms() - start, 29, 500);
    l.fd = p[1];
    t = later(&l);
    assert_int_equal(sys(poll, P(fds), 40, (u64)-1), 40);
    fake_join(t);
    char c;
    sys(read, (u64)p[0], P(&c), 1);
    l = (struct later){.ms = 20, .sig = SIGUSR1};
    t = later(&l);
    assert_int_equal(sys(poll, P(fds), 1, (u64)-1), -ERESTARTNOHAND);
    clear_signal();
    fake_join(t);
    t = later(&l);
    assert_int_equal(sys(poll, P(fds), 1, 10000), -ERESTART_RESTARTBLOCK);
    assert_true(current->restart_deadline > machine_clock(1));
    clear_signal();
    fake_join(t);
    close_all();
}

static void test_a_file_closed_while_it_is_polled_does_no_harm(void **state)
{
    struct later l = {.ms = 20, .closes = 1};
    struct task *t;
    int p[2];

    pipe_make(p, 0);
    struct pollfd fd = {p[0], POLLIN, 0};
    l.fd = p[0];
    t = later(&l);
    assert_int_equal(sys(poll, P(&fd), 1, 60), 1); /* found when the time is over, as on Linux */
    assert_int_equal(fd.revents, POLLNVAL);
    fake_join(t);
    close_all();
}

static void test_ppoll_and_pselect_take_a_mask_and_a_time(void **state)
{
    u64 mask = ~0ull;
    struct {
        s64 sec, nsec;
    } ts = {0, 30000000};
    struct {
        u64 set, size;
    } sixth = {P(&mask), 8};
    struct later l = {.ms = 5, .sig = SIGUSR1};
    struct task *t;
    int p[2];

    pipe_make(p, 0);
    struct pollfd fd = {p[0], POLLIN, 0};
    t = later(&l);
    assert_int_equal(sys(ppoll, P(&fd), 1, P(&ts), P(&mask), 8), 0); /* the signal is blocked meanwhile */
    assert_int_equal(ts.sec + ts.nsec, 0);
    assert_int_equal(current->blocked, 0);
    assert_false(current->restore_blocked);
    fake_join(t);
    ts.nsec = 500000000;
    mask = 0;
    assert_int_equal(sys(ppoll, P(&fd), 1, P(&ts), P(&mask), 8), -ERESTARTNOHAND); /* it is still pending */
    assert_true(ts.nsec > 400000000);
    assert_true(current->restore_blocked); /* the handler's frame has to find it */
    clear_signal();
    assert_int_equal(sys(ppoll, P(&fd), 1, P(&ts), P(&mask), 4), -EINVAL);
    ts.nsec = 1000000000;
    assert_int_equal(sys(ppoll, P(&fd), 1, P(&ts), 0, 0), -EINVAL);
    ts.nsec = 1000;
    u64 rd = 1ull << p[0];
    assert_int_equal(sys(pselect6, (u64)p[0] + 1, P(&rd), 0, 0, P(&ts), P(&sixth)), 0);
    assert_int_equal(rd, 0);
    close_all();
}

static void test_select_sets_bits_of_what_is_ready(void **state)
{
    int p[2];
    struct {
        s64 sec, usec;
    } tv = {0, 20000};
    u64 rd[2] = {0, 0}, wrs[2] = {0, 0};

    pipe_make(p, 0);
    rd[0] = 1ull << p[0];
    wrs[0] = 1ull << p[1];
    assert_int_equal(sys(select, 64, P(rd), P(wrs), 0, P(&tv)), 1);
    assert_int_equal(rd[0], 0);
    assert_int_equal(wrs[0], 1ull << p[1]);
    assert_true(tv.usec > 10000);
    rd[0] = 1ull << p[0];
    assert_int_equal(sys(select, (u64)p[0] + 1, P(rd), 0, 0, P(&tv)), 0);
    assert_int_equal(tv.usec, 0);
    wr(p[1], "x");
    rd[0] = 1ull << p[0];
    assert_int_equal(sys(select, (u64)p[0] + 1, P(rd), 0, P(rd), P(&tv)), 1);
    rd[0] = 1ull << 60;
    assert_int_equal(sys(select, 61, P(rd), 0, 0, P(&tv)), -EBADF);
    assert_int_equal(sys(select, (u64)-1, 0, 0, 0, P(&tv)), -EINVAL);
    tv.usec = -1;
    assert_int_equal(sys(select, 0, 0, 0, 0, P(&tv)), -EINVAL);
    close_all();
}

/* ---- epoll ---- */

#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define EPOLLEXCLUSIVE (1u << 28)
enum { ADD = 1, DEL, MOD };

struct event {
    u32 events;
    u64 data;
} __packed;

static int ep_make(void) { return (int)sys(epoll_create1, 0); }
static s64 ep_ctl(int ep, int op, int fd, u32 events)
{
    struct event e = {events, (u64)fd};

    return sys(epoll_ctl, (u64)ep, (u64)op, (u64)fd, P(&e));
}
static struct event got[8];
static s64 ep_wait(int ep, int ms) { return sys(epoll_wait, (u64)ep, P(got), 8, (u64)ms); }

static void test_epoll_reports_levels(void **state)
{
    int ep = ep_make(), p[2];
    char c;

    pipe_make(p, 0);
    assert_int_equal(ep_ctl(ep, ADD, p[0], POLLIN), 0);
    assert_int_equal(ep_ctl(ep, ADD, p[0], POLLIN), -EEXIST);
    assert_int_equal(ep_ctl(ep, MOD, p[1], POLLIN), -ENOENT);
    assert_int_equal(ep_ctl(ep, ADD, 99, POLLIN), -EBADF);
    assert_int_equal(ep_ctl(p[0], ADD, p[1], POLLIN), -EINVAL);
    assert_int_equal(ep_ctl(ep, ADD, ep, POLLIN), -EINVAL);
    assert_int_equal(ep_wait(ep, 0), 0);
    wr(p[1], "ab");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ep_wait(ep, -1), 1);
        assert_int_equal(got[0].events, POLLIN);
        assert_int_equal(got[0].data, p[0]);
    }
    sys(read, (u64)p[0], P(&c), 1);
    assert_int_equal(ep_wait(ep, -1), 1);
    sys(read, (u64)p[0], P(&c), 1);
    assert_int_equal(ep_wait(ep, 10), 0);
    assert_int_equal(ep_ctl(ep, ADD, p[1], POLLOUT), 0);
    assert_int_equal(ep_wait(ep, 0), 1);
    assert_int_equal(ep_ctl(ep, MOD, p[1], 0), 0);
    assert_int_equal(ep_wait(ep, 0), 0);
    sys(close, (u64)p[0]); /* takes its item along; the writer's end is now in error, which is always told */
    assert_int_equal(ep_wait(ep, 0), 1);
    assert_int_equal(got[0].events, POLLERR);
    assert_int_equal(ep_ctl(ep, DEL, p[1], 0), 0);
    assert_int_equal(ep_wait(ep, 0), 0);
    assert_int_equal(sys(epoll_wait, (u64)ep, P(got), 0, 0), -EINVAL);
    close_all();
}

static void test_epoll_reports_edges_once(void **state)
{
    int ep = ep_make(), p[2];
    char c;

    pipe_make(p, 0);
    ep_ctl(ep, ADD, p[0], POLLIN | EPOLLET);
    wr(p[1], "a");
    assert_int_equal(ep_wait(ep, 0), 1);
    assert_int_equal(ep_wait(ep, 0), 0);
    wr(p[1], "b");
    assert_int_equal(ep_wait(ep, 0), 1);
    sys(read, (u64)p[0], P(&c), 1);
    assert_int_equal(ep_wait(ep, 0), 0);
    ep_ctl(ep, MOD, p[0], POLLIN | EPOLLONESHOT);
    assert_int_equal(ep_wait(ep, 0), 1);
    wr(p[1], "c");
    assert_int_equal(ep_wait(ep, 0), 0);
    ep_ctl(ep, MOD, p[0], POLLIN | EPOLLONESHOT);
    assert_int_equal(ep_wait(ep, 0), 1);
    assert_int_equal(ep_ctl(ep, MOD, p[0], POLLIN | EPOLLEXCLUSIVE), -EINVAL);
    ep_ctl(ep, DEL, p[0], 0);
    assert_int_equal(ep_ctl(ep, ADD, p[0], POLLIN | EPOLLEXCLUSIVE), 0);
    assert_int_equal(ep_ctl(ep, MOD, p[0], POLLIN), -EINVAL);
    close_all();
}

static void test_epoll_wait_sleeps(void **state)
{
    struct later l = {.ms = 20, .text = "x"};
    u64 mask = 0, start = now_ms();
    struct task *t;
    int ep = ep_make(), p[2];

    pipe_make(p, 0);
    assert_int_equal(ep_wait(ep, 30), 0);
    assert_in_range(now_ms() - start, 29, 500);
    ep_ctl(ep, ADD, p[0], POLLIN);
    l.fd = p[1];
    t = later(&l);
    assert_int_equal(ep_wait(ep, -1), 1);
    fake_join(t);
    ep_ctl(ep, DEL, p[0], 0);
    l = (struct later){.ms = 20, .sig = SIGUSR1};
    t = later(&l);
    assert_int_equal(sys(epoll_pwait, (u64)ep, P(got), 8, (u64)-1, P(&mask), 8), -EINTR);
    assert_true(current->restore_blocked);
    clear_signal();
    fake_join(t);
    close_all();
}

static void test_epoll_instances_nest_but_not_in_circles(void **state)
{
    int ep[7], p[2];
    char c;

    pipe_make(p, 0);
    for (int i = 0; i < 7; i++)
        ep[i] = ep_make();
    assert_int_equal(ep_ctl(ep[0], ADD, p[0], POLLIN), 0);
    for (int i = 1; i < 5; i++)
        assert_int_equal(ep_ctl(ep[i], ADD, ep[i - 1], POLLIN), 0);
    assert_int_equal(ep_ctl(ep[5], ADD, ep[4], POLLIN), -ELOOP); /* too deep */
    assert_int_equal(ep_ctl(ep[0], ADD, ep[4], POLLIN), -ELOOP);
    assert_int_equal(ep_ctl(ep[0], ADD, ep[1], POLLIN), -ELOOP);
    assert_int_equal(ep_ctl(ep[1], ADD, ep[6], POLLIN), 0);
    assert_int_equal(ep_wait(ep[4], 0), 0);
    wr(p[1], "x");
    assert_int_equal(ep_wait(ep[4], -1), 1);
    assert_int_equal(got[0].data, ep[3]);
    struct pollfd fd = {ep[4], POLLIN, 0};
    assert_int_equal(sys(poll, P(&fd), 1, (u64)-1), 1);
    sys(read, (u64)p[0], P(&c), 1);
    assert_int_equal(sys(poll, P(&fd), 1, 0), 0);
    sys(close, (u64)ep[2]); /* from the middle */
    wr(p[1], "x");
    assert_int_equal(ep_wait(ep[4], 0), 0);
    assert_int_equal(ep_wait(ep[1], 0), 1);
    close_all();
}

static void test_an_item_lives_as_long_as_its_file(void **state)
{
    int ep = ep_make(), p[2], copy;

    pipe_make(p, 0);
    ep_ctl(ep, ADD, p[0], POLLIN);
    copy = (int)sys(dup, (u64)p[0]);
    sys(close, (u64)p[0]);
    wr(p[1], "x");
    assert_int_equal(ep_wait(ep, 0), 1); /* the file is still open: as on Linux */
    sys(close, (u64)copy);
    assert_int_equal(ep_wait(ep, 0), 0);
    close_all();
}

static void test_many_items_are_reported_in_turns(void **state)
{
    int ep = ep_make(), p[20][2];
    u64 seen = 0;

    for (int i = 0; i < 20; i++) {
        pipe_make(p[i], 0);
        wr(p[i][1], "x");
        ep_ctl(ep, ADD, p[i][0], POLLIN);
    }
    for (int k = 0; k < 3; k++) {
        assert_int_equal(ep_wait(ep, 0), 8);
        for (int i = 0; i < 8; i++)
            seen |= 1ull << got[i].data;
    }
    assert_int_equal(__builtin_popcountll(seen), 20);
    close_all();
}

/* ---- eventfd, timerfd ---- */

static void test_eventfd_counts(void **state)
{
    int fd = (int)sys(eventfd2, 3, O_NONBLOCK), sem = (int)sys(eventfd2, 2, O_NONBLOCK | 1);
    struct pollfd pf = {fd, POLLIN | POLLOUT, 0};
    u64 v = 4;

    assert_int_equal(sys(write, (u64)fd, P(&v), 8), 8);
    assert_int_equal(sys(poll, P(&pf), 1, 0), 1);
    assert_int_equal(pf.revents, POLLIN | POLLOUT);
    assert_int_equal(sys(read, (u64)fd, P(&v), 4), -EINVAL);
    assert_int_equal(sys(read, (u64)fd, P(&v), 8), 8);
    assert_int_equal(v, 7);
    assert_int_equal(sys(read, (u64)fd, P(&v), 8), -EAGAIN);
    v = ~0ull;
    assert_int_equal(sys(write, (u64)fd, P(&v), 8), -EINVAL);
    v = ~0ull - 1;
    assert_int_equal(sys(write, (u64)fd, P(&v), 8), 8);
    assert_int_equal(sys(poll, P(&pf), 1, 0), 1);
    assert_int_equal(pf.revents, POLLIN);
    v = 1;
    assert_int_equal(sys(write, (u64)fd, P(&v), 8), -EAGAIN);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sys(read, (u64)sem, P(&v), 8), 8);
        assert_int_equal(v, 1);
    }
    assert_int_equal(sys(read, (u64)sem, P(&v), 8), -EAGAIN);
    assert_int_equal(sys(eventfd2, 0, 0x1000000), -EINVAL);
    close_all();
}

static void test_timerfd_is_set_reported_and_cleared(void **state)
{
    int fd = (int)sys(timerfd_create, 1, O_NONBLOCK);
    s64 its[4] = {0, 10000000, 3600, 0}, cur[4];
    u64 ticks;

    assert_int_equal(sys(timerfd_settime, (u64)fd, 0, P(its), 0), 0);
    assert_int_equal(sys(timerfd_gettime, (u64)fd, P(cur)), 0);
    assert_in_range(cur[2], 3590, 3600);
    assert_int_equal(cur[1], 10000000);
    assert_int_equal(sys(read, (u64)fd, P(&ticks), 8), -EAGAIN);
    its[2] = 0;
    its[3] = 5000000;
    assert_int_equal(sys(timerfd_settime, (u64)fd, 0, P(its), 0), 0);
    fake_sleep_ms(48);
    timer_expired();
    assert_int_equal(sys(read, (u64)fd, P(&ticks), 8), 8);
    assert_in_range(ticks, 5, 40);
    its[3] = its[1] = 0;
    assert_int_equal(sys(timerfd_settime, (u64)fd, 0, P(its), P(cur)), 0);
    assert_int_equal(cur[1], 10000000);
    assert_int_equal(sys(read, (u64)fd, P(&ticks), 8), -EAGAIN);
    assert_int_equal(sys(timerfd_create, 99, 0), -EINVAL);
    close_all();
}

/* ---- the console ---- */

static int console_fd(int n)
{
    struct file *f = console_open(n);

    assert_false(IS_ERR(f));
    return fd_install(f, false, 0);
}

static void console_later(void *arg)
{
    int *host = arg;

    fake_sleep_ms(20);
    assert_int_equal(write(*host, "typed", 5), 5);
}

static void test_the_console_can_be_polled_beside_pipes(void **state)
{
    int host[2], in, p[2], ep, outer;
    struct kstat st;
    struct task *t;
    char buf[16];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, host), 0);
    fake_console[0] = host[0];
    in = console_fd(0);
    pipe_make(p, 0);
    struct pollfd fds[2] = {{in, POLLIN, 0}, {p[0], POLLIN, 0}};
    assert_int_equal(sys(poll, P(fds), 2, 10), 0);
    t = fake_thread(console_later, &host[1]);
    assert_int_equal(sys(poll, P(fds), 2, (u64)-1), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    fake_join(t);
    assert_int_equal(sys(read, (u64)in, P(buf), 16), 5);

    ep = ep_make();
    outer = ep_make();
    assert_int_equal(ep_ctl(outer, ADD, ep, POLLIN), 0);
    assert_int_equal(ep_ctl(ep, ADD, in, POLLIN), 0);
    assert_int_equal(ep_ctl(ep, ADD, p[0], POLLIN), 0);
    assert_int_equal(ep_wait(ep, 10), 0);
    for (int round = 0; round < 2; round++) {
        t = fake_thread(console_later, &host[1]);
        assert_int_equal(ep_wait(round ? outer : ep, -1), 1);
        fake_join(t);
        assert_int_equal(ep_wait(ep, -1), 1);
        assert_int_equal(got[0].data, in);
        assert_int_equal(sys(read, (u64)in, P(buf), 16), 5);
        assert_int_equal(ep_wait(outer, 0), 0);
    }
    struct pollfd fd = {outer, POLLIN, 0};
    t = fake_thread(console_later, &host[1]);
    assert_int_equal(sys(poll, P(&fd), 1, (u64)-1), 1);
    fake_join(t);
    assert_int_equal(sys(read, (u64)in, P(buf), 16), 5);
    /* a pipe ends a sleep that hears the console, too */
    struct later l = {.ms = 20, .fd = p[1], .text = "x"};
    t = later(&l);
    assert_int_equal(ep_wait(outer, -1), 1);
    fake_join(t);

    /* what it is follows the request */
    struct file *f = fd_get(in);
    assert_int_equal(file_stat(f, &st), 0);
    assert_int_equal(st.st_mode & S_IFMT, S_IFIFO);
    fake_request->stdio_tty = 1;
    assert_int_equal(file_stat(f, &st), 0);
    assert_int_equal(st.st_mode & S_IFMT, S_IFCHR);
    fake_request->stdio_tty = 0;
    file_put(f);
    close(host[1]);
    assert_int_equal(sys(read, (u64)in, P(buf), 16), 0);
    assert_int_equal(sys(write, (u64)in, P(buf), 1), -EPIPE);
    assert_int_equal(fake_signals_sent(), SIGPIPE_BIT);
    close_all();
    close(host[0]);
}

/* ---- want of memory ---- */

static void try_everything(void)
{
    int p[2] = {-1, -1}, ep;

    sys(pipe2, P(p), O_NONBLOCK);
    ep = ep_make();
    if (ep >= 0 && p[0] >= 0) {
        ep_ctl(ep, ADD, p[0], POLLIN);
        wr(p[1], "x");
        ep_wait(ep, 0);
        ep_ctl(ep, MOD, p[0], POLLIN | POLLOUT);
    }
    sys(eventfd2, 1, 0);
    sys(timerfd_create, 1, 0);
    close_all();
}

static void test_no_failed_allocation_leaks_or_crashes(void **state)
{
    long before;

    try_everything();
    before = fake_allocated;
    for (long n = 1; n < 60; n++) {
        fake_alloc_fail = n;
        try_everything();
        fake_alloc_fail = 0;
        assert_int_equal(fake_allocated, before);
    }
}

static long allocated;
static int setup(void **state)
{
    allocated = fake_allocated;
    return 0;
}

/* Every test gives back what it took. */
static int teardown(void **state) { return fake_allocated == allocated ? 0 : -1; }

static int group_setup(void **state)
{
    static char buf[5000];
    int p[2];

    signal(13, SIG_IGN);
    fake_init();
    current->process->files = files_create();
    current->process->fs = fs_create();
    /* what is made once, at first use */
    pipe_make(p, O_NONBLOCK);
    sys(write, (u64)p[1], P(buf), sizeof(buf));
    close_all();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pipe_gives_back_what_was_put_in),
        TEST(test_a_pipes_ring_keeps_the_order),
        TEST(test_writes_up_to_pipe_buf_go_in_whole_or_not_at_all),
        TEST(test_the_end_of_a_pipe_shows_on_the_other_side),
        TEST(test_a_reader_waits_for_bytes_for_the_end_and_for_signals),
        TEST(test_a_writer_waits_for_room),
        TEST(test_a_pipes_size_can_be_set),
        TEST(test_opens_of_a_fifo_wait_for_each_other),
        TEST(test_poll_reports_what_is_ready),
        TEST(test_poll_sleeps_until_a_wake_its_time_or_a_signal),
        TEST(test_a_file_closed_while_it_is_polled_does_no_harm),
        TEST(test_ppoll_and_pselect_take_a_mask_and_a_time),
        TEST(test_select_sets_bits_of_what_is_ready),
        TEST(test_epoll_reports_levels),
        TEST(test_epoll_reports_edges_once),
        TEST(test_epoll_wait_sleeps),
        TEST(test_epoll_instances_nest_but_not_in_circles),
        TEST(test_an_item_lives_as_long_as_its_file),
        TEST(test_many_items_are_reported_in_turns),
        TEST(test_eventfd_counts),
        TEST(test_timerfd_is_set_reported_and_cleared),
        TEST(test_the_console_can_be_polled_beside_pipes),
        cmocka_unit_test(test_no_failed_allocation_leaks_or_crashes),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
