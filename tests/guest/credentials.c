/* SPDX-License-Identifier: MIT */
/* Users and groups: what setuid and its kin allow, what permissions then hold; as on Linux, run as root. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The system calls, without what libc does about threads. */
static long sys(long nr, long a, long b, long c) { return syscall(nr, a, b, c); }

static void as_child(void (*fn)(void))
{
    pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (!pid) {
        fn();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void ids_are(uid_t r, uid_t e, uid_t s)
{
    uid_t a, b, c;
    CHECK(getresuid(&a, &b, &c) == 0 && a == r && b == e && c == s);
}

static void for_good(void)
{
    gid_t groups[8], set[] = {7, 42};
    CHECK(setgroups(2, set) == 0);
    CHECK(getgroups(0, NULL) == 2 && getgroups(8, groups) == 2 && groups[0] == 7 && groups[1] == 42);
    FAILS(getgroups(1, groups), EINVAL);
    CHECK(sys(SYS_setgid, 1000, 0, 0) == 0 && getegid() == 1000);
    CHECK(sys(SYS_setuid, 1000, 0, 0) == 0);
    ids_are(1000, 1000, 1000);
    FAILS(sys(SYS_setuid, 0, 0, 0), EPERM);
    FAILS(sys(SYS_setgid, 0, 0, 0), EPERM);
    FAILS(sys(SYS_setresuid, -1, 0, -1), EPERM);
    FAILS(setgroups(0, NULL), EPERM);
    CHECK(sys(SYS_setresuid, -1, 1000, -1) == 0);
    FAILS(sys(SYS_setuid, -1, 0, 0), EINVAL);
}

static void for_a_while(void)
{
    CHECK(sys(SYS_setresuid, -1, 1000, 0) == 0);
    ids_are(0, 1000, 0);
    FAILS(open("/tmp/secret", O_RDONLY), EACCES);
    CHECK(access("/tmp/secret", R_OK) == 0); /* the real user's rights */
    FAILS(faccessat(AT_FDCWD, "/tmp/secret", R_OK, AT_EACCESS), EACCES);
    CHECK(sys(SYS_setuid, 0, 0, 0) == 0); /* the real one: only the effective user changes */
    ids_are(0, 0, 0);
    CHECK(sys(SYS_setreuid, 1000, 1001, 0) == 0);
    ids_are(1000, 1001, 1001);
    CHECK(sys(SYS_setreuid, 1001, 1000, 0) == 0);
    ids_are(1001, 1000, 1000);
}

static void files_as_user(void)
{
    struct stat st;
    gid_t group = 42;
    int fd;

    CHECK(setgroups(1, &group) == 0 && sys(SYS_setgid, 1000, 0, 0) == 0 && sys(SYS_setuid, 1000, 0, 0) == 0);
    FAILS(open("/tmp/secret", O_RDONLY), EACCES);
    FAILS(open("/tmp/secret", O_WRONLY | O_TRUNC), EACCES);
    FAILS(truncate("/tmp/secret", 0), EACCES);
    FAILS(chmod("/tmp/secret", 0644), EPERM);
    FAILS(chown("/tmp/secret", 1000, -1), EPERM);
    FAILS(unlink("/tmp/secret"), EPERM); /* /tmp is sticky */
    FAILS(rename("/tmp/secret", "/tmp/other"), EPERM);
    FAILS(utimensat(AT_FDCWD, "/tmp/secret", NULL, 0), EACCES);
    FAILS(open("/tmp/closed/inside", O_RDONLY), EACCES);
    FAILS(open("/tmp/listed/new", O_CREAT | O_WRONLY, 0600), EACCES);
    CHECK(stat("/tmp/listed/inside", &st) == 0);
    CHECK((fd = open("/tmp/group", O_RDWR)) >= 0 && close(fd) == 0); /* by a supplementary group */
    FAILS(open("/tmp/owner", O_RDONLY), EACCES); /* the owner's bits are the ones, were the others' wider */
    CHECK((fd = open("/tmp/mine", O_CREAT | O_RDWR, 0640)) >= 0);
    CHECK(fstat(fd, &st) == 0 && st.st_uid == 1000 && st.st_gid == 1000);
    CHECK(fchown(fd, -1, 42) == 0);
    FAILS(fchown(fd, -1, 43), EPERM);
    FAILS(fchown(fd, 1001, -1), EPERM);
    CHECK(fchmod(fd, 0600) == 0 && close(fd) == 0 && unlink("/tmp/mine") == 0);
    FAILS(open("/proc/self/environ", O_RDONLY), EACCES); /* until execve */
    FAILS(mknod("/tmp/null", S_IFCHR | 0666, 0x103), EPERM);
    CHECK(mknod("/tmp/fifo", S_IFIFO | 0600, 0) == 0 && unlink("/tmp/fifo") == 0);
}

static pid_t root_pid;

static void signals_as_user(void)
{
    CHECK(sys(SYS_setuid, 1000, 0, 0) == 0);
    FAILS(kill(root_pid, 0), EPERM);
    FAILS(kill(root_pid, SIGTERM), EPERM);
    CHECK(kill(root_pid, SIGCONT) == 0); /* of one session */
    CHECK(kill(getpid(), 0) == 0);
}

static void socket_as_user(void)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    int s[2];

    CHECK(sys(SYS_setresgid, 2000, 2000, 2000) == 0 && sys(SYS_setresuid, 1000, 1000, 1000) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0);
    CHECK(cred.pid == getpid() && cred.uid == 1000 && cred.gid == 2000);
}

static char *self;

static void exec_setuid(void)
{
    CHECK(sys(SYS_setuid, 1000, 0, 0) == 0);
    execl("/tmp/setuid", "setuid", "was-1000", NULL);
    CHECK(0);
}

static void exec_setuid_never(void)
{
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && sys(SYS_setuid, 1000, 0, 0) == 0);
    execl("/tmp/setuid", "setuid", "stays-1000", NULL);
    CHECK(0);
}

static void exec_unreadable(void)
{
    CHECK(sys(SYS_setuid, 1000, 0, 0) == 0);
    FAILS(open("/tmp/only-x", O_RDONLY), EACCES);
    FAILS(execl("/tmp/no-x", "no-x", NULL), EACCES);
    execl("/tmp/only-x", "only-x", "stays-1000", NULL);
    CHECK(0);
}

static void put(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && fchown(fd, uid, gid) == 0 && fchmod(fd, mode) == 0 && close(fd) == 0);
}

static void copy_self(const char *path, mode_t mode)
{
    static char buf[1 << 16];
    int from = open(self, O_RDONLY), to = open(path, O_CREAT | O_EXCL | O_WRONLY, 0700);
    ssize_t n;

    CHECK(from >= 0 && to >= 0);
    while ((n = read(from, buf, sizeof buf)) > 0)
        CHECK(write(to, buf, (size_t)n) == n);
    CHECK(n == 0 && fchmod(to, mode) == 0 && close(from) == 0 && close(to) == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        unsigned long was = !strcmp(argv[1], "was-1000");
        ids_are(1000, was ? 0 : 1000, was ? 0 : 1000);
        CHECK(getauxval(AT_SECURE) == was && getauxval(AT_UID) == 1000 && getauxval(AT_EUID) == (was ? 0 : 1000));
        return 0;
    }
    self = "/proc/self/exe";
    root_pid = getpid();
    ids_are(0, 0, 0);
    umask(0);
    put("/tmp/secret", 0600, 0, 0);
    put("/tmp/group", 0660, 0, 42);
    put("/tmp/owner", 0077, 1000, 1000);
    CHECK(mkdir("/tmp/closed", 0700) == 0 && mkdir("/tmp/listed", 0755) == 0);
    put("/tmp/closed/inside", 0666, 0, 0);
    put("/tmp/listed/inside", 0600, 0, 0);
    copy_self("/tmp/setuid", 04755);
    copy_self("/tmp/only-x", 0711);
    copy_self("/tmp/no-x", 0744);
    CHECK(chmod("/tmp", 01777) == 0);
    as_child(for_good);
    as_child(for_a_while);
    as_child(files_as_user);
    as_child(signals_as_user);
    as_child(socket_as_user);
    as_child(exec_setuid);
    as_child(exec_setuid_never);
    as_child(exec_unreadable);
    ids_are(0, 0, 0);
    return success();
}
