/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect, mremap, madvise, brk: also of files, also in the middle, and what must not be had. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul

static sigjmp_buf jump;
static volatile int caught, code;
static void *volatile where;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    caught = sig;
    code = info->si_code;
    where = info->si_addr;
    siglongjmp(jump, 1);
}

/* The signal that touching p brings, 0 for none. */
static int touch(volatile char *p, int write)
{
    caught = 0;
    if (!sigsetjmp(jump, 1)) {
        if (write)
            *p = 1;
        else
            (void)*p;
    }
    return caught;
}

int main(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);

    char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    for (unsigned i = 0; i < 16 * PAGE; i += 512)
        CHECK(p[i] == 0);
    memset(p, 7, 16 * PAGE);
    CHECK(munmap(p + 4 * PAGE, PAGE) == 0);
    CHECK(touch(p + 4 * PAGE, 0) == SIGSEGV && code == SEGV_MAPERR && where == p + 4 * PAGE);
    CHECK(!touch(p + 3 * PAGE, 1) && !touch(p + 5 * PAGE, 1));
    CHECK(mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ) == 0);
    CHECK(touch(p + 8 * PAGE, 1) == SIGSEGV && code == SEGV_ACCERR && p[8 * PAGE] == 7);
    CHECK(mprotect(p + 8 * PAGE, PAGE, PROT_NONE) == 0 && touch(p + 8 * PAGE, 0) == SIGSEGV);
    CHECK(mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE) == 0 && !touch(p + 8 * PAGE, 1) && p[9 * PAGE] == 7);
    FAILS(mprotect(p + 4 * PAGE, PAGE, PROT_READ), ENOMEM);
    CHECK(madvise(p, 2 * PAGE, MADV_DONTNEED) == 0 && p[0] == 0 && p[2 * PAGE] == 7);

    /* fixed, and moved */
    CHECK(mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + PAGE);
    CHECK(touch(p + PAGE, 1) == SIGSEGV);
    char *q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(q, "moves along");
    char *r = mremap(q, 4 * PAGE, 1024 * PAGE, MREMAP_MAYMOVE);
    CHECK(r != MAP_FAILED && !strcmp(r, "moves along") && r[1023 * PAGE] == 0);
    r = mremap(r, 1024 * PAGE, PAGE, 0);
    CHECK(r != MAP_FAILED && touch(r + PAGE, 0) == SIGSEGV && !strcmp(r, "moves along"));

    /* a file: private changes stay private; beyond the end is SIGBUS */
    int fd = open("/tmp/m", O_RDWR | O_CREAT, 0600);
    char fill[PAGE + 100];
    memset(fill, 'f', sizeof fill);
    CHECK(write(fd, fill, sizeof fill) == sizeof fill);
    char *f = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(f != MAP_FAILED && f[0] == 'f' && f[PAGE + 99] == 'f' && f[PAGE + 100] == 0);
    f[0] = 'g';
    CHECK(pread(fd, fill, 1, 0) == 1 && fill[0] == 'f');
    char *self = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
    CHECK(self != MAP_FAILED && !memcmp(self, "\177ELF", 4));
    FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0), EBADF);
    FAILS((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);

    /* code made at run time */
    unsigned char *x = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(x, "\xb8\x2a\x00\x00\x00\xc3", 6); /* mov $42, %eax; ret */
    CHECK(mprotect(x, PAGE, PROT_READ | PROT_EXEC) == 0 && ((int (*)(void))x)() == 42);

    /* the heap */
    unsigned long end = (unsigned long)syscall(SYS_brk, 0);
    char *b = (char *)((end + PAGE - 1) & ~(PAGE - 1));
    CHECK(syscall(SYS_brk, b + 10 * PAGE) == (long)(b + 10 * PAGE) && b[5 * PAGE] == 0);
    b[5 * PAGE] = 1;
    CHECK(syscall(SYS_brk, b + 5 * PAGE) == (long)(b + 5 * PAGE) && touch(b + 5 * PAGE, 0) == SIGSEGV);
    CHECK(syscall(SYS_brk, b + 10 * PAGE) == (long)(b + 10 * PAGE) && b[5 * PAGE] == 0);
    CHECK(syscall(SYS_brk, 0x700000800000) == (long)(b + 10 * PAGE)); /* refused: where it was */

    /* what is the kernel's, or nobody's, is not to be had */
    FAILS((long)mmap((void *)0x700000800000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);
    CHECK(munmap((void *)0x700000800000, PAGE) == -1 || 1);
    CHECK(mprotect((void *)0x700000800000, PAGE, PROT_READ | PROT_WRITE) == -1);
    CHECK(madvise((void *)0x700000800000, PAGE, MADV_DONTNEED) == -1);
    CHECK(mremap(r, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x700000800000) == MAP_FAILED);
    CHECK(mmap(NULL, 1ul << 50, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK(mmap((void *)(~0ul - PAGE + 1), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
          MAP_FAILED);
    CHECK(touch((char *)0x8000000000000000, 0) == SIGSEGV);

    /* many, to see that none is lost */
    enum { N = 3000 };
    static char *many[N];
    for (int i = 0; i < N; i++) {
        many[i] = mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(many[i] != MAP_FAILED);
        if (i % 2 == 0)
            memcpy(many[i], &i, sizeof i);
    }
    for (int i = 0; i < N; i += 2)
        CHECK(!memcmp(many[i], &i, sizeof i));
    for (int i = 0; i < N; i++)
        CHECK(munmap(many[i], PAGE) == 0);
    return success();
}
