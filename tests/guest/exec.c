/* SPDX-License-Identifier: MIT */
/* execve: arguments, environment, close-on-exec, the pid stays, handlers go, memory is new, scripts, and its errors. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *idle(void *arg)
{
    pause();
    return NULL;
}

static void handler(int sig) {}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "second")) {
        struct sigaction sa;
        CHECK(argc == 5 && !strcmp(argv[2], "a b") && !strcmp(argv[3], "") && atoi(argv[4]) == getpid());
        CHECK(getenv("X") && !strcmp(getenv("X"), "y") && !getenv("PATH"));
        FAILS(fcntl(50, F_GETFD), EBADF);
        CHECK(fcntl(51, F_GETFD) == 0 && lseek(51, 0, SEEK_CUR) == 3);
        CHECK(sigaction(SIGUSR1, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL);
        CHECK(sigaction(SIGUSR2, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN);
        return success();
    }
    char pid[16], *args[] = {"exec", "second", "a b", "", pid, NULL}, *env[] = {"X=y", NULL};
    static char *many[40000];
    pthread_t t;

    snprintf(pid, sizeof pid, "%d", getpid());
    FAILS(execve("/none", args, env), ENOENT);
    FAILS(execve("/tmp", args, env), EACCES);
    int fd = open("/tmp/text", O_RDWR | O_CREAT, 0755);
    CHECK(write(fd, "not a program", 13) == 13);
    FAILS(execve("/tmp/text", args, env), ENOEXEC);
    CHECK(fchmod(fd, 0644) == 0);
    FAILS(execve("/tmp/text", args, env), EACCES);
    CHECK(pwrite(fd, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0>\0\1\0\0\0", 24, 0) == 24 && fchmod(fd, 0755) == 0);
    CHECK(execve("/tmp/text", args, env) == -1 && (errno == ENOEXEC || errno == EINVAL || errno == EIO));
    for (int i = 0; i < 39999; i++)
        many[i] = "an argument that is longer than one would think, and there are many of them. Too many, in fact, for "
                  "any exec.";
    FAILS(execve("/exec", many, env), E2BIG);
    FAILS(syscall(SYS_execve, 8, args, env), EFAULT);
    FAILS(syscall(SYS_execve, "/exec", 8, env), EFAULT);

    CHECK(lseek(fd, 3, SEEK_SET) == 3 && dup3(fd, 50, O_CLOEXEC) == 50 && dup2(fd, 51) == 51);
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    CHECK(pthread_create(&t, NULL, idle, NULL) == 0); /* other threads end with the old program */
    execve("/exec", args, env);
    CHECK(!"execve came back");
}
