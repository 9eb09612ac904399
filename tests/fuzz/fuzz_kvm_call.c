/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the handler of a guest kernel's calls on the kvm machine. The input is a row of calls in short form; what the
 * host answers comes out of it as well, in place of the host: linked with --wrap, nothing is read, written or waited for.
 * Data may only go to and come from the page's own data, and only by the documented calls.
 */
#define _GNU_SOURCE
#include "kvm.h"

#include <asm/termbits.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#define CPUS 3
#define PID 1000
#define TID 2000

static const uint8_t *input;
static size_t input_left;
static struct thaw_kvm *page;
static jmp_buf ended;

/* 0 once the input is used up. */
static uint64_t take(size_t n)
{
    uint64_t v = 0;

    if (n > input_left)
        n = input_left;
    memcpy(&v, input, n);
    input += n;
    input_left -= n;
    return v;
}

static void within(const void *at, size_t n)
{
    uintptr_t from = (uintptr_t)page->data, p = (uintptr_t)at;

    if (p < from || p - from > sizeof page->data || n > sizeof page->data - (p - from))
        abort();
}

/* ---- the host ---- */

void __wrap_vm_fail(struct vm *vm, const char *fmt, ...) __attribute__((noreturn));
void __wrap_vm_fail(struct vm *vm, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    (void)vm;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!text[0] || strchr(text, '\n'))
        abort();
    longjmp(ended, 1);
}

void __wrap_vm_exit(struct vm *vm) __attribute__((noreturn));
void __wrap_vm_exit(struct vm *vm)
{
    (void)vm;
    longjmp(ended, 1);
}

int __wrap_vm_ioctl(struct vm *vm, int fd, unsigned long request, void *arg, const char *what);
int __wrap_vm_ioctl(struct vm *vm, int fd, unsigned long request, void *arg, const char *what)
{
    (void)vm;
    (void)fd;
    (void)what;
    memset(arg, (int)take(1), _IOC_SIZE(request));
    return 0;
}

static long host_read(int fd, void *buf, size_t n)
{
    if (fd == KVM_FD_SIGNALS)
        return -EAGAIN;
    if (fd < 0 || fd > THAW_FD_STDERR)
        abort();
    within(buf, n);
    if (take(1) & 1)
        return -EIO;
    n = take(2) % (n + 1);
    memset(buf, 'r', n);
    return (long)n;
}

static long host_write(int fd, const void *buf, size_t n)
{
    if (fd < 0 || fd > THAW_FD_STDERR)
        abort();
    within(buf, n);
    return take(1) & 1 ? (long)(take(2) % (n + 1)) : -EPIPE;
}

static long host_writev(int fd, const struct iovec *iov, int n)
{
    size_t sum = 0;

    if (fd != THAW_FD_CONTROL || n < 1 || n > 2 || iov[0].iov_len != sizeof(struct thaw_call))
        abort();
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    if (n == 2)
        within(iov[1].iov_base, iov[1].iov_len);
    return take(1) % 16 ? (long)sum : -EPIPE;
}

/* The monitor's answer, and once in a while one that is none. */
static long host_readv(int fd, const struct iovec *iov, int n)
{
    struct thaw_call *call = iov[0].iov_base;
    size_t len;

    if (fd != THAW_FD_CONTROL || n != 2 || iov[0].iov_len != sizeof *call)
        abort();
    within(iov[1].iov_base, iov[1].iov_len);
    len = take(2) % (iov[1].iov_len + 1);
    call->ret = (int64_t)take(8);
    call->len = (uint32_t)len;
    if (take(1) % 16 == 0)
        call->len = (uint32_t)take(4);
    memset(iov[1].iov_base, 'a', len);
    return (long)(sizeof *call + len);
}

static long host_ioctl(int fd, uint32_t request, void *arg)
{
    if (fd < 0 || fd > THAW_FD_STDERR)
        abort();
    switch (request) {
    case TCGETS:
    case TCSETS:
    case TCSETSW:
    case TCSETSF: within(arg, sizeof(struct termios)); break;
    case TIOCGWINSZ:
    case TIOCSWINSZ: within(arg, 8); break;
    case TIOCGPGRP:
    case FIONREAD:
    case TIOCOUTQ: within(arg, 4); break;
    case TCFLSH:
    case TCSBRK:
    case TCXONC:
        if ((uintptr_t)arg > 255)
            abort();
        break;
    default: abort();
    }
    return take(1) & 1 ? 0 : -ENOTTY;
}

static long host_poll(struct pollfd *p, nfds_t n)
{
    for (nfds_t i = 0; i < n; i++)
        p[i].revents = take(1) & 1 ? p[i].events : 0;
    return p[0].revents != 0;
}

static long host_ppoll(struct pollfd *p, nfds_t n, const struct timespec *timeout)
{
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000))
        abort();
    for (nfds_t i = 0; i < n; i++) {
        if (p[i].fd > THAW_FD_STDERR && p[i].fd != KVM_FD_SIGNALS)
            abort();
        p[i].revents = (short)take(1);
    }
    return (int)(take(1) & 3) - 1;
}

static long host_setitimer(const struct itimerval *it)
{
    if (it->it_value.tv_sec < 0 || it->it_value.tv_usec < 0 || it->it_value.tv_usec >= 1000000)
        abort();
    return 0;
}

static long host_tgkill(int pid, int tid, int signal)
{
    if (pid != PID || tid < TID || tid >= TID + CPUS || signal != THAW_SIG_KICK)
        abort();
    return 0;
}

long __wrap_vm_syscall5(long nr, long a, long b, long c, long d, long e);
long __wrap_vm_syscall5(long nr, long a, long b, long c, long d, long e)
{
    (void)d;
    (void)e;
    switch (nr) {
    case SYS_read: return host_read((int)a, (void *)b, (size_t)c);
    case SYS_write: return host_write((int)a, (void *)b, (size_t)c);
    case SYS_writev: return host_writev((int)a, (void *)b, (int)c);
    case SYS_readv: return host_readv((int)a, (void *)b, (int)c);
    case SYS_ioctl: return host_ioctl((int)a, (uint32_t)b, (void *)c);
    case SYS_poll: return host_poll((void *)a, (nfds_t)b);
    case SYS_ppoll: return host_ppoll((void *)a, (nfds_t)b, (void *)c);
    case SYS_setitimer: return host_setitimer((void *)b);
    case SYS_tgkill: return host_tgkill((int)a, (int)b, (int)c);
    case SYS_sched_yield: return 0;
    default: abort();
    }
}

/* ---- the guest ---- */

static uint64_t pick(void)
{
    static const uint64_t some[] = {0,          1,          2,          3,          TCGETS,     TIOCGWINSZ,  FIONREAD,
                                    TCFLSH,     0x5412,     65536,      65537,      1ull << 32, 0x100000002, INT64_MAX,
                                    1ull << 63, UINT64_MAX, 0xffffffff, 1000000000, TCSETS,     0x7fffffff};
    uint8_t x = (uint8_t)take(1);

    return x < sizeof some / sizeof *some ? some[x] : x < 200 ? x : take(8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct thaw_boot boot;
    struct sandbox_config config = {.image_fd = -1};
    struct vm vm = {.boot = &boot, .config = &config, .device = -1, .fd = -1, .pid = PID, .cpus = CPUS};

    /* Exactly as large as it is: each byte beyond is an error. */
    page = calloc(1, sizeof *page);
    if (!page)
        abort();
    vm.page = page;
    for (uint32_t i = 0; i < CPUS; i++)
        vm.vcpu[i] = (struct vcpu){.vm = &vm, .index = i, .fd = -1, .tid = TID + (int)i};
    input = data;
    input_left = size;
    for (int i = 0; i < 3; i++) {
        uint64_t kind = take(1);

        vm.regular[i] = kind & 1;
        vm.pipe[i] = kind & 2;
    }
    if (setjmp(ended) == 0)
        while (input_left > 0) {
            uint64_t op = take(1);
            struct vcpu *v = &vm.vcpu[op % CPUS];
            struct thaw_call *call = &page->call[v->index];

            call->op = op < 80 ? (uint32_t)op : (uint32_t)pick();
            call->len = op & 1 ? (uint32_t)pick() : (uint32_t)take(2);
            call->ret = 0;
            for (int i = 0; i < 4; i++)
                call->arg[i] = pick();
            call_serve(v);
            if (call->len > THAW_CALL_DATA_MAX)
                abort();
        }
    free(page);
    page = NULL;
    return 0;
}
