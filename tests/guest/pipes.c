/* SPDX-License-Identifier: MIT */
/* Pipes: whole data, blocking both ways, EOF, EPIPE and SIGPIPE, PIPE_BUF atomicity, O_NONBLOCK. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int p[2];

static void *writer(void *arg)
{
    char buf[1000];
    for (int i = 0; i < 2000; i++) {
        memset(buf, i & 255, sizeof buf);
        CHECK(write(p[1], buf, sizeof buf) == sizeof buf);
    }
    close(p[1]);
    return NULL;
}

static void *atomic_writer(void *arg)
{
    char buf[512];
    memset(buf, (int)(long)arg, sizeof buf);
    for (int i = 0; i < 500; i++)
        CHECK(write(p[1], buf, sizeof buf) == sizeof buf);
    return NULL;
}

static volatile sig_atomic_t got;
static void on_pipe(int sig) { got++; }

int main(void)
{
    pthread_t t[4];
    char buf[4096];
    struct stat st;
    size_t total = 0;

    CHECK(pipe(p) == 0 && fstat(p[0], &st) == 0 && S_ISFIFO(st.st_mode));
    FAILS(lseek(p[0], 0, SEEK_SET), ESPIPE);
    FAILS(write(p[0], "x", 1), EBADF);
    CHECK(pthread_create(&t[0], NULL, writer, NULL) == 0);
    for (ssize_t n; (n = read(p[0], buf, 777)) > 0; total += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            CHECK((unsigned char)buf[i] == (((total + (size_t)i) / 1000) & 255));
    CHECK(total == 2000000);
    pthread_join(t[0], NULL);
    CHECK(read(p[0], buf, 1) == 0);
    close(p[0]);

    CHECK(pipe(p) == 0);
    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, atomic_writer, (void *)(i + 'a'));
    for (int i = 0; i < 2000; i++) {
        size_t n = 0;
        while (n < 512) {
            ssize_t r = read(p[0], buf + n, 512 - n);
            CHECK(r > 0);
            n += (size_t)r;
        }
        for (int k = 1; k < 512; k++)
            CHECK(buf[k] == buf[0]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);

    signal(SIGPIPE, on_pipe);
    close(p[0]);
    FAILS(write(p[1], "x", 1), EPIPE);
    CHECK(got == 1);
    close(p[1]);

    CHECK(pipe2(p, O_NONBLOCK | O_CLOEXEC) == 0);
    FAILS(read(p[0], buf, 1), EAGAIN);
    memset(buf, 0, sizeof buf);
    total = 0;
    for (ssize_t n; (n = write(p[1], buf, sizeof buf)) > 0;)
        total += (size_t)n;
    FAILS(write(p[1], buf, sizeof buf), EAGAIN);
    CHECK(total >= 65536);
    int avail;
    CHECK(ioctl(p[0], FIONREAD, &avail) == 0 && (size_t)avail == total);
    return success();
}
