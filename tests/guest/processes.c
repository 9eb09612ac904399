/* SPDX-License-Identifier: MIT */
/* fork, vfork, posix_spawn, execve, wait, groups and sessions, orphans, zombies, stops, signals to processes, pidfds. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static const char *self;

static void pause_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static int status_of(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static int exit_of(pid_t pid)
{
    int status = status_of(pid);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static char state_of(pid_t pid)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    CHECK(fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
    fclose(f);
    return state;
}

static void forks(void)
{
    static int copied = 1;
    int fds[2];
    pid_t parent = getpid();

    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        copied = 2;
        int ok = getppid() == parent && getpid() != parent && gettid() == getpid();
        write(fds[1], "x", 1);
        _exit(ok ? 42 : 1);
    }
    char c;
    close(fds[1]);
    CHECK(read(fds[0], &c, 1) == 1 && c == 'x');
    CHECK(read(fds[0], &c, 1) == 0); /* the child's end has gone with it */
    close(fds[0]);
    CHECK(exit_of(pid) == 42 && copied == 1);
    FAILS(waitpid(pid, NULL, 0), ECHILD);
    FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
    /* a chain */
    pid = fork();
    if (pid == 0) {
        for (int depth = 0; depth < 10; depth++) {
            pid_t next = fork();
            if (next)
                _exit(exit_of(next) + 1);
        }
        _exit(0);
    }
    CHECK(exit_of(pid) == 10);
    /* many at once */
    pid_t pids[40];
    for (int i = 0; i < 40; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            pause_ms(10);
            _exit(i);
        }
    }
    for (int i = 39; i >= 0; i--)
        CHECK(exit_of(pids[i]) == i);
}

static void *sleeper(void *arg)
{
    pause_ms(200);
    return arg;
}

static void threads(void)
{
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, sleeper, NULL) == 0);
    pid_t pid = fork(); /* with the forking thread alone */
    if (pid == 0) {
        pthread_t u;
        void *r;
        CHECK(pthread_create(&u, NULL, sleeper, t) == 0 && pthread_join(u, &r) == 0 && r == t);
        _exit(9);
    }
    CHECK(exit_of(pid) == 9);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    /* A process of several threads ends, and is killed, whole. */
    for (int kill_it = 0; kill_it < 2; kill_it++) {
        pid = fork();
        if (pid == 0) {
            for (int i = 0; i < 3; i++)
                pthread_create(&t[i], NULL, (void *(*)(void *))(void *)pause, NULL);
            if (!kill_it)
                _exit(3);
            for (;;)
                ;
        }
        if (kill_it) {
            pause_ms(50);
            kill(pid, SIGKILL);
            CHECK(status_of(pid) == SIGKILL);
        } else {
            CHECK(exit_of(pid) == 3);
        }
    }
}

static void vforks(void)
{
    static volatile int seen;
    pid_t pid = vfork();
    if (pid == 0) {
        seen = 1; /* the parent's memory */
        _exit(5);
    }
    CHECK(seen == 1 && exit_of(pid) == 5);
    pid = vfork();
    if (pid == 0) {
        execl(self, self, "exit", "6", NULL);
        _exit(1);
    }
    CHECK(exit_of(pid) == 6);
    /* the error of a failed execve comes back through memory */
    char *argv[] = {"none", NULL};
    CHECK(posix_spawn(&pid, "/none", NULL, NULL, argv, environ) == ENOENT);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    char *argv7[] = {(char *)self, "exit", "7", NULL};
    CHECK(posix_spawn(&pid, self, NULL, NULL, argv7, environ) == 0);
    CHECK(exit_of(pid) == 7);
    CHECK(WEXITSTATUS(system(NULL)) == 0); /* no shell here */
}

static void executes(void)
{
    int keep = open("/", O_RDONLY), lose = open("/", O_RDONLY | O_CLOEXEC);
    char a[12], b[12];

    snprintf(a, sizeof a, "%d", keep);
    snprintf(b, sizeof b, "%d", lose);
    signal(SIGUSR1, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        execl(self, self, "look", a, b, NULL);
        _exit(1);
    }
    CHECK(exit_of(pid) == 0);
    signal(SIGUSR1, SIG_DFL);
    close(keep);
    close(lose);
    /* #! */
    int fd = open("/tmp/script", O_WRONLY | O_CREAT, 0755);
    dprintf(fd, "#!%s exit\n", self);
    close(fd);
    pid = fork();
    if (pid == 0) {
        execl("/tmp/script", "/tmp/script", NULL);
        _exit(1);
    }
    CHECK(exit_of(pid) == 77); /* "exit /tmp/script" */
    /* from a thread: the others go, the number stays */
    pid = fork();
    if (pid == 0) {
        pthread_t t;
        pthread_create(&t, NULL, (void *(*)(void *))(void *)pause, NULL);
        execl(self, self, "exit", "8", NULL);
        _exit(1);
    }
    CHECK(exit_of(pid) == 8);
}

static int look(int keep, int lose)
{
    struct sigaction sa;
    return fcntl(keep, F_GETFD) != 0 || fcntl(lose, F_GETFD) != -1 || sigaction(SIGUSR1, NULL, &sa) ||
           sa.sa_handler != SIG_IGN;
}

static void waits(void)
{
    siginfo_t si;
    int status;
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    kill(pid, SIGSTOP);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK(state_of(pid) == 'T');
    CHECK(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
    kill(pid, SIGCONT);
    CHECK(waitid(P_PID, (id_t)pid, &si, WCONTINUED) == 0 && si.si_code == CLD_CONTINUED && si.si_status == SIGCONT);
    kill(pid, SIGTERM);
    CHECK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0);
    CHECK(si.si_code == CLD_KILLED && si.si_status == SIGTERM && si.si_pid == pid && si.si_signo == SIGCHLD);
    CHECK(state_of(pid) == 'Z' && kill(pid, 0) == 0);
    CHECK(status_of(pid) == SIGTERM && state_of(pid) == 0);
    FAILS(kill(pid, 0), ESRCH);
    /* Nobody wants to know. */
    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (pid == 0)
        _exit(0);
    FAILS(waitpid(pid, NULL, 0), ECHILD);
    signal(SIGCHLD, SIG_DFL);
    /* what it used */
    struct rusage ru;
    pid = fork();
    if (pid == 0) {
        for (volatile int i = 0; i < 100000000; i++)
            ;
        _exit(0);
    }
    CHECK(wait4(pid, &status, 0, &ru) == pid && ru.ru_utime.tv_sec + ru.ru_utime.tv_usec > 0);
    CHECK(getrusage(RUSAGE_CHILDREN, &ru) == 0 && ru.ru_utime.tv_sec + ru.ru_utime.tv_usec > 0);
}

static volatile sig_atomic_t children, last_child;

static void on_child(int sig, siginfo_t *si, void *uc)
{
    children++;
    last_child = si->si_pid;
}

static void sigchld(void)
{
    struct sigaction sa = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t set, old;

    sigaction(SIGCHLD, &sa, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    while (!children)
        sigsuspend(&old);
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK(last_child == pid && exit_of(pid) == 0);
    signal(SIGCHLD, SIG_DFL);
}

static void groups(void)
{
    pid_t pid = fork(), pids[3];

    if (pid == 0) {
        CHECK(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        FAILS(setsid(), EPERM);
        FAILS(setpgid(0, 0), EPERM);
        _exit(0);
    }
    CHECK(exit_of(pid) == 0);
    for (int i = 0; i < 3; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            pause();
            _exit(0);
        }
        CHECK(setpgid(pids[i], pids[0]) == 0);
    }
    CHECK(getpgid(pids[2]) == pids[0]);
    FAILS(setpgid(pids[1], 12345), EPERM);
    CHECK(kill(-pids[0], SIGUSR2) == 0);
    for (int i = 0; i < 3; i++) {
        int status;
        CHECK(waitpid(-pids[0], &status, 0) > 0 && WTERMSIG(status) == SIGUSR2);
    }
    FAILS(kill(-pids[0], SIGUSR2), ESRCH);
    FAILS(waitpid(-pids[0], NULL, 0), ECHILD);
}

static void orphans(void)
{
    int fds[2];
    pid_t seen;

    CHECK(pipe(fds) == 0);
    for (int subreaper = 0; subreaper < 2; subreaper++) {
        if (subreaper)
            CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            if (fork() == 0) {
                pid_t parent = getppid();
                while (getppid() == parent)
                    pause_ms(5);
                seen = getppid();
                write(fds[1], &seen, sizeof seen);
                _exit(11);
            }
            pause_ms(20);
            _exit(0);
        }
        CHECK(exit_of(pid) == 0);
        CHECK(read(fds[0], &seen, sizeof seen) == sizeof seen);
        if (subreaper) {
            int status;
            CHECK(seen == getpid() && wait(&status) > 0 && WEXITSTATUS(status) == 11);
        } else {
            CHECK(seen == 1);
        }
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    /* a child may ask for a signal at its parent's end */
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            sigset_t set;
            int sig;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, NULL);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            sigwait(&set, &sig);
            write(fds[1], &sig, sizeof sig);
            _exit(0);
        }
        pause_ms(50);
        _exit(0);
    }
    CHECK(exit_of(pid) == 0);
    int sig;
    CHECK(read(fds[0], &sig, sizeof sig) == sizeof sig && sig == SIGUSR1);
    close(fds[0]);
    close(fds[1]);
}

static void pidfds(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;) /* busy: it has to be called out of user mode */
            ;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    siginfo_t si;

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(poll(&p, 1, 20) == 0);
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
    CHECK(poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
    CHECK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED) == 0 && si.si_pid == pid && si.si_status == SIGTERM);
    FAILS(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
    FAILS(waitid(P_PIDFD, (id_t)fd, &si, WEXITED), ECHILD);
    close(fd);
    FAILS(syscall(SYS_pidfd_open, 1 << 21, 0), ESRCH);
    FAILS(syscall(SYS_pidfd_open, 0, 0), EINVAL);
}

/* A timer set by a process that is gone must not take others' timers with it. */
static void timers(void)
{
    struct itimerval it = {.it_value = {0, 150000}};
    sigset_t set;
    int sig;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct itimerval sooner = {.it_value = {0, 50000}};
        CHECK(getitimer(ITIMER_REAL, &it) == 0 && it.it_value.tv_usec == 0); /* not inherited */
        setitimer(ITIMER_REAL, &sooner, NULL);
        pause_ms(10);
        _exit(0);
    }
    CHECK(exit_of(pid) == 0);
    CHECK(sigwait(&set, &sig) == 0 && sig == SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void limits(void)
{
    struct rlimit r = {100, 200};
    CHECK(setrlimit(RLIMIT_NOFILE, &r) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit s;
        CHECK(getrlimit(RLIMIT_NOFILE, &s) == 0 && s.rlim_cur == 100 && s.rlim_max == 200);
        s = (struct rlimit){1, 1};
        CHECK(setrlimit(RLIMIT_NPROC, &s) == 0);
        FAILS(fork(), EAGAIN);
        _exit(0);
    }
    CHECK(exit_of(pid) == 0);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 2 && !strcmp(argv[1], "exit"))
        return argv[2][0] == '/' ? 77 : atoi(argv[2]);
    if (argc > 3 && !strcmp(argv[1], "look"))
        return look(atoi(argv[2]), atoi(argv[3]));
    forks();
    threads();
    vforks();
    executes();
    waits();
    sigchld();
    groups();
    orphans();
    pidfds();
    timers();
    limits();
    return success();
}
