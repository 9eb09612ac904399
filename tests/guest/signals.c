/* SPDX-License-Identifier: MIT */
/* Signals: handlers, masks, nesting, an alternate stack, SA_* flags, EINTR and SA_RESTART, queued ones, sigwait. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t count, value, depth, deepest, raises;
static char *alt;
static volatile int on_alt;

static void counter(int sig) { count++; }

static void queued(int sig, siginfo_t *info, void *context)
{
    value = value * 10 + info->si_value.sival_int;
    CHECK(info->si_code == SI_QUEUE && info->si_pid == getpid());
}

static void nested(int sig)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (raises-- > 0)
        raise(sig == SIGUSR1 ? SIGUSR2 : SIGUSR1);
    depth--;
}

static void stacked(int sig)
{
    char here;
    on_alt = &here >= alt && &here < alt + 65536;
}

static void skip_instruction(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uc->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    uc->uc_mcontext.gregs[REG_RAX] = 99;
    count++;
}

int main(void)
{
    struct sigaction sa = {.sa_handler = counter}, old;
    sigset_t set, pending;

    /* mask and pending */
    CHECK(sigaction(SIGUSR1, &sa, NULL) == 0 && raise(SIGUSR1) == 0 && count == 1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == counter);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGUSR1) == 0 && raise(SIGUSR1) == 0 && count == 1);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && count == 2); /* one: they do not queue */
    FAILS(sigaction(SIGKILL, &sa, NULL), EINVAL);
    FAILS(sigaction(65, &sa, NULL), EINVAL);

    /* real-time ones queue, in order */
    struct sigaction rt = {.sa_sigaction = queued, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGRTMIN + 2, &rt, NULL) == 0);
    sigaddset(&set, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 1; i <= 3; i++)
        CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i}) == 0);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    CHECK(value == 123);

    /* a handler interrupted by another; SA_NODEFER */
    sa.sa_handler = nested;
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    raises = 2;
    raise(SIGUSR1);
    CHECK(deepest == 2 && depth == 0); /* the third was blocked until the first was done */
    deepest = 0;
    raises = 2;
    sa.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    raise(SIGUSR1);
    CHECK(deepest == 3);

    /* SA_RESETHAND */
    sa.sa_handler = counter;
    sa.sa_flags = SA_RESETHAND;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);

    /* alternate stack */
    alt = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(sigaltstack(&(stack_t){.ss_sp = alt, .ss_size = 65536}, NULL) == 0);
    sa.sa_handler = stacked;
    sa.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &sa, NULL);
    raise(SIGUSR2);
    CHECK(on_alt);

    /* a handler that mends the context; floating point survives */
    struct sigaction ill = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &ill, NULL);
    count = 0;
    double x = 1.0 / 3;
    for (int i = 0; i < 1000; i++) {
        long rax = 0;
        x = x * 1.0000001;
        __asm__ volatile("ud2" : "+a"(rax)::"memory");
        CHECK(rax == 99);
    }
    CHECK(count == 1000 && x > 0.33336 && x < 0.33337);

    /* EINTR and SA_RESTART on a pipe that nobody writes to */
    int p[2];
    char c;
    CHECK(pipe(p) == 0);
    sa.sa_handler = counter;
    sa.sa_flags = 0;
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval soon = {.it_value = {0, 20000}}, again = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    FAILS(read(p[0], &c, 1), EINTR);
    struct timespec ts = {5, 0}, rem;
    setitimer(ITIMER_REAL, &soon, NULL);
    FAILS(nanosleep(&ts, &rem), EINTR);
    CHECK(rem.tv_sec == 4 && rem.tv_nsec > 800000000);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    count = 0;
    setitimer(ITIMER_REAL, &again, NULL);
    while (count < 3)
        pause();
    setitimer(ITIMER_REAL, &off, NULL);

    /* sigtimedwait */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ts = (struct timespec){0, 10000000};
    FAILS(sigtimedwait(&set, NULL, &ts), EAGAIN);
    kill(getpid(), SIGTERM);
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == SIGTERM && info.si_pid == getpid());

    /* sigsuspend puts the mask back */
    sa.sa_handler = counter;
    sa.sa_flags = 0;
    sigaction(SIGTERM, &sa, NULL);
    kill(getpid(), SIGTERM);
    sigset_t none;
    sigemptyset(&none);
    count = 0;
    FAILS(sigsuspend(&none), EINTR);
    sigprocmask(SIG_BLOCK, NULL, &set);
    CHECK(count == 1 && sigismember(&set, SIGTERM));

    FAILS(kill(getpid(), 65), EINVAL);
    FAILS(kill(4999, SIGTERM), ESRCH);
    return success();
}
