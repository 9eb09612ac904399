/* SPDX-License-Identifier: MIT */
/*
 * What the guest's kernel asks for. A call is copied out of the guest's reach once, its length checked here, and nowhere
 * does an address of the guest's play a part: data goes through vm->page->data, THAW_CALL_DATA_MAX bytes.
 */
#define _GNU_SOURCE
#include "kvm.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PIPE_ATOMIC 4096u /* a pipe that is ready to be written to takes this much without waiting */

static uint64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Signals for the program, and the timer: they are blocked, interrupt KVM_RUN, and are read from a descriptor. */
void call_prepare(struct vm *vm)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGUSR1, SIGUSR2, SIGALRM};
    struct stat st;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&set, signals[i]);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN); /* EPIPE tells us */
    if (fd < 0 || (fd != KVM_FD_SIGNALS && (syscall(SYS_dup3, fd, KVM_FD_SIGNALS, O_CLOEXEC) < 0 || close(fd))) ||
        sigprocmask(SIG_SETMASK, &set, NULL))
        child_fail(vm->boot, "preparing for signals", errno);
    for (int i = 0; i < 3; i++) {
        if (fstat(i, &st))
            continue;
        vm->regular[i] = S_ISREG(st.st_mode);
        vm->pipe[i] = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
    }
}

bool call_signals(struct vm *vm)
{
    struct signalfd_siginfo info;
    uint64_t set = 0;

    while (read(KVM_FD_SIGNALS, &info, sizeof info) == sizeof info)
        set |= info.ssi_signo == SIGALRM ? THAW_KVM_EVENT_TIMER : 1ull << (info.ssi_signo & 63);
    if (set)
        __atomic_fetch_or(&vm->page->events, set, __ATOMIC_SEQ_CST);
    return set;
}

/* ---- stdio ---- */

static bool is_ready(const struct vm *vm, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return vm->regular[fd] || poll(&p, 1, 0) != 0;
}

static int64_t console_read(struct vm *vm, const struct thaw_call *call, uint32_t *len)
{
    size_t n = call->arg[1] < THAW_CALL_DATA_MAX ? call->arg[1] : THAW_CALL_DATA_MAX;
    int fd = (int)call->arg[0];
    ssize_t r;

    if (!is_ready(vm, fd, POLLIN))
        return -EAGAIN;
    do
        r = read(fd, vm->page->data, n);
    while (r < 0 && errno == EINTR);
    *len = r > 0 ? (uint32_t)r : 0;
    return r < 0 ? -errno : r;
}

static int64_t console_write(struct vm *vm, const struct thaw_call *call)
{
    int fd = (int)call->arg[0], error = EAGAIN;
    size_t done = 0;

    if (!call->len)
        return 0;
    while (done < call->len && is_ready(vm, fd, POLLOUT)) {
        size_t n = call->len - done;
        if (vm->pipe[fd] && n > PIPE_ATOMIC)
            n = PIPE_ATOMIC;
        ssize_t r = write(fd, vm->page->data + done, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            error = errno;
        if (r <= 0)
            break;
        done += (size_t)r;
    }
    return done ? (int64_t)done : -error;
}

static int64_t console_ioctl(struct vm *vm, const struct thaw_call *call, uint32_t *len)
{
    int fd = (int)call->arg[0];
    void *data = vm->page->data; /* larger than anything these write */
    int r;

    switch ((uint32_t)call->arg[1]) {
    case TCGETS:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TIOCGWINSZ:
    case TIOCSWINSZ:
    case TIOCGPGRP:
    case FIONREAD:
    case TIOCOUTQ: r = ioctl(fd, (int)call->arg[1], data); break;
    case TCFLSH:
    case TCSBRK:
    case TCXONC: r = ioctl(fd, (int)call->arg[1], call->arg[2] & 0xff); break;
    default: return -EPERM;
    }
    *len = call->len;
    return r < 0 ? -errno : r;
}

/* ---- waiting and time ---- */

static int64_t call_wait(struct vm *vm, const struct thaw_call *call)
{
    struct pollfd p[4] = {{.fd = KVM_FD_SIGNALS, .events = POLLIN}};
    struct timespec ts, *timeout = NULL;
    uint64_t ready = 0;

    for (int fd = 0; fd <= 2; fd++) {
        uint16_t events = (uint16_t)(call->arg[1] >> (16 * fd));
        p[1 + fd] = (struct pollfd){.fd = events ? fd : -1, .events = (short)(events & (POLLIN | POLLOUT | POLLPRI))};
    }
    if (call->arg[0]) {
        uint64_t now = now_ns(CLOCK_MONOTONIC), left = call->arg[0] > now ? call->arg[0] - now : 0;
        ts = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        timeout = &ts;
    }
    if (ppoll(p, 4, timeout, NULL) <= 0)
        return 0;
    if (p[0].revents)
        call_signals(vm);
    for (int fd = 0; fd <= 2; fd++)
        ready |= (uint64_t)(uint16_t)p[1 + fd].revents << (16 * fd);
    return (int64_t)ready;
}

static int64_t call_timer(const struct thaw_call *call)
{
    struct itimerval it = {{0, 0}, {0, 0}};

    if (call->arg[0]) {
        uint64_t now = now_ns(CLOCK_MONOTONIC), us = call->arg[0] > now ? (call->arg[0] - now) / 1000 + 1 : 1;
        it.it_value = (struct timeval){(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
    }
    return setitimer(ITIMER_REAL, &it, NULL) ? -errno : 0;
}

/* ---- what the monitor serves ---- */

static int64_t call_relay(struct vm *vm, struct thaw_call *call)
{
    unsigned char *data = vm->page->data;
    struct iovec iov[2] = {{call, sizeof *call}, {data, call->len}};
    const uint32_t op = call->op;
    ssize_t n;

    if (op == THAW_CALL_SNAPSHOT && !cpu_is_quiet(vm))
        return -EBUSY;
    do
        n = writev(THAW_FD_CONTROL, iov, call->len ? 2 : 1);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)(sizeof *call + call->len))
        vm_fail(vm, "the monitor does not listen");
    if (op == THAW_CALL_CLOSE) { /* has no reply */
        call->len = 0;
        return 0;
    }
    iov[1].iov_len = THAW_CALL_DATA_MAX;
    do
        n = readv(THAW_FD_CONTROL, iov, 2);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)sizeof *call || call->op != op || call->len != (size_t)n - sizeof *call)
        vm_fail(vm, "the monitor does not answer");
    return call->ret;
}

void call_serve(struct vm *vm)
{
    struct thaw_call call;
    uint32_t len = 0;
    int64_t ret;

    memcpy(&call, &vm->page->call, sizeof call); /* once: the guest's other processors may write to it */
    __asm__ volatile("" ::: "memory");
    if (call.len > THAW_CALL_DATA_MAX)
        vm_fail(vm, "a call with %u bytes of data, more than there can be", call.len);
    switch (call.op) {
    case THAW_CALL_CONSOLE_READ:
    case THAW_CALL_CONSOLE_WRITE:
    case THAW_CALL_CONSOLE_IOCTL:
        if (call.arg[0] > THAW_FD_STDERR)
            vm_fail(vm, "a call on descriptor %#llx", (unsigned long long)call.arg[0]);
        ret = call.op == THAW_CALL_CONSOLE_READ    ? console_read(vm, &call, &len)
              : call.op == THAW_CALL_CONSOLE_WRITE ? console_write(vm, &call)
                                                   : console_ioctl(vm, &call, &len);
        break;
    case THAW_CALL_EXIT: vm_exit(vm);
    case THAW_CALL_WAIT: ret = call_wait(vm, &call); break;
    case THAW_CALL_TIMER: ret = call_timer(&call); break;
    case THAW_CALL_CLOCK:
        call.arg[0] = now_ns(CLOCK_MONOTONIC);
        call.arg[1] = now_ns(CLOCK_REALTIME);
        ret = 0;
        break;
    default:
        if (call.op >= THAW_CALL_KVM)
            vm_fail(vm, "call %u, which there is not", call.op);
        ret = call_relay(vm, &call);
        len = call.len;
    }
    call.ret = ret;
    call.len = len;
    memcpy(&vm->page->call, &call, sizeof call);
}
