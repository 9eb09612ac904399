/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes what the monitor makes of a guest kernel's calls: packets on the control socket, file calls on two shares, one
 * of them read-only. The input is a row of calls in short form. Beside the shares lies a file that no call may reach,
 * though links in them lead there.
 */
#define _GNU_SOURCE
#include "share.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "no-call-may-reach-this"
#define HANDLES 8

/* A call in short form, followed by len bytes of data. */
struct record {
    uint8_t op;     /* 0xff: a packet of raw bytes */
    uint8_t share;  /* 0 to 127: the number; above: one that there is not */
    uint8_t arg[3]; /* see pick() */
    uint8_t len[2];
};

static char top[4096];
static bool dirty = true; /* the shares are not as fill() leaves them */
static uint64_t handles[HANDLES];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    if (ftw->level > 0)
        remove(path);
    return 0;
}

static void clean(void)
{
    nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    rmdir(top);
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

/* The same for each input, so that each can be run again. */
static void fill(void)
{
    nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (chdir(top) < 0 || mkdir("rw", 0755) < 0 || mkdir("ro", 0755) < 0 || mkdir("rw/d", 0755) < 0)
        abort();
    put("secret", SECRET);
    put("ro/f", "read only");
    put("rw/f", "one");
    put("rw/d/g", "two");
    if (symlink("../secret", "rw/up") < 0 || symlink("../../secret", "rw/d/up") < 0 || symlink("..", "rw/dir") < 0 ||
        symlink("../secret", "ro/up") < 0 || symlink("f", "rw/l") < 0)
        abort();
}

static void check(void)
{
    char text[64] = "";
    struct stat st;
    int fd = open("secret", O_RDONLY);

    if (fd < 0 || read(fd, text, sizeof text) != sizeof SECRET - 1 || memcmp(text, SECRET, sizeof SECRET - 1) != 0)
        abort();
    if (fstat(fd, &st) < 0 || (st.st_mode & 07777) != 0644 || st.st_nlink != 1)
        abort();
    close(fd);
    fd = open("ro/f", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text) != 9 || memcmp(text, "read only", 9) != 0)
        abort();
    close(fd);
    if (access("ro/up", F_OK) < 0 || lstat("ro/f", &st) < 0 || st.st_nlink != 1)
        abort();
}

static bool changes(unsigned op)
{
    switch (op) {
    case THAW_CALL_STAT:
    case THAW_CALL_CLOSE:
    case THAW_CALL_PREAD:
    case THAW_CALL_READDIR:
    case THAW_CALL_FSTAT:
    case THAW_CALL_READLINK:
    case THAW_CALL_STATFS: return false;
    default: return true;
    }
}

static uint64_t pick(uint8_t x)
{
    static const uint64_t some[] = {
        0,     1,          2,          O_CREAT | O_RDWR,    O_TRUNC,       O_DIRECTORY, 0755,
        65536, 65537,      INT64_MAX,  (uint64_t)INT64_MIN, UINT64_MAX,    1ull << 32,  4096,
        1023,  0x7fffffff, 0xffffffff, O_APPEND | O_WRONLY, O_EXCL | 0102, 040000};

    if (x < sizeof some / sizeof *some)
        return some[x];
    return x >= 0xc0 ? handles[x % HANDLES] : x;
}

static void send_call(int fd, const struct record *r, const uint8_t *data, size_t len)
{
    struct {
        struct thaw_call call;
        uint8_t data[2048];
    } packet = {.call = {.op = r->op, .len = (uint32_t)len}};
    size_t n;

    if (r->op == 0xff) {
        n = len;
        memcpy(&packet, data, n);
    } else {
        packet.call.arg[0] = r->share < 128 ? r->share : UINT64_MAX - r->share;
        for (int i = 0; i < 3; i++)
            packet.call.arg[i + 1] = pick(r->arg[i]);
        memcpy(packet.data, data, len);
        n = sizeof packet.call + len;
    }
    /* An empty packet is a peer that has gone. */
    if (n > 0 && send(fd, &packet, n, 0) != (ssize_t)n)
        abort();
}

static void receive(int fd)
{
    static uint8_t reply[sizeof(struct thaw_call) + THAW_CALL_DATA_MAX + 1];
    ssize_t n = recv(fd, reply, sizeof reply, MSG_DONTWAIT);
    struct thaw_call call;

    if (n < 0)
        return; /* a broken packet is not answered */
    if ((size_t)n < sizeof call)
        abort();
    memcpy(&call, reply, sizeof call);
    if (call.len != (size_t)n - sizeof call || call.len > THAW_CALL_DATA_MAX)
        abort();
    if (memmem(reply, (size_t)n, SECRET, sizeof SECRET - 1))
        abort();
    if (call.op == THAW_CALL_OPEN && call.ret >= 0) {
        memmove(handles + 1, handles, sizeof handles - sizeof *handles);
        handles[0] = (uint64_t)call.ret;
    }
}

static void set_up(void)
{
    struct rlimit limit = {1u << 20, 1u << 20};

    if (top[0])
        return;
    snprintf(top, sizeof top, "%s/thaw-fuzz-control.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(top))
        abort();
    atexit(clean);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sandbox_config config = {.image_fd = -1};
    struct sandbox sb = {.pidfd = -1, .config = &config};
    struct thaw_error err;
    int pair[2];

    set_up();
    if (dirty)
        fill();
    dirty = false;
    memset(handles, 0xff, sizeof handles);
    sb.shares = config.shares = share_set_create();
    if (!sb.shares || share_add(sb.shares, "rw", false, &err) < 0 || share_add(sb.shares, "ro", true, &err) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    sb.control = pair[0];
    while (size >= sizeof(struct record)) {
        struct record r;
        size_t len;

        memcpy(&r, data, sizeof r);
        data += sizeof r;
        size -= sizeof r;
        len = (r.len[0] | (size_t)r.len[1] << 8) % 2048;
        if (len > size)
            len = size;
        /* What takes or ends a snapshot is of another kind: there is no process here whose memory could be read. */
        if (r.op != THAW_CALL_SNAPSHOT && r.op != THAW_CALL_TRAINED) {
            dirty |= changes(r.op);
            send_call(pair[1], &r, data, len);
            if (control_serve(&sb, &err) < 0 && (!err.text[0] || strchr(err.text, '\n')))
                abort();
            receive(pair[1]);
        }
        data += len;
        size -= len;
    }
    close(pair[0]);
    close(pair[1]);
    share_set_free(sb.shares);
    check();
    return 0;
}
