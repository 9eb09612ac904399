/* SPDX-License-Identifier: MIT */
/*
 * What the guest's kernel asks for. A call is copied out of the guest's reach once, its length checked here, and nowhere
 * does an address of the guest's play a part: data goes through vm->page->data, THAW_CALL_DATA_MAX bytes. Each processor
 * has a thread and calls by itself; an honest guest keeps those apart that use the data, another harms itself alone.
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

static void nothing(int signal) { (void)signal; }

/* Signals for the program, the timer, and kicks: they are blocked, interrupt KVM_RUN, and are read from a descriptor. */
void call_prepare(struct vm *vm)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGUSR1, SIGUSR2, SIGALRM, THAW_SIG_KICK};
    struct stat st;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&set, signals[i]);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);       /* EPIPE tells us */
    signal(THAW_SIG_KICK, nothing); /* who has not been started waits for it in ppoll(2) */
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

    bool some = false;

    while (vm_syscall(SYS_read, KVM_FD_SIGNALS, &info, sizeof info) == sizeof info) {
        some = true;
        if (info.ssi_signo != THAW_SIG_KICK)
            set |= info.ssi_signo == SIGALRM ? THAW_KVM_EVENT_TIMER : 1ull << (info.ssi_signo & 63);
    }
    if (set)
        __atomic_fetch_or(&vm->page->events, set, __ATOMIC_SEQ_CST);
    return some;
}

bool call_events(const struct vcpu *v)
{
    const struct thaw_kvm *page = v->vm->page;
    return __atomic_load_n(&page->events, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&page->kicks[v->index], __ATOMIC_SEQ_CST);
}

/* ---- stdio ---- */

static bool is_ready(const struct vm *vm, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return vm->regular[fd] || vm_syscall(SYS_poll, &p, 1, 0) != 0;
}

static int64_t console_read(struct vm *vm, const struct thaw_call *call, uint32_t *len)
{
    size_t n = call->arg[1] < THAW_CALL_DATA_MAX ? call->arg[1] : THAW_CALL_DATA_MAX;
    int fd = (int)call->arg[0];
    long r;

    if (!is_ready(vm, fd, POLLIN))
        return -EAGAIN;
    do
        r = vm_syscall(SYS_read, fd, vm->page->data, n);
    while (r == -EINTR);
    *len = r > 0 ? (uint32_t)r : 0;
    return r;
}

static int64_t console_write(struct vm *vm, const struct thaw_call *call)
{
    int fd = (int)call->arg[0];
    long error = -EAGAIN;
    size_t done = 0;

    if (!call->len)
        return 0;
    while (done < call->len && is_ready(vm, fd, POLLOUT)) {
        size_t n = call->len - done;
        if (vm->pipe[fd] && n > PIPE_ATOMIC)
            n = PIPE_ATOMIC;
        long r = vm_syscall(SYS_write, fd, vm->page->data + done, n);
        if (r == -EINTR)
            continue;
        if (r < 0)
            error = r;
        if (r <= 0)
            break;
        done += (size_t)r;
    }
    return done ? (int64_t)done : error;
}

static int64_t console_ioctl(struct vm *vm, const struct thaw_call *call, uint32_t *len)
{
    int fd = (int)call->arg[0];
    void *data = vm->page->data; /* larger than anything these write */
    long r;

    switch ((uint32_t)call->arg[1]) {
    case TCGETS:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TIOCGWINSZ:
    case TIOCSWINSZ:
    case TIOCGPGRP:
    case FIONREAD:
    case TIOCOUTQ: r = vm_syscall(SYS_ioctl, fd, (uint32_t)call->arg[1], data); break;
    case TCFLSH:
    case TCSBRK:
    case TCXONC: r = vm_syscall(SYS_ioctl, fd, (uint32_t)call->arg[1], call->arg[2] & 0xff); break;
    default: return -EPERM;
    }
    *len = call->len;
    return r;
}

/* ---- waiting and time ---- */

static int64_t call_wait(const struct vcpu *v, const struct thaw_call *call)
{
    struct vm *vm = v->vm;
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
    /* What another thread reads from now on is that one's to tell of; what this one has read is in the page already. */
    if (call_events(v)) {
        ts = (struct timespec){0, 0};
        timeout = &ts;
    }
    if (vm_syscall(SYS_ppoll, p, 4, timeout, NULL) <= 0)
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
    return vm_syscall(SYS_setitimer, ITIMER_REAL, &it, NULL);
}

/* ---- processors ---- */

static int64_t call_cpu(struct vm *vm, const struct thaw_call *call)
{
    if (call->arg[0] >= vm->cpus)
        vm_fail(vm, "a call on processor %#llx", (unsigned long long)call->arg[0]);
    struct vcpu *v = &vm->vcpu[call->arg[0]];
    if (call->op == THAW_CALL_CPU_START)
        __atomic_store_n(&v->started, true, __ATOMIC_SEQ_CST);
    return vm_syscall(SYS_tgkill, vm->pid, v->tid, THAW_SIG_KICK);
}

/* ---- what the monitor serves ---- */

static int64_t relay(struct vm *vm, struct thaw_call *call)
{
    unsigned char *data = vm->page->data;
    struct iovec iov[2] = {{call, sizeof *call}, {data, call->len}};
    const uint32_t op = call->op;
    long n;

    do
        n = vm_syscall(SYS_writev, THAW_FD_CONTROL, iov, call->len ? 2 : 1);
    while (n == -EINTR);
    if (n != (long)(sizeof *call + call->len))
        vm_fail(vm, "the monitor does not listen");
    if (op == THAW_CALL_CLOSE) { /* has no reply */
        call->len = 0;
        return 0;
    }
    iov[1].iov_len = THAW_CALL_DATA_MAX;
    do
        n = vm_syscall(SYS_readv, THAW_FD_CONTROL, iov, 2);
    while (n == -EINTR);
    if (n < (long)sizeof *call || call->op != op || call->len != (size_t)n - sizeof *call)
        vm_fail(vm, "the monitor does not answer");
    return call->ret;
}

static int64_t call_relay(struct vcpu *v, struct thaw_call *call)
{
    struct vm *vm = v->vm;

    if (call->op == THAW_CALL_SNAPSHOT && !cpu_is_quiet(v))
        return -EBUSY;
    while (__atomic_exchange_n(&vm->relaying, true, __ATOMIC_ACQUIRE))
        vm_syscall(SYS_sched_yield);
    int64_t ret = relay(vm, call);
    __atomic_store_n(&vm->relaying, false, __ATOMIC_RELEASE);
    return ret;
}

void call_serve(struct vcpu *v)
{
    struct vm *vm = v->vm;
    struct thaw_call *at = &vm->page->call[v->index], call;
    uint32_t len = 0;
    int64_t ret;

    memcpy(&call, at, sizeof call); /* once: the guest's other processors may write to it */
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
    case THAW_CALL_WAIT: ret = call_wait(v, &call); break;
    case THAW_CALL_TIMER: ret = call_timer(&call); break;
    case THAW_CALL_CLOCK:
        call.arg[0] = now_ns(CLOCK_MONOTONIC);
        call.arg[1] = now_ns(CLOCK_REALTIME);
        ret = 0;
        break;
    case THAW_CALL_CPU_START:
    case THAW_CALL_CPU_KICK: ret = call_cpu(vm, &call); break;
    case THAW_CALL_CPU_YIELD: ret = vm_syscall(SYS_sched_yield); break;
    default:
        if (call.op >= THAW_CALL_KVM)
            vm_fail(vm, "call %u, which there is not", call.op);
        ret = call_relay(v, &call);
        len = call.len;
    }
    call.ret = ret;
    call.len = len;
    memcpy(at, &call, sizeof call);
}
