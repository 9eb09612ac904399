/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: names, lines and their editing, echo, raw mode, flow control, window size, both ends' closing. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static int m, s;
static char buf[8192];

/* A pair whose slave is open; what is typed into the master comes out of the slave. */
static void open_pair(void)
{
    m = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(m >= 0 && grantpt(m) == 0 && unlockpt(m) == 0);
    s = open(ptsname(m), O_RDWR | O_NOCTTY);
    CHECK(s >= 0);
}

static void type(const char *text)
{
    CHECK(write(m, text, strlen(text)) == (ssize_t)strlen(text));
    usleep(2000); /* Linux hands it over in a work queue */
}

/* The next read of fd gives just this. */
static void gives(int fd, const char *want)
{
    ssize_t n = read(fd, buf, sizeof buf);

    if (n != (ssize_t)strlen(want) || memcmp(buf, want, (size_t)n)) {
        fprintf(stderr, "got %zd \"%.*s\", not \"%s\"\n", n, (int)(n > 0 ? n : 0), buf, want);
        exit(1);
    }
}

static void nothing(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    CHECK(poll(&p, 1, 0) == 0);
}

static void names(void)
{
    struct stat a, b;
    char *name;

    m = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(m >= 0 && (name = ptsname(m)) && !strncmp(name, "/dev/pts/", 9));
    FAILS(open(name, O_RDWR | O_NOCTTY), EIO); /* locked */
    CHECK(unlockpt(m) == 0 && (s = open(name, O_RDWR | O_NOCTTY)) >= 0);
    CHECK(isatty(m) && isatty(s) && !strcmp(ttyname(s), name));
    CHECK(stat(name, &a) == 0 && fstat(s, &b) == 0 && S_ISCHR(a.st_mode) && a.st_rdev == b.st_rdev);
    FAILS(lseek(s, 0, SEEK_SET), ESPIPE);
    close(m);
    FAILS(open(name, O_RDWR | O_NOCTTY), ENOENT);
    CHECK(read(s, buf, 1) == 0);
    FAILS(write(s, "x", 1), EIO);
    close(s);
}

static void lines(void)
{
    open_pair();
    type("ab");
    nothing(s);
    gives(m, "ab"); /* the echo */
    type("c\ndef\n");
    gives(s, "abc\n");
    gives(s, "def\n");
    gives(m, "c\r\ndef\r\n");
    type("abx\177c\n");
    gives(s, "abc\n");
    gives(m, "abx\b \bc\r\n");
    type("one two\027three\n");
    gives(s, "one three\n");
    gives(m, "one two\b \b\b \b\b \bthree\r\n");
    type("gone\025kept\r");
    gives(s, "kept\n");
    gives(m, "gone\b \b\b \b\b \b\b \bkept\r\n");
    type("\026\003\n"); /* quoted */
    gives(s, "\003\n");
    gives(m, "^\b^C\r\n");
    type("part\004");
    gives(s, "part");
    type("\004");
    CHECK(read(s, buf, 9) == 0); /* end of file, once */
    gives(m, "part");
    CHECK(write(s, "a\nb\tc", 5) == 5);
    gives(m, "a\r\nb\tc");
    type("long line\n");
    CHECK(read(s, buf, 4) == 4 && read(s, buf, 99) == 6);
    close(s);
    gives(m, "long line\r\n");
    FAILS(read(m, buf, 9), EIO);
    close(m);
}

static void raw(void)
{
    struct termios t, u;
    struct winsize w = {50, 132, 1, 2}, got;
    int n;

    open_pair();
    CHECK(tcgetattr(s, &t) == 0 && (t.c_lflag & ICANON) && (t.c_oflag & OPOST));
    u = t;
    cfmakeraw(&u);
    CHECK(tcsetattr(s, TCSANOW, &u) == 0 && tcgetattr(m, &t) == 0 && !(t.c_lflag & (ICANON | ECHO)));
    type("a\003\r\177");
    CHECK(ioctl(s, FIONREAD, &n) == 0 && n == 4);
    gives(s, "a\003\r\177");
    nothing(m);
    CHECK(write(s, "x\ny", 3) == 3);
    gives(m, "x\ny");
    u.c_cc[VMIN] = 0;
    u.c_cc[VTIME] = 1;
    CHECK(tcsetattr(s, TCSANOW, &u) == 0 && read(s, buf, 9) == 0); /* after a tenth of a second */
    u.c_cc[VMIN] = 3;
    u.c_cc[VTIME] = 0;
    CHECK(tcsetattr(s, TCSANOW, &u) == 0);
    type("12");
    nothing(s);
    type("3");
    gives(s, "123");
    type("dropped");
    CHECK(tcflush(s, TCIFLUSH) == 0 && ioctl(s, FIONREAD, &n) == 0 && n == 0);
    CHECK(ioctl(m, TIOCSWINSZ, &w) == 0 && ioctl(s, TIOCGWINSZ, &got) == 0 && !memcmp(&w, &got, sizeof w));
    FAILS(tcgetpgrp(s), ENOTTY); /* nobody's controlling terminal */
    close(m);
    close(s);
}

static void flow(void)
{
    struct pollfd p;

    open_pair();
    type("\023");
    p = (struct pollfd){s, POLLOUT, 0};
    CHECK(poll(&p, 1, 0) == 0);
    type("\021");
    CHECK(poll(&p, 1, 0) == 1 && write(s, "on", 2) == 2);
    gives(m, "on");
    /* A writer waits until the master reads. */
    CHECK(fcntl(s, F_SETFL, O_NONBLOCK) == 0);
    size_t total = 0, got = 0;
    for (ssize_t n; (n = write(s, buf, 1000)) > 0;)
        total += (size_t)n;
    CHECK(poll(&p, 1, 0) == 0 && total >= 4096);
    while (got < total)
        got += (size_t)read(m, buf, sizeof buf);
    CHECK(poll(&p, 1, 0) == 1);
    close(m);
    close(s);
}

static void *reader(void *arg)
{
    ssize_t n = read(s, buf, sizeof buf);
    return (void *)n;
}

static void waiting(void)
{
    pthread_t t;
    void *n;

    open_pair();
    CHECK(pthread_create(&t, NULL, reader, NULL) == 0);
    usleep(20000);
    type("wake");
    usleep(20000);
    type(" up\n");
    pthread_join(t, &n);
    CHECK((ssize_t)n == 8);
    CHECK(pthread_create(&t, NULL, reader, NULL) == 0);
    usleep(20000);
    close(m);
    pthread_join(t, &n);
    CHECK((ssize_t)n <= 0);
    close(s);
    for (int i = 0; i < 300; i++) { /* numbers are used again */
        open_pair();
        close(s);
        close(m);
    }
}

int main(void)
{
    names();
    lines();
    raw();
    flow();
    waiting();
    return success();
}
