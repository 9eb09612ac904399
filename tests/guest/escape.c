/* SPDX-License-Identifier: MIT */
/*
 * A hostile program. It tries every system-call number through every gate: its own `syscall` instruction, int $0x80,
 * the vsyscall page, 32-bit code, and the `syscall` instructions of the sandbox's kernel, which lies in the same
 * address space. What it gets there must be the list of docs/security.md (monitor/filter.c) and nothing else.
 *
 *   escape own | window | int80      print SUCCESS
 *   escape sysenter | compat | vsyscall | compat_sysenter      must not end with 42: an i386 exit(42) would have come through
 *   escape breed [stay]      makes all the processes it can, hidden from the kernel; prints their number
 *   escape garbage SEED | flood | scribble SEED | swap      attack the monitor
 */
#define _GNU_SOURCE
#include "guest.h"

#include "thaw_abi.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static sigjmp_buf jump;
static volatile int caught;

static void on_signal(int sig)
{
    caught = sig;
    siglongjmp(jump, sig);
}

static void catch_signals(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGSYS};
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &sa, NULL);
}

/* ---- gates ---- */

static long own(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long ret = nr;

    __asm__ volatile("syscall"
                     : "+a"(ret)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static const unsigned char *volatile gate; /* "syscall; ret" in the kernel's text */

static long window(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    register const unsigned char *to __asm__("r12") = gate;
    long ret = nr;

    __asm__ volatile("call *%%r12"
                     : "+a"(ret)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), "r"(to)
                     : "rcx", "r11", "memory");
    return ret;
}

/* Every pair of bytes that is `syscall`, aligned or not; the first that returns at once is the gate. */
static int gates_find(void)
{
    volatile int n = 0;

    catch_signals();
    if (!sigsetjmp(jump, 1))
        for (const unsigned char *p = (void *)THAW_KERNEL_ADDR; p < (const unsigned char *)THAW_KERNEL_END - 3; p++)
            if (p[0] == 0x0f && p[1] == 0x05) {
                n++;
                if (p[2] == 0xc3 && !gate)
                    gate = p;
            }
    CHECK(caught == SIGSEGV || caught == 0);
    return n;
}

/* The flags with which the kernel makes a process; whether it may is the monitor's word each time. */
#define PROCESS ((long)(CLONE_PARENT_SETTID | SIGCHLD))

/* ---- what the window must give ---- */

static int wrong;

static void expect(const char *what, long got, int allowed)
{
    if ((got != -EPERM) == allowed)
        return;
    fprintf(stderr, "%s: %ld, should be %s\n", what, got, allowed ? "allowed" : "EPERM");
    wrong++;
}
#define YES(nr, ...) expect("allowed " #nr "(" #__VA_ARGS__ ")", window(nr, __VA_ARGS__), 1)
#define NO(nr, ...) expect("refused " #nr "(" #__VA_ARGS__ ")", window(nr, __VA_ARGS__), 0)

static int listed(long nr)
{
    static const int list[] = {SYS_rt_sigreturn, SYS_write,       SYS_read,     SYS_futex,      SYS_clock_gettime,
                               SYS_mmap,         SYS_munmap,      SYS_mprotect, SYS_mremap,     SYS_madvise,
                               SYS_ppoll,        SYS_ioctl,       SYS_clone,    SYS_tgkill,     SYS_setitimer,
                               SYS_arch_prctl,   SYS_sched_yield, SYS_exit,     SYS_exit_group, SYS_rt_sigprocmask,
                               SYS_memfd_create};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == nr)
            return 1;
    return 0;
}

/* uretprobe and uprobe: newer hosts let them past every filter. All they do outside a probe is to raise SIGILL. */
static int is_probe(long nr) { return nr == 335 || nr == 336; }

static char page[8192] __attribute__((aligned(4096)));

static void window_list(void)
{
    long p = (long)page, pid = ((struct thaw_boot *)THAW_BOOT_ADDR)->host_pid;
    int word = 0;
    long w = (long)&word;

    for (long fd = 0; fd <= 3; fd++) {
        YES(SYS_write, fd, p, 0, 0, 0, 0);
    }
    YES(SYS_read, 0, p, 0, 0, 0, 0);
    for (long fd = 4; fd < 70; fd++) {
        NO(SYS_write, fd, p, 0, 0, 0, 0);
        NO(SYS_read, fd, p, 0, 0, 0, 0);
    }
    NO(SYS_write, -1, p, 0, 0, 0, 0);
    NO(SYS_write, 0x100000005, p, 0, 0, 0, 0);
    NO(SYS_read, 0x7fffffff, p, 0, 0, 0, 0);
    for (long op = 0; op < 512; op++) {
        if (op == FUTEX_WAIT || op == FUTEX_WAKE || op == FUTEX_WAIT_BITSET)
            continue;
        NO(SYS_futex, w, op, 1, 0, 0, 0);
    }
    YES(SYS_futex, w, FUTEX_WAKE, 1, 0, 0, 0);
    for (long c = 0; c < 12; c++)
        YES(SYS_clock_gettime, c, p, 0, 0, 0, 0);
    NO(SYS_clock_gettime, 12, p, 0, 0, 0, 0);
    NO(SYS_clock_gettime, -6, p, 0, 0, 0, 0); /* another process's CPU clock */

    YES(SYS_mmap, p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    NO(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NO(SYS_mmap, p, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (long fd = 0; fd < 64; fd++) {
        if (fd != THAW_FD_IMAGE && fd != THAW_FD_SNAPSHOT)
            NO(SYS_mmap, p, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
        if (fd != THAW_FD_MEMORY)
            NO(SYS_mmap, p, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        NO(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        NO(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    for (int bit = 0; bit < 32; bit++) {
        long flags = (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) ^ (long)(1u << bit);
        if (flags != (MAP_PRIVATE | MAP_FIXED))
            NO(SYS_mmap, p, 4096, PROT_READ, flags, -1, 0);
    }
    YES(SYS_mprotect, p, 4096, PROT_READ | PROT_WRITE, 0, 0, 0);
    for (long flags = 0; flags < 8; flags++)
        if (flags != (MREMAP_MAYMOVE | MREMAP_FIXED))
            NO(SYS_mremap, p, 4096, 4096, flags, p, 0);
    for (long advice = 0; advice < 110; advice++)
        if (advice != MADV_DONTNEED && advice != MADV_HUGEPAGE && advice != 22 && advice != 23)
            NO(SYS_madvise, p, 4096, advice, 0, 0, 0);
    YES(SYS_madvise, p, 4096, MADV_DONTNEED, 0, 0, 0);
    NO(SYS_ppoll, p, 4, p, 0, 0, 0);
    NO(SYS_ppoll, p, 1, p, p, 8, 0);
    for (long fd = 3; fd < 20; fd++)
        NO(SYS_ioctl, fd, 0x5401, p, 0, 0, 0);
    static const long ioctls[] = {0x5412 /* TIOCSTI */,
                                  0x5410 /* TIOCSPGRP */,
                                  0x540e /* TIOCSCTTY */,
                                  0x541d /* TIOCCONS */,
                                  0x5422 /* TIOCNOTTY */,
                                  0x5423 /* TIOCSETD */,
                                  0x4b37,
                                  0x541c /* TIOCLINUX */,
                                  0xae01,
                                  0x8901,
                                  0x5452 /* FIOASYNC */,
                                  0x5421 /* FIONBIO */,
                                  0x40045431,
                                  0x5441 /* TIOCGPTPEER */};
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
        for (long fd = 0; fd < 3; fd++) {
            NO(SYS_ioctl, fd, ioctls[i], p, 0, 0, 0);
            NO(SYS_ioctl, fd, ioctls[i] | 1l << 32, p, 0, 0, 0);
        }
    const long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                        CLONE_SETTLS | CLONE_PARENT_SETTID;
    for (int bit = 0; bit < 32; bit++)
        NO(SYS_clone, thread ^ (long)(1u << bit), p + 4096, p, p, 0, 0);
    for (int bit = 0; bit < 32; bit++)
        NO(SYS_clone, PROCESS ^ (long)(1u << bit), 0, p, 0, 0, 0);
    NO(SYS_clone, PROCESS | 1l << 32, 0, p, 0, 0, 0);
    NO(SYS_memfd_create, p, 1, 0, 0, 0, 0);
    NO(SYS_memfd_create, p, 4, 0, 0, 0, 0);
    YES(SYS_rt_sigprocmask, 0, 0, 0, 8, 0, 0);
    for (long sig = 0; sig < 66; sig++) {
        if (sig != 16 && sig != SIGPWR)
            NO(SYS_tgkill, pid, pid, sig, 0, 0, 0);
        NO(SYS_tgkill, 1, 1, sig, 0, 0, 0);
        NO(SYS_tgkill, pid - 1, pid - 1, sig, 0, 0, 0);
        NO(SYS_tgkill, -1, pid, sig, 0, 0, 0);
    }
    NO(SYS_setitimer, 1, p, 0, 0, 0, 0);
    NO(SYS_setitimer, 2, p, 0, 0, 0, 0);
    for (long code = 0x1000; code < 0x1030; code++)
        if (code < 0x1001 || code > 0x1004)
            NO(SYS_arch_prctl, code, p, 0, 0, 0, 0);
    NO(SYS_arch_prctl, 0x4002, p, 0, 0, 0, 0); /* ARCH_SHSTK_... */
    YES(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static void window_all(void)
{
    const long p = (long)page;
    static const long first[] = {0, 1, 2, 3, 4, 5, 6, -1, -100 /* AT_FDCWD */, 0x7fffffff};

    strcpy(page, "/etc/passwd");
    for (long nr = 0; nr < 1024; nr++) {
        if (listed(nr) || is_probe(nr))
            continue;
        for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
            char what[64];
            snprintf(what, sizeof what, "number %ld, first argument %ld", nr, first[i]);
            expect(what, window(nr, first[i], p, 0, p, 0, 0), 0);
            expect(what, window(nr, p, first[i], 0, 0, 0, 0), 0);
            expect(what, window(nr, first[i], first[i], first[i], first[i], first[i], first[i]), 0);
        }
    }
    for (long nr = 0; nr < 600; nr++) { /* x32, and numbers with high bits */
        expect("x32", window(0x40000000 + nr, 0, p, 0, 0, 0, 0), 0);
        if (!listed(nr) && !is_probe(nr))
            expect("high bits", window(nr | 1l << 32, 0, p, 0, 0, 0, 0), 0);
    }
    expect("-1", window(-1, 0, 0, 0, 0, 0, 0), 0);
}

static int try_window(void)
{
    int n = gates_find();

    if (!gate) {
        fprintf(stderr, "no gate in the kernel's text (%d syscall instructions)\n", n);
        return 1;
    }
    signal(SIGSEGV, SIG_DFL);
    window_list();
    window_all();
    if (wrong) {
        fprintf(stderr, "%d wrong, through %d gates\n", wrong, n);
        return 1;
    }
    return success();
}

/* ---- its own instructions ---- */

static int blocks_or_ends(long nr)
{
    if (is_probe(nr))
        return 1;
    switch (nr) {
    case SYS_exit:
    case SYS_exit_group:
    case SYS_rt_sigreturn:
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_fork:
    case SYS_vfork:
    case SYS_clone:
    case SYS_clone3:
    case SYS_execve:
    case SYS_execveat:
    case SYS_close:
    case SYS_close_range:
    case SYS_alarm:
    case SYS_munmap:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigtimedwait:
    case SYS_tkill:
    case SYS_kill:
    case SYS_tgkill:
    case SYS_brk:
    case SYS_arch_prctl:
    case SYS_select:
    case SYS_pselect6:
    case SYS_poll:
    case SYS_ppoll:
    case SYS_nanosleep:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_dup2:
    case SYS_dup3:
    case SYS_chdir:
    case SYS_set_tid_address:
    case SYS_sigaltstack:
    case SYS_chroot:
    case SYS_prlimit64:
    case SYS_setrlimit:
    case SYS_futex:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mprotect:
    case SYS_mmap:
    case SYS_set_robust_list:
    case SYS_rseq:
    case SYS_setitimer:
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64: return 1;
    }
    return 0;
}

static int try_own(void)
{
    static const long values[] = {0, 1, -1, 3, 0x7fffffff, (long)0x8000000000000000, THAW_KERNEL_ADDR, 0x1000};
    char link[64];
    struct {
        long nr, a, b, c;
    } none[] = {
        /* none of these may work: nothing of the host is to be had */
        {SYS_kill, 1, 9, 0},
        {SYS_ptrace, 16, 1, 0},
        {SYS_socket, 17, 3, 0},
        {SYS_bpf, 0, 0, 0},
        {SYS_perf_event_open, 0, 0, 0},
        {SYS_init_module, 0, 0, 0},
        {SYS_mount, (long)"/", (long)"/", 0},
        {SYS_unshare, 0x10000000, 0, 0},
        {SYS_setns, 0, 0, 0},
        {SYS_keyctl, 0, 0, 0},
        {SYS_io_uring_setup, 8, (long)page, 0},
        {SYS_userfaultfd, 0, 0, 0},
        {SYS_seccomp, 0, 0, 0},
        {SYS_process_vm_readv, 1, 0, 0},
        {SYS_pidfd_open, 1, 0, 0},
        {SYS_open_by_handle_at, -100, (long)page, 0},
        {SYS_reboot, 0, 0, 0},
        {SYS_swapon, (long)"/", 0, 0},
        {SYS_open, (long)"/dev/mem", 0, 0},
        {SYS_open, (long)"/dev/kvm", 2, 0},
        {SYS_open, (long)"/proc/1/root/etc/shadow", 0, 0},
        {SYS_open, (long)"/etc/shadow", 0, 0},
        {SYS_open, (long)"/proc/kcore", 0, 0},
        {SYS_open, (long)"/sys/kernel/vmcoreinfo", 0, 0},
    };

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        long r = own(none[i].nr, none[i].a, none[i].b, none[i].c, 0, 0, 0);
        if (r >= 0) {
            fprintf(stderr, "call %ld (line %zu of the table) gives %ld\n", none[i].nr, i, r);
            wrong++;
        }
    }
    /* every number with arguments of no sense: the kernel must survive each */
    for (long nr = 0; nr < 1024; nr++)
        for (size_t i = 0; i < sizeof values / sizeof *values && !blocks_or_ends(nr); i++) {
            long v = values[i], r;
            if (nr == SYS_read && v == 0)
                continue;
            r = own(nr, v, v, v, v, v, v);
            if (nr >= 470 && r != -ENOSYS) {
                fprintf(stderr, "call %ld gives %ld\n", nr, r);
                wrong++;
            }
            r = own(nr, values[nr % 8], v, values[(nr + i) % 8], v, 0, 0);
        }
    for (long nr = 0; nr < 600; nr++)
        if (own(0x40000000 + nr, 0, 0, 0, 0, 0, 0) != -ENOSYS)
            wrong++;
    /* descriptors of the sandbox's process are not the program's */
    for (long fd = 3; fd < 8; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%ld", fd);
        (void)readlink(link, page, sizeof page);
    }
    return wrong ? 1 : success();
}

static long int80(long nr, long b, long c, long d)
{
    long ret = nr;
    __asm__ volatile("int $0x80" : "+a"(ret) : "b"(b), "c"(c), "d"(d) : "memory", "r8", "r9", "r10", "r11");
    return (int)ret;
}

static int try_int80(void)
{
    for (long nr = 0; nr < 600; nr++)
        for (int i = 0; i < 3; i++)
            if (int80(nr, i, (long)page, 1) != -ENOSYS) {
                fprintf(stderr, "i386 call %ld gives something\n", nr);
                wrong++;
            }
    return wrong ? 1 : success();
}

/* ---- processes behind the monitor's back ---- */

static char breed_stack[4096] __attribute__((aligned(16)));

static void idle(void)
{
    for (;;)
        window(SYS_ppoll, 0, 0, 0, 0, 0, 0);
}

/* As many as it gets, none of which its kernel knows or tells of; every other one hides behind a dead first thread. */
static int try_breed(int stay)
{
    int made = 0, word;

    gates_find();
    signal(SIGSEGV, SIG_DFL);
    pid_t pid = fork(); /* the first is made in the proper way: only then is anybody asked */
    if (pid == 0)
        _exit(0);
    for (int i = 0; i < 600; i++) {
        long r = window(SYS_clone, PROCESS, 0, (long)&word, 0, 0, 0);
        if (r == 0) {
            if (i % 2)
                idle();
            void **top = (void **)(breed_stack + sizeof breed_stack - 64);
            *top = (void *)idle;
            window(SYS_clone,
                   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                       CLONE_PARENT_SETTID,
                   (long)top, (long)&word, 0, 0, 0);
            window(SYS_exit, 0, 0, 0, 0, 0, 0);
        }
        made += r > 0;
    }
    printf("%d\n", made);
    fflush(stdout);
    while (stay)
        pause();
    return 0;
}

/* ---- gates that end the program, as a rule ---- */

static int try_sysenter(void)
{
    long ret = 1; /* exit, for i386 */
    __asm__ volatile("mov $42, %%ebx\n sysenter" : "+a"(ret)::"rbx", "rcx", "rdx", "memory");
    return 0;
}

/* 32-bit code: the far return loads the host's 32-bit code segment. */
static int try_compat(int sysenter)
{
    static const unsigned char code[2][16] = {
        {0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80, 0x0f, 0x0b}, /* mov $1,%eax; mov $42,%ebx; int $0x80; ud2 */
        {0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0x0f, 0x34, 0x0f, 0x0b}, /* ... sysenter */
    };
    unsigned char *low =
        mmap((void *)0x10000000, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    CHECK(low != MAP_FAILED);
    memcpy(low, code[sysenter], sizeof code[0]);
    CHECK(mprotect(low, 4096, PROT_READ | PROT_EXEC) == 0);
    __asm__ volatile("mov %0, %%rsp\n push $0x23\n push %1\n lretq" ::"r"((long)low + 60000), "r"((long)low)
                     : "memory");
    return 0;
}

static int try_vsyscall(void)
{
    struct {
        long s, us;
    } tv = {0, 0};

    catch_signals();
    if (!sigsetjmp(jump, 1)) {
        ((long (*)(void *, void *))0xffffffffff600000)(&tv, NULL);
        ((long (*)(void *))0xffffffffff600400)(NULL);
        ((long (*)(void *, void *, void *))0xffffffffff600800)(NULL, NULL, NULL);
    }
    return success();
}

/* ---- the monitor ---- */

static uint64_t state;
static uint64_t next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static struct {
    struct thaw_call call;
    char data[4096];
} packet;

static void packet_fill(void)
{
    static const char *const names[] = {"", ".", "..", "../..", "/etc/passwd", "a/../../b", "f", "x/", "//", "f\0g"};
    static const uint64_t numbers[] = {0,    1,     2,     3,          63,         64,         65,
                                       4096, 65536, 65537, 0x7fffffff, 0x80000000, UINT64_MAX, 1ull << 62};
    const char *name = names[next() % 10];
    size_t len = next() % 3 ? strlen(name) : next() % 4096;

    memset(&packet, (int)next(), sizeof packet);
    strcpy(packet.data, name);
    packet.call.op = (uint32_t)(next() % 8 ? 14 + next() % 24 : next());
    packet.call.len = (uint32_t)len;
    packet.call.ret = (int64_t)next();
    for (int i = 0; i < 4; i++)
        packet.call.arg[i] = next() % 4 ? numbers[next() % 14] : next();
    if (next() % 40 == 0)
        packet.call.len = (uint32_t)next();
}

static int try_garbage(uint64_t seed)
{
    static struct thaw_call reply[2048];

    state = seed;
    CHECK(gates_find() > 0 && gate);
    for (int i = 0; i < 300; i++) {
        packet_fill();
        size_t size = next() % 60 ? sizeof packet.call + (packet.call.len <= 4096 ? packet.call.len : 10) : next() % 48;
        if (window(SYS_write, THAW_FD_CONTROL, (long)&packet, (long)size, 0, 0, 0) < 0)
            break;
        if (window(SYS_read, THAW_FD_CONTROL, (long)reply, sizeof reply, 0, 0, 0) <= 0)
            break;
    }
    return success();
}

/* Asks without end, and hears no answer. */
static int try_flood(void)
{
    CHECK(gates_find() > 0 && gate);
    memset(&packet, 0, sizeof packet);
    packet.call.op = THAW_CALL_STATFS;
    for (;;)
        window(SYS_write, THAW_FD_CONTROL, (long)&packet, sizeof packet.call, 0, 0, 0);
}

static int try_scribble(uint64_t seed)
{
    volatile uint64_t *boot = (void *)THAW_BOOT_ADDR;

    state = seed;
    CHECK(gates_find() > 0 && gate);
    for (int i = 0; i < 512 / 8; i++)
        if (next() % 2)
            boot[i] = next() % 3 ? next() : next() % 8;
    if (next() % 2) {
        memset((char *)THAW_BOOT_ADDR + offsetof(struct thaw_boot, exit), (int)(next() % 7), sizeof(struct thaw_exit));
        ((struct thaw_boot *)THAW_BOOT_ADDR)->exit.kind = (uint32_t)(next() % 8);
    }
    window(SYS_exit_group, (long)(next() % 256), 0, 0, 0, 0, 0);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;

    if (!strcmp(what, "own"))
        return try_own();
    if (!strcmp(what, "window"))
        return try_window();
    if (!strcmp(what, "int80"))
        return try_int80();
    if (!strcmp(what, "sysenter"))
        return try_sysenter();
    if (!strcmp(what, "compat"))
        return try_compat(0);
    if (!strcmp(what, "compat_sysenter"))
        return try_compat(1);
    if (!strcmp(what, "vsyscall"))
        return try_vsyscall();
    if (!strcmp(what, "breed"))
        return try_breed(argc > 2);
    if (!strcmp(what, "garbage"))
        return try_garbage(seed);
    if (!strcmp(what, "flood"))
        return try_flood();
    if (!strcmp(what, "scribble"))
        return try_scribble(seed);
    fprintf(stderr, "escape: what?\n");
    return 1;
}
