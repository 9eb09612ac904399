/* SPDX-License-Identifier: MIT */
/*
 * Signal frames: laid out as libc's headers have it, taken back by the host's own rt_sigreturn, and the host's frames
 * taken back by ours; interrupted calls end or start over as signal(7) says.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "signal_frame.h"

#define STACK_SIZE (256 << 10)
#define USER_SA_RESTORER 0x04000000u
#define FP_MAGIC1 0x46505853u
#define FP_MAGIC2 0x46505845u

static uint8_t *stack;                                       /* imagined user mode's */
static uint8_t host_fpu[16384] __attribute__((aligned(64))); /* a real FPU image, as a frame has it */
static uint32_t host_fpu_size;                               /* with magic2 */
static uint8_t host_frame[32768] __attribute__((aligned(64)));
static greg_t host_gregs[NGREG];

static void on_signal(int sig, siginfo_t *si, void *ucv)
{
    ucontext_t *uc = ucv;
    const uint8_t *fp = (const void *)uc->uc_mcontext.fpregs;
    uint32_t magic1;
    memcpy(&magic1, fp + 464, 4);
    memcpy(&host_fpu_size, fp + 468, 4);
    if (magic1 != FP_MAGIC1 || host_fpu_size > sizeof(host_fpu))
        host_fpu_size = 512;
    memcpy(host_fpu, fp, host_fpu_size);
    memcpy(host_gregs, uc->uc_mcontext.gregs, sizeof(host_gregs));
    /* pretcode lies below the ucontext; only the words our rt_sigreturn reads, and the FPU state, are needed. */
    memcpy(host_frame, (uint8_t *)ucv - 8, 440);
}

static int setup(void **state)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    frame_init();
    stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || sigaction(SIGUSR1, &sa, NULL))
        return -1;
    /* Something to recognise in the vector registers. */
    uint64_t mark = 0xfeedface12345678;
    __asm__ volatile("movq %0, %%xmm6\n\tmovq %0, %%xmm13" ::"r"(mark) : "xmm6", "xmm13");
    raise(SIGUSR1);
    return host_fpu_size > 512 ? 0 : -1;
}

static void fresh(uint64_t *regs)
{
    frame_forget();
    frame_ended_by();
    memset(stack, 0, STACK_SIZE);
    for (int i = 0; i < T_NREGS; i++)
        regs[i] = 0x1111111111111111ull * (uint64_t)(i + 1) >> 1;
    regs[T_RSP] = (uint64_t)stack + STACK_SIZE - 4096 + 8;
    regs[T_RIP] = 0x401000;
    regs[T_EFLAGS] = 0x202;
    frame_set_fpu(host_fpu, host_fpu_size);
}

static void layout_is_libcs(void **state)
{
#define U(k, l)                    \
    {                              \
        k, offsetof(ucontext_t, l) \
    }
#define G(k, reg)                                         \
    {                                                     \
        "sigcontext." k, offsetof(mcontext_t, gregs[reg]) \
    }
#define S(k, l)                              \
    {                                        \
        "siginfo." k, offsetof(siginfo_t, l) \
    }
    const struct layout libc[] = {
        U("ucontext.flags", uc_flags),
        U("ucontext.link", uc_link),
        U("ucontext.stack", uc_stack),
        U("ucontext.mcontext", uc_mcontext),
        U("ucontext.sigmask", uc_sigmask),
        G("r8", REG_R8),
        G("r15", REG_R15),
        G("rdi", REG_RDI),
        G("rbp", REG_RBP),
        G("rdx", REG_RDX),
        G("rsp", REG_RSP),
        G("rip", REG_RIP),
        G("eflags", REG_EFL),
        G("cs", REG_CSGSFS),
        G("err", REG_ERR),
        G("trapno", REG_TRAPNO),
        G("oldmask", REG_OLDMASK),
        G("cr2", REG_CR2),
        {"sigcontext.fpstate", offsetof(mcontext_t, fpregs)},
        {"sigaltstack.sp", offsetof(stack_t, ss_sp)},
        {"sigaltstack.flags", offsetof(stack_t, ss_flags)},
        {"sigaltstack.size", offsetof(stack_t, ss_size)},
        S("si_signo", si_signo),
        S("si_errno", si_errno),
        S("si_code", si_code),
        S("chld.pid", si_pid),
        S("chld.uid", si_uid),
        S("chld.status", si_status),
        S("chld.utime", si_utime),
        S("chld.stime", si_stime),
        S("rt.value", si_value),
        S("timer.tid", si_timerid),
        S("timer.overrun", si_overrun),
        S("timer.value", si_value),
        S("fault.addr", si_addr),
        S("fault.addr_lsb", si_addr_lsb),
        {"rt_sigframe.uc", 8},
        {"rt_sigframe.info", 312},
    };
    size_t n = 0;
    for (const struct layout *k = kernel_layout; k->name; k++, n++) {
        size_t i = 0;
        while (i < sizeof(libc) / sizeof(libc[0]) && strcmp(libc[i].name, k->name))
            i++;
        assert_true(i < sizeof(libc) / sizeof(libc[0]));
        if (libc[i].offset != k->offset)
            fail_msg("%s: %zu, libc %zu", k->name, k->offset, libc[i].offset);
    }
    assert_int_equal(n, sizeof(libc) / sizeof(libc[0]));
}

/* What a handler finds: aligned stack, red zone left alone, arguments, registers, FPU state with both magics. */
static void a_handler_finds_its_frame(void **state)
{
    uint64_t old[T_NREGS], r[T_NREGS];
    fresh(old);
    memcpy(r, old, sizeof(r));
    old[T_EFLAGS] = r[T_EFLAGS] = 0x202 | 0x400 | 0x100; /* DF and TF are off in the handler */
    frame_set_mask(1 << 4);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    assert_int_equal(frame_mask(), 1 << 4 | 1 << (SIGUSR2 - 1));
    assert_int_equal(r[T_RIP], 0x402000);
    assert_int_equal(r[T_RDI], SIGUSR2);
    assert_int_equal(r[T_RAX], 0);
    assert_int_equal(r[T_EFLAGS], 0x202);
    assert_int_equal(r[T_RSP] % 16, 8);
    const ucontext_t *uc = (void *)r[T_RDX];
    const siginfo_t *si = (void *)r[T_RSI];
    assert_int_equal((uint64_t)uc, r[T_RSP] + 8);
    assert_int_equal(*(uint64_t *)r[T_RSP], 0x403000);
    assert_int_equal(si->si_signo, SIGUSR2);
    assert_int_equal(si->si_code, SI_QUEUE);
    assert_int_equal((uint64_t)si->si_value.sival_ptr, 0x1234567890);
    assert_true((uint64_t)uc->uc_mcontext.fpregs + host_fpu_size <= old[T_RSP] - 128);
    assert_int_equal((uint64_t)uc->uc_mcontext.fpregs % 64, 0);
    assert_int_equal(uc->uc_flags, 7);
    assert_int_equal(uc->uc_stack.ss_flags, SS_DISABLE);
    assert_int_equal(*(const uint64_t *)&uc->uc_sigmask, 1 << 4);
    for (int i = 0; i < T_NREGS; i++)
        assert_int_equal(uc->uc_mcontext.gregs[i], old[i]);
    assert_memory_equal(uc->uc_mcontext.fpregs, host_fpu, host_fpu_size);
    uint32_t magic2;
    memcpy(&magic2, (const uint8_t *)uc->uc_mcontext.fpregs + host_fpu_size - 4, 4);
    assert_int_equal(magic2, FP_MAGIC2);
}

/* The host's kernel takes our frame for one of its own. */
static uint64_t saved_rsp, landed[16], landed_xmm[2];

__attribute__((noinline, no_sanitize("address", "undefined"))) static void host_sigreturn(uint64_t sp)
{
    __asm__ volatile("push %%rbx\n\tpush %%rbp\n\tpush %%r12\n\tpush %%r13\n\tpush %%r14\n\tpush %%r15\n\t"
                     "mov %%rsp, %[saved]\n\t"
                     "mov %[sp], %%rsp\n\t"
                     "mov $15, %%eax\n\tsyscall\n\tud2\n"
                     "test_signal_land:\n\t"
                     "mov %%rax, %[landed]\n\t"
                     "lea %[landed], %%rax\n\t"
                     "mov %%rbx, 8(%%rax)\n\tmov %%rcx, 16(%%rax)\n\tmov %%rdx, 24(%%rax)\n\t"
                     "mov %%rsi, 32(%%rax)\n\tmov %%rdi, 40(%%rax)\n\tmov %%rbp, 48(%%rax)\n\t"
                     "mov %%rsp, 56(%%rax)\n\tmov %%r8, 64(%%rax)\n\tmov %%r9, 72(%%rax)\n\t"
                     "mov %%r10, 80(%%rax)\n\tmov %%r11, 88(%%rax)\n\tmov %%r12, 96(%%rax)\n\t"
                     "mov %%r13, 104(%%rax)\n\tmov %%r14, 112(%%rax)\n\tmov %%r15, 120(%%rax)\n\t"
                     "lea %[xmm], %%rax\n\tmovq %%xmm6, (%%rax)\n\tmovq %%xmm13, 8(%%rax)\n\t"
                     "mov %[saved], %%rsp\n\t"
                     "pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\tpop %%rbp\n\tpop %%rbx\n\t"
                     : [saved] "+m"(saved_rsp), [landed] "+m"(landed), [xmm] "+m"(landed_xmm), [sp] "+D"(sp)
                     :
                     : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm6", "xmm13");
}

static void the_host_takes_our_frame(void **state)
{
    extern char test_signal_land[] __attribute__((visibility("hidden")));
    uint64_t old[T_NREGS], r[T_NREGS];
    fresh(old);
    old[T_RIP] = (uint64_t)test_signal_land;
    memcpy(r, old, sizeof(r));
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    uint32_t mxcsr_before, mxcsr_after;
    memcpy(&mxcsr_before, host_fpu + 24, 4);
    memset(landed, 0, sizeof(landed));
    host_sigreturn(r[T_RSP] + 8);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr_after));
    const int order[] = {T_RAX, T_RBX, T_RCX, T_RDX, T_RSI, T_RDI, T_RBP, T_RSP,
                         T_R8,  T_R9,  T_R10, T_R11, T_R12, T_R13, T_R14, T_R15};
    for (int i = 0; i < 16; i++)
        assert_int_equal(landed[i], old[order[i]]);
    uint64_t xmm6, xmm13;
    memcpy(&xmm6, host_fpu + 160 + 16 * 6, 8);
    memcpy(&xmm13, host_fpu + 160 + 16 * 13, 8);
    assert_int_equal(landed_xmm[0], xmm6);
    assert_int_equal(landed_xmm[1], xmm13);
    assert_int_equal(mxcsr_after, mxcsr_before);
}

static void we_take_the_hosts_frame(void **state)
{
    uint64_t r[T_NREGS];
    static uint8_t fpu[sizeof(host_fpu)] __attribute__((aligned(64)));
    fresh(r);
    ucontext_t *uc = (void *)(host_frame + 8);
    uc->uc_mcontext.fpregs = (void *)host_fpu;
    memcpy(fpu, host_fpu, host_fpu_size);
    memset(fpu + 32, 0x55, 400); /* what is to be replaced */
    frame_set_fpu(fpu, host_fpu_size);
    frame_sigreturn(r, (uint64_t)host_frame + 8);
    assert_int_equal(frame_pending(), 0);
    for (int i = 0; i < T_EFLAGS; i++)
        assert_int_equal(r[i], host_gregs[i]);
    assert_memory_equal(fpu, host_fpu, 464);
    assert_memory_equal(fpu + 512 + 64, host_fpu + 512 + 64, host_fpu_size - 4 - 576);
    assert_false(frame_fpu_was_reset());
}

static void our_frame_comes_back_to_us(void **state)
{
    uint64_t old[T_NREGS], r[T_NREGS];
    fresh(old);
    memcpy(r, old, sizeof(r));
    frame_set_mask(0x10000);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    frame_sigreturn(r, r[T_RSP] + 8);
    assert_memory_equal(r, old, sizeof(r));
    assert_int_equal(frame_mask(), 0x10000);
}

/* What a program writes into its frame cannot give it more than it had, nor the processor something it rejects. */
static void a_forged_frame_is_harmless(void **state)
{
    uint64_t old[T_NREGS], r[T_NREGS];
    static uint8_t fpu[sizeof(host_fpu)] __attribute__((aligned(64)));
    fresh(old);
    memcpy(r, old, sizeof(r));
    memcpy(fpu, host_fpu, host_fpu_size);
    frame_set_fpu(fpu, host_fpu_size);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    ucontext_t *uc = (void *)r[T_RDX];
    uint8_t *fp = (void *)uc->uc_mcontext.fpregs;
    uc->uc_mcontext.gregs[REG_EFL] = -1;
    memset(&uc->uc_sigmask, 0xff, 8);
    memset(fp + 512, 0xff, 64);    /* XSAVE header: every feature, compacted, reserved bits */
    memset(fp + 24, 0xff, 8);      /* MXCSR and its mask */
    memset(fp + 468 + 4, 0xff, 8); /* features in the software words */
    frame_sigreturn(r, r[T_RSP] + 8);
    assert_int_equal(r[T_EFLAGS], 0x202 | 0x50dd5);
    assert_int_equal(frame_mask() & (1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)), 0);
    uint64_t header[8], features;
    uint32_t mxcsr;
    memcpy(header, fpu + 512, sizeof(header));
    memcpy(&features, host_fpu + 472, 8);
    memcpy(&mxcsr, fpu + 24, 4);
    assert_int_equal(header[0] & ~features, 0);
    for (int i = 1; i < 8; i++)
        assert_int_equal(header[i], 0);
    assert_int_equal(mxcsr & ~0xffffu, 0);
    assert_memory_equal(fpu + 464, host_fpu + 464, 48); /* the machine's own words */
}

static void a_bad_way_back_is_sigsegv(void **state)
{
    uint64_t r[T_NREGS];
    fresh(r);
    frame_sigreturn(r, 4096); /* no such memory */
    assert_int_equal(frame_pending(), SIGSEGV);
    fresh(r);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    ((ucontext_t *)r[T_RDX])->uc_mcontext.gregs[REG_RIP] = 0x700000800000; /* the kernel */
    frame_sigreturn(r, r[T_RSP] + 8);
    assert_int_equal(frame_pending(), SIGSEGV);
    fresh(r);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    ((ucontext_t *)r[T_RDX])->uc_mcontext.gregs[REG_RIP] = (greg_t)(1ull << 47); /* not canonical */
    frame_sigreturn(r, r[T_RSP] + 8);
    assert_int_equal(frame_pending(), SIGSEGV);
    fresh(r);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    ((ucontext_t *)r[T_RDX])->uc_mcontext.fpregs = (void *)4096;
    frame_sigreturn(r, r[T_RSP] + 8);
    assert_int_equal(frame_pending(), SIGSEGV);
    fresh(r);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    ((ucontext_t *)r[T_RDX])->uc_mcontext.fpregs = NULL; /* allowed: initial state */
    frame_sigreturn(r, r[T_RSP] + 8);
    assert_int_equal(frame_pending(), 0);
    assert_true(frame_fpu_was_reset());
}

static void no_room_for_a_frame_ends_the_process(void **state)
{
    uint64_t r[T_NREGS];
    fresh(r);
    r[T_RSP] = 8192;
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER, 0x403000);
    assert_int_equal(frame_ended_by(), SIGSEGV);
    fresh(r);
    frame_deliver(r, SIGUSR2, 0x402000, 0, 0); /* no restorer: no way back */
    assert_int_equal(frame_ended_by(), SIGSEGV);
}

static void default_actions(void **state)
{
    uint64_t r[T_NREGS];
    for (int sig = 1; sig <= 64; sig++) {
        if (sig == SIGSTOP) /* would wait for SIGCONT */
            continue;
        fresh(r);
        frame_deliver(r, sig, 0 /* SIG_DFL */, 0, 0);
        bool ignored = sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
        /* Of a group that nobody could continue. */
        bool stop = sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
        assert_int_equal(frame_ended_by(), ignored || stop ? 0 : sig);
        fresh(r);
        if (sig == SIGKILL)
            continue;
        frame_deliver(r, sig, 1 /* SIG_IGN */, 0, 0);
        assert_int_equal(frame_ended_by(), 0);
        assert_int_equal(frame_pending(), 0);
    }
}

static void the_alternate_stack_is_used_and_guarded(void **state)
{
    uint64_t r[T_NREGS];
    fresh(r);
    frame_set_altstack((uint64_t)stack, 65536, 0);
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER | SA_ONSTACK, 0x403000);
    assert_in_range(r[T_RSP], (uint64_t)stack + 1, (uint64_t)stack + 65536);
    /* already on it: further down, not from the top again */
    uint64_t inner = r[T_RSP];
    frame_deliver(r, SIGHUP, 0x402000, USER_SA_RESTORER | SA_ONSTACK, 0x403000);
    assert_true(r[T_RSP] < inner - 128);
    /* too small for a frame */
    fresh(r);
    frame_set_altstack((uint64_t)stack + 4096, 2048, 0);
    r[T_RSP] = (uint64_t)stack + 4096 + 700;
    frame_deliver(r, SIGUSR2, 0x402000, USER_SA_RESTORER | SA_ONSTACK, 0x403000);
    assert_int_equal(frame_ended_by(), SIGSEGV);
}

#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

/* rip and rax that the interrupted program goes on with, once the handler is through. */
static void call_goes_on(int error, uint64_t flags, bool restarted)
{
    uint64_t r[T_NREGS];
    fresh(r);
    r[T_RAX] = (uint64_t)-error;
    frame_deliver_after_call(r, SIGUSR2, flags, 35);
    const ucontext_t *uc = (void *)r[T_RDX];
    assert_int_equal(uc->uc_mcontext.gregs[REG_RIP], restarted ? 0x401000 - 2 : 0x401000);
    assert_int_equal(uc->uc_mcontext.gregs[REG_RAX], restarted ? 35 : error < 512 ? -error : -EINTR);
}

static void interrupted_calls(void **state)
{
    uint64_t r[T_NREGS];
    call_goes_on(ERESTARTSYS, 0, false);
    call_goes_on(ERESTARTSYS, SA_RESTART, true);
    call_goes_on(ERESTARTNOINTR, 0, true);
    call_goes_on(ERESTARTNOHAND, SA_RESTART, false);
    call_goes_on(ERESTART_RESTARTBLOCK, SA_RESTART, false);
    call_goes_on(ENOENT, SA_RESTART, false);
    const int errors[] = {ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK};
    for (int i = 0; i < 4; i++) { /* without a handler all start over */
        fresh(r);
        r[T_RAX] = (uint64_t)-errors[i];
        frame_return_after_call(r, 35);
        assert_int_equal(r[T_RIP], 0x401000 - 2);
        assert_int_equal(r[T_RAX], errors[i] == ERESTART_RESTARTBLOCK ? SYS_restart_syscall : 35);
    }
    fresh(r);
    r[T_RAX] = (uint64_t)-EINTR;
    frame_return_after_call(r, 35);
    assert_int_equal(r[T_RIP], 0x401000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_libcs),
        cmocka_unit_test(a_handler_finds_its_frame),
        cmocka_unit_test(the_host_takes_our_frame),
        cmocka_unit_test(we_take_the_hosts_frame),
        cmocka_unit_test(our_frame_comes_back_to_us),
        cmocka_unit_test(a_forged_frame_is_harmless),
        cmocka_unit_test(a_bad_way_back_is_sigsegv),
        cmocka_unit_test(no_room_for_a_frame_ends_the_process),
        cmocka_unit_test(default_actions),
        cmocka_unit_test(the_alternate_stack_is_used_and_guarded),
        cmocka_unit_test(interrupted_calls),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
