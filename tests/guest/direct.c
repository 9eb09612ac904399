/* SPDX-License-Identifier: MIT */
/*
 * Hot system calls: whatever the kernel makes of the code that makes them, it does what it did. direct [process]: there
 * code of known form is rewritten, and that is checked as well.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOT 100 /* calls after which code has been rewritten */
#define THREADS 8
#define ROUNDS 60

static int rewrites; /* the machine is known to */

/* nop; mov $nr, %eax; syscall; ret */
static void *code_mov(void *at, int nr)
{
    uint8_t c[] = {0x90, 0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3};
    memcpy(c + 2, &nr, 4);
    return (char *)memcpy(at, c, sizeof(c)) + 1;
}

/* The same for number 0, as a C library has it: xor %eax, %eax; syscall; cmp $-4096, %rax; ja; ret; padding; ret. */
static void *code_xor(void *at)
{
    static const uint8_t c[] = {0x90, 0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x0b,
                                0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0,    0,    0,    0,    0,    0xc3};
    return (char *)memcpy(at, c, sizeof(c)) + 1;
}

/* And as it has it where threads can be cancelled, with less padding behind it. */
static void *code_cancel(void *at)
{
    static const uint8_t c[] = {0x90, 0x48, 0x83, 0xec, 0x18, 0x41, 0x89, 0xc0, /* sub $24, %rsp; mov %eax, %r8d */
                                0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x1c, 0x44, 0x89,
                                0xc7, 0x48, 0x89, 0x44, 0x24, 0x08, 0xe8, 0x14, 0, 0, 0, 0x48, 0x8b, 0x44, 0x24, 0x08,
                                0x48, 0x83, 0xc4, 0x18, 0xc3, 0x0f, 0x1f, 0x44, 0, 0,
                                /* the error, and what is called */
                                0x48, 0x83, 0xc4, 0x18, 0xc3, 0xc3};
    return (char *)memcpy(at, c, sizeof(c)) + 1;
}

/* Low, so that a near jump reaches the kernel's trampolines. */
static void *page_low(void)
{
    void *p = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void *page_new(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void page_seal(void *p) { CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0); }

static long call(const void *fn, long a, long b, long c) { return ((long (*)(long, long, long))fn)(a, b, c); }

static int is_rewritten(const uint8_t *fn) { return fn[0] == 0xff || fn[0] == 0xeb; }

static void heat(const void *fn, long a, long b, long c)
{
    for (int i = 0; i < HOT; i++)
        call(fn, a, b, c);
    CHECK(!rewrites || is_rewritten(fn));
}

/*
 * u64 registers_call(fn, words, flags): calls fn with registers out of words[0..10] and these flags, and a word in the red
 * zone; brings the registers back there, the flags in words[11], the red zone's word in words[12]. What fn returned.
 */
uint64_t registers_call(const void *fn, uint64_t *words, uint64_t flags);
__asm__(".text\n"
        "registers_call:\n\t"
        "push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "push %rsi\n\tpush %rdx\n\tmov %rdi, %rax\n\tmov %rsi, %rcx\n\t"
        "mov 0(%rcx), %rbx\n\tmov 8(%rcx), %rdx\n\tmov 16(%rcx), %rsi\n\tmov 24(%rcx), %rdi\n\t"
        "mov 32(%rcx), %r8\n\tmov 40(%rcx), %r9\n\tmov 48(%rcx), %r10\n\tmov 56(%rcx), %r12\n\t"
        "mov 64(%rcx), %r13\n\tmov 72(%rcx), %r14\n\tmov 80(%rcx), %r15\n\tmov 56(%rcx), %rbp\n\t"
        "movabs $0x123456789abcdef, %rcx\n\tmov %rcx, -64(%rsp)\n\t"
        "popfq\n\tcall *%rax\n\tpushfq\n\tpop %r11\n\tmov -72(%rsp), %rcx\n\tpush %rcx\n\tmov 8(%rsp), %rcx\n\t"
        "mov %rbx, 0(%rcx)\n\tmov %rdx, 8(%rcx)\n\tmov %rsi, 16(%rcx)\n\tmov %rdi, 24(%rcx)\n\t"
        "mov %r8, 32(%rcx)\n\tmov %r9, 40(%rcx)\n\tmov %r10, 48(%rcx)\n\tmov %rbp, 56(%rcx)\n\t"
        "mov %r13, 64(%rcx)\n\tmov %r14, 72(%rcx)\n\tmov %r15, 80(%rcx)\n\tmov %r11, 88(%rcx)\n\t"
        "pop %r11\n\tmov %r11, 96(%rcx)\n\tpop %rsi\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n");

static void registers(const void *fn)
{
    static const uint64_t flags[] = {0x8d5, 0, 0x801, 0x44};
    for (int i = 0; i < HOT + 20; i++) {
        uint64_t in[13], out[13];
        double x = 1.5 * i;
        for (int k = 0; k < 13; k++)
            in[k] = out[k] = 0x1111111111111111ul * (uint64_t)(k + 1) + (uint64_t)i;
        __asm__ volatile("movsd %0, %%xmm9" ::"m"(x) : "xmm9");
        CHECK((pid_t)registers_call(fn, out, flags[i % 4]) == getppid());
        __asm__ volatile("movsd %%xmm9, %0" : "=m"(x));
        CHECK(x == 1.5 * i);
        CHECK(memcmp(in, out, 11 * sizeof(*in)) == 0);
        CHECK((out[11] & 0x8d5) == flags[i % 4]);
        CHECK(out[12] == 0x123456789abcdef);
    }
    CHECK(!rewrites || is_rewritten(fn));
}

/* Who jumps to the `syscall` with another number, or comes between the two instructions, is served. */
static void into_the_middle(const uint8_t *fn)
{
    long ret;
    heat(fn, 0, 0, 0);
    __asm__ volatile("call *%1" : "=a"(ret) : "r"(fn + 5), "0"(SYS_getpid) : "rcx", "r11", "memory");
    CHECK(ret == getpid());
}

/* ---- threads that meet at code while it is rewritten ---- */

static const void *volatile target;
static pthread_barrier_t barrier;

static void *hammer(void *arg)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < HOT; i++)
            CHECK(call(target, 0, 0, 0) == getpid());
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[THREADS];
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&t[i], NULL, hammer, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        char *p = page_new();
        target = code_mov(p + 16 * (round % 200), SYS_getpid);
        page_seal(p);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        CHECK(!rewrites || is_rewritten(target));
        CHECK(munmap(p, 4096) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
}

/* ---- signals ---- */

static volatile sig_atomic_t hits;
static const void *handler_fn;

static void on_signal(int sig)
{
    hits++;
    if (handler_fn)
        call(handler_fn, 0, 0, 0);
}

static void signals(void *getpid_fn, void *read_fn)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval it = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
    int fds[2];
    char c = 0;

    handler_fn = getpid_fn;
    CHECK(sigaction(SIGALRM, &sa, NULL) == 0 && pipe(fds) == 0);
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    for (int i = 0; hits < 200 && i < 50000000; i++)
        CHECK(call(getpid_fn, 0, 0, 0) == getpid());
    CHECK(hits >= 200);
    setitimer(ITIMER_REAL, &off, NULL);

    /* A blocking call: repeated, or ended. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        for (int i = 0; i < 20; i++) {
            usleep(2000);
            kill(getppid(), SIGALRM);
        }
        CHECK(write(fds[1], "x", 1) == 1);
        _exit(0);
    }
    hits = 0;
    CHECK(call(read_fn, fds[0], (long)&c, 1) == 1 && c == 'x' && hits > 0);
    CHECK(waitpid(child, NULL, 0) == child);
    sa.sa_flags = 0;
    it = (struct itimerval){{0, 0}, {0, 20000}};
    CHECK(sigaction(SIGALRM, &sa, NULL) == 0 && setitimer(ITIMER_REAL, &it, NULL) == 0);
    CHECK(call(read_fn, fds[0], (long)&c, 1) == -EINTR);
    handler_fn = NULL;
}

/* ---- GS base ---- */

static void gs_base(const void *fn)
{
    static uint64_t mine[64];
    uint64_t seen = 0, base = 1;

    for (int i = 0; i < 64; i++)
        mine[i] = 0xabcdef00ul + (uint64_t)i;
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0 && base == 0);
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, mine) == 0);
    for (int i = 0; i < HOT; i++)
        CHECK(call(fn, 0, 0, 0) == getpid());
    __asm__ volatile("mov %%gs:40, %0" : "=r"(seen));
    CHECK(seen == mine[5] && mine[12] == 0xabcdef0c);
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0 && base == (uint64_t)mine);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        __asm__ volatile("mov %%gs:40, %0" : "=r"(seen));
        _exit(seen == mine[5] && call(fn, 0, 0, 0) == getpid() ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
    CHECK(call(fn, 0, 0, 0) == getpid());
}

int main(int argc, char **argv)
{
    rewrites = argc > 1 && strcmp(argv[1], "process") == 0;

    char *p = page_new();
    void *getppid_fn = code_mov(p, SYS_getppid), *getpid_fn = code_mov(p + 64, SYS_getpid),
         *read_fn = code_xor(p + 128), *across = code_mov(p + 192, SYS_getpid);
    page_seal(p);
    registers(getppid_fn);
    into_the_middle(getpid_fn);
    heat(read_fn, -1, 0, 0);
    char *low = page_low();
    const uint8_t *cancel_fn = code_cancel(low + 32);
    page_seal(low);
    for (int i = 0; i < HOT; i++)
        CHECK(call(cancel_fn, -1, 0, 0) == -EBADF);
    int fds[2];
    char c = 0;
    CHECK(pipe(fds) == 0);
    for (int i = 0; i < HOT; i++)
        CHECK(write(fds[1], "y", 1) == 1 && call(cancel_fn, fds[0], (long)&c, 1) == 1 && c == 'y');
    CHECK(!rewrites || cancel_fn[7] == 0xeb);
    CHECK(call(read_fn, -1, 0, 0) == -EBADF);
    signals(getpid_fn, read_fn);
    threads();

    /* Into a child, with what is rewritten there. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        heat(across, 0, 0, 0);
        _exit(call(getpid_fn, 0, 0, 0) == getpid() && call(across, 0, 0, 0) == getpid() ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(*(uint8_t *)across == 0xb8);

    /* Code of the program's own at the same place. */
    CHECK(mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0);
    getpid_fn = code_mov(p + 64, SYS_getuid);
    page_seal(p);
    for (int i = 0; i < 2 * HOT; i++)
        CHECK(call(getpid_fn, 0, 0, 0) == (long)getuid());
    CHECK(call(getppid_fn, 0, 0, 0) == getppid());
    char *q = mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page_new());
    CHECK(q != MAP_FAILED && call(q + 65, 0, 0, 0) == (long)getuid());

    gs_base(getpid_fn == NULL ? NULL : q + 193);
    return success();
}
