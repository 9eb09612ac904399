/* SPDX-License-Identifier: MIT */
/*
 * A hostile program of the process machine: makes system calls from inside the kernel's text, where the host's filter
 * lets the kernel's own pass, and finds that nothing but those is let through. The list here is the one of
 * docs/security.md; it is written out a second time on purpose.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_TEXT 0x700000800000ul
#define X32 0x40000000l

static const unsigned char *gadget; /* syscall; ret */

static long gate(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("sub $128, %%rsp\n\tcall *%[g]\n\tadd $128, %%rsp"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), [g] "r"(gadget)
                     : "rcx", "r11", "memory");
    return ret;
}

static long straight(long nr, long a, long b, long c)
{
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return ret;
}

static long int80(long nr)
{
    long ret;
    __asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    return ret;
}

static int failures;

static void expect(const char *what, long nr, long got, long want)
{
    if (got == want)
        return;
    printf("%s %ld: got %ld instead of %ld\n", what, nr, got, want);
    failures++;
}

/* The kernel's own, in no particular order. */
static const short allowed[] = {0,  1,  7 + 264, 9,  10,  11,  14,  15,  16,  24, 25,
                                28, 38, 56,      60, 158, 202, 228, 231, 234, 319};

/* uretprobe and uprobe: newer hosts let them past every filter. All they do outside a probe is to raise SIGILL. */
static int is_probe(long nr) { return nr == 335 || nr == 336; }

static int is_allowed(long nr)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (allowed[i] == nr)
            return 1;
    return 0;
}

/* What must be refused of calls that are on the list, by their arguments. */
static const struct {
    const char *what;
    long nr, a[6];
} wrong[] = {
    {"read of another descriptor", 0, {4, 0, 0}},
    {"read of a far descriptor", 0, {0x100000004, 0, 0}},
    {"write to the image", 1, {4, 0, 0}},
    {"write to another descriptor", 1, {77, 0, 0}},
    {"shared memory", 9, {0, 4096, 3, 0x31, -1, 0}},
    {"shared memory where the host likes", 9, {0, 4096, 3, 0x01, 7, 0}},
    {"a shared mapping of stdin", 9, {0x10000, 4096, 1, 0x11, 0, 0}},
    {"a private mapping of the shared memory", 9, {0x10000, 4096, 1, 0x12, 7, 0}},
    {"a mapping where the host likes", 9, {0, 4096, 3, 0x22, -1, 0}},
    {"a shared mapping of the image", 9, {0x10000, 4096, 1, 0x11, 4, 0}},
    {"a mapping of stdin", 9, {0x10000, 4096, 1, 0x12, 0, 0}},
    {"huge pages of the host's pool", 9, {0x10000, 4096, 1, 0x40032, -1, 0}},
    {"mremap without a place", 25, {0x10000, 4096, 8192, 1, 0, 0}},
    {"madvise: merging", 28, {0x10000, 4096, 12, 0, 0, 0}},
    {"madvise: hardware poison", 28, {0x10000, 4096, 100, 0, 0, 0}},
    {"ppoll of more than stdio", 271, {0, 4, 0, 0, 0, 0}},
    {"ppoll with a mask", 271, {0, 0, 0, 8, 8, 0}},
    {"ioctl TIOCSTI", 16, {0, 0x5412, 0, 0, 0, 0}},
    {"ioctl TIOCLINUX", 16, {0, 0x541c, 0, 0, 0, 0}},
    {"ioctl on the control socket", 16, {3, 0x5401, 0, 0, 0, 0}},
    {"fork without a word for its number", 56, {17, 0, 0, 0, 0, 0}},
    {"vfork", 56, {0x4111, 0, 0, 0, 0, 0}},
    {"a child of its parent", 56, {0x108011, 0, 0, 0, 0, 0}},
    {"a process with the same files", 56, {0x100411, 0, 0, 0, 0, 0}},
    {"a process that tells nobody of its end", 56, {0x100000, 0, 0, 0, 0, 0}},
    {"a memory file with flags", 319, {0, 2, 0, 0, 0, 0}},
    {"a new user namespace", 56, {0x10000011, 0, 0, 0, 0, 0}},
    {"a thread with a parent of its choice", 56, {0x3d8f00, 0, 0, 0, 0, 0}},
    {"futex with another operation", 202, {0, 3, 0, 0, 0, 0}},
    {"a private futex", 202, {0, 128, 0, 0, 0, 0}},
    {"tgkill of another process", 234, {1, 1, 16, 0, 0, 0}},
    {"tgkill with another signal", 234, {0, 0, 9, 0, 0, 0}},
    {"setitimer of another kind", 38, {1, 0, 0, 0, 0, 0}},
    {"arch_prctl of another kind", 158, {0x1011, 0, 0, 0, 0, 0}},
    {"a clock device", 228, {-5, 0, 0, 0, 0, 0}},
};

/* Dangerous calls, asked for in the ordinary way: our kernel serves them, and has none of them. */
static const short refused[] = {101 /* ptrace */,
                                165 /* mount */,
                                246 /* kexec_load */,
                                298 /* perf_event_open */,
                                304 /* open_by_handle_at */,
                                310 /* process_vm_readv */,
                                311,
                                317 /* seccomp */,
                                321 /* bpf */,
                                425 /* io_uring_setup */,
                                426,
                                438 /* pidfd_getfd */,
                                272 /* unshare */,
                                308 /* setns */,
                                175 /* init_module */,
                                169 /* reboot */,
                                41 + 388 /* move_mount... */};

int main(void)
{
    for (const unsigned char *p = (const unsigned char *)KERNEL_TEXT;
         !gadget && p < (const unsigned char *)KERNEL_TEXT + (128 << 10); p++)
        if (p[0] == 0x0f && p[1] == 0x05 && p[2] == 0xc3)
            gadget = p;
    for (const unsigned char *p = (const unsigned char *)KERNEL_TEXT + (128 << 10); !gadget; p++)
        if (p[0] == 0x0f && p[1] == 0x05 && p[2] == 0xc3)
            gadget = p;

    for (long nr = 0; nr < 700; nr++)
        if (!is_allowed(nr) && !is_probe(nr)) {
            expect("from the kernel's text, system call", nr, gate(nr, 0, 0, 0, 0, 0, 0), -EPERM);
            expect("from the kernel's text, with -1, system call", nr, gate(nr, -1, -1, -1, -1, -1, -1), -EPERM);
        }
    for (long nr = 0; nr < 700; nr++)
        expect("from the kernel's text, x32 system call", nr, gate(nr | X32, 0, 0, 0, 0, 0, 0), -EPERM);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect(
            wrong[i].what, wrong[i].nr,
            gate(wrong[i].nr, wrong[i].a[0], wrong[i].a[1], wrong[i].a[2], wrong[i].a[3], wrong[i].a[4], wrong[i].a[5]),
            -EPERM);

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect("straight, system call", refused[i], straight(refused[i], 0, 0, 0), -ENOSYS);
    for (long nr = 500; nr < 1000; nr++)
        expect("straight, system call", nr, straight(nr, 0, 0, 0), -ENOSYS);
    for (long nr = 0; nr < 400; nr++)
        expect("straight, x32 system call", nr, straight(nr | X32, 0, 0, 0), -ENOSYS);
    for (long nr = 0; nr < 500; nr++)
        expect("int80, system call", nr, int80(nr), -ENOSYS);

    /* The vsyscall page: time(). Emulated by the host or not there; never the host's without the filter. */
    if (failures)
        return 1;
    puts("SUCCESS");
    return 0;
}
