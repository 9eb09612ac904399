/* SPDX-License-Identifier: MIT */
/* AF_UNIX: pairs, names, backlog, message boundaries, files and credentials sent along, ends, errors, buffers' limits. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int s[2];

static struct sockaddr_un addr(const char *path, socklen_t *len)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    memcpy(a.sun_path, path, n);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    if (path[0] == '@') {
        a.sun_path[0] = 0;
        *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    }
    return a;
}

static ssize_t send_fd(int sock, int fd, const char *text)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } u;
    struct iovec iov = {(char *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    memset(u.buf, 0, sizeof u.buf);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(sock, &m, 0);
}

/* The message's length; *fd the file that came along, or -1; *cred likewise, pid 0. */
static ssize_t receive(int sock, char *buf, size_t size, int *fd, struct ucred *cred, int *flags)
{
    union {
        char buf[CMSG_SPACE(sizeof(int) * 4) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } u;
    struct iovec iov = {buf, size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
    ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);

    *fd = -1;
    cred->pid = 0;
    *flags = m.msg_flags;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(c), sizeof *fd);
        else if (c->cmsg_type == SCM_CREDENTIALS)
            memcpy(cred, CMSG_DATA(c), sizeof *cred);
    }
    return n;
}

static void pairs(void)
{
    char buf[64];
    struct stat st;
    int n;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && fstat(s[0], &st) == 0 && S_ISSOCK(st.st_mode));
    FAILS(lseek(s[0], 0, SEEK_SET), ESPIPE);
    CHECK(write(s[0], "abc", 3) == 3 && send(s[0], "def", 3, 0) == 3);
    CHECK(ioctl(s[1], FIONREAD, &n) == 0 && n == 6);
    CHECK(recv(s[1], buf, 4, MSG_PEEK) == 4 && recv(s[1], buf, 64, 0) == 6 && !memcmp(buf, "abcdef", 6));
    FAILS(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    struct timeval tv = {0, 20000};
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    FAILS(recv(s[1], buf, 1, 0), EAGAIN);
    CHECK(write(s[1], "back", 4) == 4 && read(s[0], buf, 64) == 4);
    CHECK(shutdown(s[0], SHUT_WR) == 0 && read(s[1], buf, 1) == 0);
    FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(write(s[1], "still", 5) == 5 && read(s[0], buf, 64) == 5);
    struct pollfd p = {s[0], POLLIN | POLLRDHUP, 0};
    close(s[1]);
    CHECK(poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLRDHUP)) == (POLLHUP | POLLRDHUP));
    close(s[0]);

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
    CHECK(write(s[0], "one", 3) == 3 && write(s[0], "second", 6) == 6);
    CHECK(read(s[1], buf, 64) == 3);
    CHECK(recv(s[1], buf, 2, MSG_TRUNC) == 6); /* the rest of it is lost */
    FAILS(recv(s[1], buf, 2, MSG_DONTWAIT), EAGAIN);
    write(s[1], "unread", 6);
    close(s[0]);
    FAILS(read(s[1], buf, 64), ECONNRESET);
    CHECK(read(s[1], buf, 64) == 0);
    close(s[1]);
    FAILS(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
    FAILS(socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(socket(AF_UNIX, 9, 0), ESOCKTNOSUPPORT);
}

static void *echo_once(void *arg)
{
    int l = (int)(long)arg, c = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    char buf[64];
    ssize_t n;

    CHECK(c >= 0 && fcntl(c, F_GETFD) == FD_CLOEXEC);
    while ((n = read(c, buf, sizeof buf)) > 0)
        CHECK(write(c, buf, (size_t)n) == n);
    close(c);
    return NULL;
}

static void names(const char *path)
{
    socklen_t len, n = sizeof(struct sockaddr_un);
    struct sockaddr_un a = addr(path, &len), b;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), d;
    bool abstract = path[0] == '@';
    pthread_t t;
    char buf[64];
    struct ucred cred;
    struct stat st;

    FAILS(connect(c, (void *)&a, len), abstract ? ECONNREFUSED : ENOENT);
    FAILS(listen(l, 1), EINVAL);
    CHECK(bind(l, (void *)&a, len) == 0);
    FAILS(bind(l, (void *)&a, len), abstract ? EINVAL : EADDRINUSE);
    FAILS(bind(c, (void *)&a, len), EADDRINUSE);
    FAILS(connect(c, (void *)&a, len), ECONNREFUSED);
    if (!abstract) {
        CHECK(stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
        FAILS(open(path, O_RDWR), ENXIO);
    }
    CHECK(listen(l, 0) == 0);
    CHECK(pthread_create(&t, NULL, echo_once, (void *)(long)l) == 0);
    CHECK(connect(c, (void *)&a, len) == 0);
    FAILS(connect(c, (void *)&a, len), EISCONN);
    CHECK(getpeername(c, (void *)&b, &n) == 0 && n == len && !memcmp(&a, &b, len));
    n = sizeof b;
    CHECK(getsockname(c, (void *)&b, &n) == 0 && n == sizeof(sa_family_t));
    n = sizeof cred;
    CHECK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 && cred.pid == getpid() && cred.uid == getuid());
    CHECK(write(c, "hello", 5) == 5 && read(c, buf, 64) == 5);
    CHECK(shutdown(c, SHUT_WR) == 0 && read(c, buf, 64) == 0);
    close(c);
    pthread_join(t, NULL);
    /* One waits to be accepted; the next finds the queue full. */
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    d = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(connect(c, (void *)&a, len) == 0);
    FAILS(connect(d, (void *)&a, len), EAGAIN);
    close(l);
    FAILS(read(c, buf, 1), ECONNRESET);
    FAILS(connect(d, (void *)&a, len), ECONNREFUSED);
    close(c);
    close(d);
    if (!abstract)
        CHECK(unlink(path) == 0);
}

static void datagrams(void)
{
    socklen_t la, lb, n;
    struct sockaddr_un a = addr("/tmp/dgram.a", &la), b = addr("@dgram.b", &lb), from;
    int x = socket(AF_UNIX, SOCK_DGRAM, 0), y = socket(AF_UNIX, SOCK_DGRAM, 0), z = socket(AF_UNIX, SOCK_DGRAM, 0);
    char buf[64], *big = calloc(1, 1 << 20);

    CHECK(bind(x, (void *)&a, la) == 0 && bind(y, (void *)&b, lb) == 0);
    CHECK(sendto(x, "to b", 4, 0, (void *)&b, lb) == 4 && sendto(x, "", 0, 0, (void *)&b, lb) == 0);
    n = sizeof from;
    CHECK(recvfrom(y, buf, 64, 0, (void *)&from, &n) == 4 && n == la && !memcmp(&from, &a, la));
    CHECK(recv(y, buf, 64, 0) == 0);
    FAILS(send(x, "x", 1, 0), ENOTCONN);
    FAILS(sendto(x, big, 1 << 20, 0, (void *)&b, lb), EMSGSIZE);
    CHECK(connect(y, (void *)&a, la) == 0 && send(y, "conn", 4, 0) == 4 && recv(x, buf, 64, 0) == 4);
    FAILS(sendto(z, "third", 5, 0, (void *)&b, lb), EPERM); /* y talks to x alone */
    n = sizeof from;
    CHECK(sendto(z, "nameless", 8, 0, (void *)&a, la) == 8 && recvfrom(x, buf, 64, 0, (void *)&from, &n) == 8);
    CHECK(n == 0);
    close(x);
    FAILS(send(y, "gone", 4, 0), ECONNREFUSED);
    FAILS(sendto(z, "gone", 4, 0, (void *)&a, la), ECONNREFUSED);
    CHECK(unlink("/tmp/dgram.a") == 0);
    FAILS(sendto(z, "gone", 4, 0, (void *)&a, la), ENOENT);
    close(y);
    close(z);
    free(big);
}

static void passing(void)
{
    int p[2], fd, flags, on = 1;
    struct ucred cred;
    char buf[64];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
    CHECK(write(s[0], "before", 6) == 6 && send_fd(s[0], p[1], "with") == 4 && write(s[0], "after", 5) == 5);
    close(p[1]); /* the one in flight keeps the pipe open */
    CHECK(receive(s[1], buf, 64, &fd, &cred, &flags) == 10 && !memcmp(buf, "beforewith", 10) && fd >= 0);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(write(fd, "through", 7) == 7 && read(p[0], buf, 64) == 7);
    close(fd);
    CHECK(read(p[0], buf, 64) == 0);
    CHECK(receive(s[1], buf, 64, &fd, &cred, &flags) == 5 && fd == -1 && !cred.pid);
    /* A message that is thrown away closes what it carried. */
    close(p[0]);
    CHECK(pipe(p) == 0 && send_fd(s[0], p[1], "x") == 1);
    close(p[1]);
    CHECK(read(s[1], buf, 64) == 1 && read(p[0], buf, 64) == 0);
    close(p[0]);
    FAILS(send_fd(s[0], 9999, "x"), EBADF);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK(write(s[0], "c", 1) == 1 && receive(s[1], buf, 64, &fd, &cred, &flags) == 1);
    CHECK(cred.pid == getpid() && cred.uid == getuid() && cred.gid == getgid());
    /* Sockets that only each other's queues refer to go when their last descriptor does: 3,000 pairs would not fit. */
    close(s[0]);
    close(s[1]);
    for (int i = 0; i < 3000; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
        CHECK(send_fd(s[0], s[0], "x") == 1 && send_fd(s[1], s[1], "y") == 1 && send_fd(s[0], s[1], "z") == 1);
        close(s[0]);
        close(s[1]);
    }
}

static volatile sig_atomic_t pipes;
static void on_pipe(int sig) { pipes++; }

static void *slow_reader(void *arg)
{
    char buf[5000];
    size_t total = 0;
    for (ssize_t n; (n = read(s[1], buf, sizeof buf)) > 0; total += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            CHECK(buf[i] == (char)((total + (size_t)i) / 4096));
    return (void *)total;
}

static void limits(void)
{
    char buf[4096] = "";
    size_t total = 0;
    int size, lowat = 10;
    socklen_t len = sizeof size;
    void *got;
    pthread_t t;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    for (ssize_t n; (n = write(s[0], buf, sizeof buf)) > 0;)
        total += (size_t)n;
    FAILS(write(s[0], buf, sizeof buf), EAGAIN);
    CHECK(total >= 65536 && total < 4 << 20);
    struct pollfd p = {s[0], POLLOUT, 0};
    CHECK(poll(&p, 1, 0) == 0);
    while (total) {
        ssize_t n = read(s[1], buf, sizeof buf);
        CHECK(n > 0);
        total -= (size_t)n;
    }
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
    size = 8192;
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
    CHECK(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size == 16384);
    for (ssize_t n; (n = write(s[0], buf, 100)) > 0;)
        total += (size_t)n;
    FAILS(write(s[0], buf, 100), EAGAIN);
    CHECK(total <= 32768);
    close(s[0]);
    close(s[1]);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK(pthread_create(&t, NULL, slow_reader, NULL) == 0);
    for (int i = 0; i < 500; i++) {
        memset(buf, i, sizeof buf);
        CHECK(write(s[0], buf, sizeof buf) == sizeof buf);
    }
    close(s[0]);
    pthread_join(t, &got);
    CHECK((size_t)got == 500 * sizeof buf);
    close(s[1]);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat) == 0);
    CHECK(recv(s[1], buf, 4, MSG_DONTWAIT) == -1 && write(s[0], "12345678", 8) == 8);
    CHECK(recv(s[1], buf, 8, MSG_WAITALL) == 8);
    signal(SIGPIPE, on_pipe);
    close(s[1]);
    FAILS(write(s[0], "x", 1), EPIPE);
    CHECK(pipes == 1);
    close(s[0]);
}

int main(void)
{
    pairs();
    names("/tmp/socket.name");
    names("@abstract name");
    datagrams();
    passing();
    limits();
    return success();
}
