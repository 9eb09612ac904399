/* SPDX-License-Identifier: MIT */
/* The table of system calls; what is not in it is answered with -ENOSYS and counted. */
#include "syscall.h"

#include <asm/unistd_64.h>

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

/* Name, and its arguments for the log (syscall.h). */
/* clang-format off */
#define CALLS(X)                                                                                                       \
    X(read, "fbu") X(write, "fbu") X(open, "sxo") X(close, "f") X(stat, "sp") X(fstat, "fp") X(lstat, "sp")            \
    X(poll, "pud") X(lseek, "fdd") X(mmap, "xuxxfx") X(mprotect, "xux") X(munmap, "xu") X(brk, "x")                    \
    X(rt_sigaction, "dppu") X(rt_sigprocmask, "dppu") X(rt_sigreturn, "") X(ioctl, "fxx") X(pread64, "fbud")           \
    X(pwrite64, "fbud") X(readv, "fpd") X(writev, "fpd") X(access, "so") X(pipe, "p") X(select, "dpppp")               \
    X(sched_yield, "") X(mremap, "xuuxx") X(msync, "xux") X(mincore, "xup") X(madvise, "xud") X(dup, "f")              \
    X(dup2, "ff") X(pause, "") X(nanosleep, "pp") X(getitimer, "dp") X(alarm, "u") X(setitimer, "dpp")                 \
    X(getpid, "") X(sendfile, "ffpu") X(clone, "xpppx") X(fork, "") X(vfork, "") X(execve, "spp") X(exit, "d")         \
    X(wait4, "dpxp") X(kill, "dd") X(uname, "p") X(fcntl, "fdx") X(flock, "fx") X(fsync, "f") X(fdatasync, "f")        \
    X(truncate, "sd") X(ftruncate, "fd") X(getdents, "fpu") X(getcwd, "pu") X(chdir, "s") X(fchdir, "f")               \
    X(rename, "ss") X(mkdir, "so") X(rmdir, "s") X(creat, "so") X(link, "ss") X(unlink, "s") X(symlink, "ss")          \
    X(readlink, "spu") X(chmod, "so") X(fchmod, "fo") X(chown, "sdd") X(fchown, "fdd") X(lchown, "sdd")                \
    X(umask, "o") X(gettimeofday, "pp") X(getrlimit, "dp") X(getrusage, "dp") X(sysinfo, "p") X(times, "p")            \
    X(getuid, "") X(syslog, "dpd") X(getgid, "") X(setuid, "d") X(setgid, "d") X(geteuid, "") X(getegid, "")           \
    X(setpgid, "dd") X(getppid, "") X(getpgrp, "") X(setsid, "") X(setreuid, "dd") X(setregid, "dd")                   \
    X(getgroups, "dp") X(setgroups, "dp") X(setresuid, "ddd") X(getresuid, "ppp") X(setresgid, "ddd")                  \
    X(getresgid, "ppp") X(getpgid, "d") X(setfsuid, "d") X(setfsgid, "d") X(getsid, "d") X(capget, "pp")               \
    X(capset, "pp") X(rt_sigpending, "pu") X(rt_sigtimedwait, "pppu") X(rt_sigqueueinfo, "ddp")                        \
    X(rt_sigsuspend, "pu") X(sigaltstack, "pp") X(utime, "sp") X(mknod, "sox") X(personality, "x")                     \
    X(statfs, "sp") X(fstatfs, "fp") X(getpriority, "dd") X(setpriority, "ddd") X(sched_setparam, "dp")                \
    X(sched_getparam, "dp") X(sched_setscheduler, "ddp") X(sched_getscheduler, "d")                                    \
    X(sched_get_priority_max, "d") X(sched_get_priority_min, "d") X(sched_rr_get_interval, "dp") X(mlock, "xu")        \
    X(munlock, "xu") X(mlockall, "x") X(munlockall, "") X(prctl, "dxxxx") X(arch_prctl, "xp") X(setrlimit, "dp")       \
    X(chroot, "s") X(sync, "") X(gettid, "") X(readahead, "fdu") X(setxattr, "sspux") X(lsetxattr, "sspux")            \
    X(fsetxattr, "fspux") X(getxattr, "sspu") X(lgetxattr, "sspu") X(fgetxattr, "fspu") X(listxattr, "spu")            \
    X(llistxattr, "spu") X(flistxattr, "fpu") X(removexattr, "ss") X(lremovexattr, "ss") X(fremovexattr, "fs")         \
    X(tkill, "dd") X(time, "p") X(futex, "pxuppu") X(sched_setaffinity, "dup") X(sched_getaffinity, "dup")             \
    X(epoll_create, "d") X(getdents64, "fpu") X(set_tid_address, "p") X(restart_syscall, "") X(settimeofday, "pp") X(fadvise64, "fddd")                             \
    X(timer_create, "dpp") X(timer_settime, "dxpp") X(timer_gettime, "dp") X(timer_getoverrun, "d")                    \
    X(timer_delete, "d") X(clock_settime, "dp") X(clock_gettime, "dp") X(clock_getres, "dp")                           \
    X(clock_nanosleep, "dxpp") X(exit_group, "d") X(epoll_wait, "fpdd") X(epoll_ctl, "fdfp") X(tgkill, "ddd")          \
    X(utimes, "sp") X(waitid, "ddpxp") X(openat, "fsxo") X(mkdirat, "fso") X(mknodat, "fsox")                          \
    X(fchownat, "fsddx") X(futimesat, "fsp") X(newfstatat, "fspx") X(unlinkat, "fsx") X(renameat, "fsfs")              \
    X(linkat, "fsfsx") X(symlinkat, "sfs") X(readlinkat, "fspu") X(fchmodat, "fso") X(faccessat, "fso")                \
    X(pselect6, "dppppp") X(ppoll, "pupp") X(set_robust_list, "pu") X(get_robust_list, "dpp")                          \
    X(sync_file_range, "fddx") X(utimensat, "fspx") X(epoll_pwait, "fpddp") X(timerfd_create, "dx")                    \
    X(eventfd, "u") X(fallocate, "fxdd") X(timerfd_settime, "fxpp") X(timerfd_gettime, "fp") X(eventfd2, "ux")         \
    X(epoll_create1, "x") X(dup3, "ffx") X(pipe2, "px") X(preadv, "fpddd") X(pwritev, "fpddd")                         \
    X(rt_tgsigqueueinfo, "dddp") X(prlimit64, "ddpp") X(syncfs, "f") X(getcpu, "ppp") X(renameat2, "fsfsx")            \
    X(getrandom, "pux") X(memfd_create, "sx") X(copy_file_range, "fpfpux") X(preadv2, "fpdddx")                        \
    X(pwritev2, "fpdddx") X(mlock2, "xux") X(statx, "fsxxp") X(clone3, "pu") X(close_range, "uux")                     \
    X(epoll_pwait2, "fpdpp") X(faccessat2, "fsox") X(fchmodat2, "fsox") X(membarrier, "xxd")                           \
    X(socket, "dxd") X(connect, "fpu") X(accept, "fpp") X(sendto, "fbuxpu") X(recvfrom, "fbuxpp") X(sendmsg, "fpx")    \
    X(recvmsg, "fpx") X(shutdown, "fd") X(bind, "fpu") X(listen, "fd") X(getsockname, "fpp") X(getpeername, "fpp")     \
    X(socketpair, "dxdp") X(setsockopt, "fddpu") X(getsockopt, "fddpp") X(accept4, "fppx") X(recvmmsg, "fpuxp")        \
    X(sendmmsg, "fpux") X(inotify_init, "") X(inotify_init1, "x")                   \
    X(inotify_add_watch, "fsx") X(inotify_rm_watch, "fd") X(signalfd, "fpu") X(signalfd4, "fpux") X(splice, "fpfpux") X(tee, "ffux")                     \
    X(vmsplice, "fpux")                                                                                                \
    X(pidfd_open, "dx") X(pidfd_send_signal, "fdpx")                                                                   \
    X(sethostname, "pu") X(setdomainname, "pu") X(acct, "s")
/* clang-format on */

#define DECLARE(name, args) syscall_fn_decl(sys_##name)
#define syscall_fn_decl(fn) s64 fn(u64, u64, u64, u64, u64, u64);
CALLS(DECLARE)

#define ENTRY(name, args) [__NR_##name] = {sys_##name, #name, args},
const struct syscall_desc syscall_table[] = {CALLS(ENTRY)};
const u32 syscall_table_size = ARRAY_SIZE(syscall_table);
