/* SPDX-License-Identifier: MIT */
/*
 * The host's signals are this machine's traps: SIGSYS a system call of the program, SIGSEGV and its kin faults, a
 * real-time signal a kick, the rest what the caller's terminal or the monitor sends. All run on the thread's kernel
 * stack; the outermost frame there holds the registers of user mode.
 */
#include "direct.h"
#include "image.h"
#include "process.h"

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGBUS 7
#define SIGFPE 8
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define SIGWINCH 28
#define SIGSYS 31

#define AUDIT_ARCH_I386 0x40000003u
#define PF_WRITE 2u
#define SEGV_MAPERR 1
#define TRAP_GP 13
#define GP_INT80 (0x80u << 3 | 2u) /* the error code: entry 0x80 of the IDT */

_Static_assert(offsetof(struct host_ucontext, rip) == 168, "entry.S knows this offset");
_Static_assert(THAW_USER_END == 0x700000000000ull, "entry.S knows this address");
_Static_assert(KSTACK_SIZE == 0x10000, "entry.S knows this size");

struct uaccess_entry {
    u64 from, to, fixup;
};
extern const struct uaccess_entry uaccess_table[], uaccess_table_end[];

/* Signals from outside that no thread has taken up yet; bit n-1 for signal n. Set by handlers, without the lock. */
static u64 outside_signals;

void regs_load(struct pt_regs *r, const struct host_ucontext *uc)
{
    r->r15 = uc->r15, r->r14 = uc->r14, r->r13 = uc->r13, r->r12 = uc->r12;
    r->rbp = uc->rbp, r->rbx = uc->rbx, r->r11 = uc->r11, r->r10 = uc->r10;
    r->r9 = uc->r9, r->r8 = uc->r8, r->rax = uc->rax, r->rcx = uc->rcx;
    r->rdx = uc->rdx, r->rsi = uc->rsi, r->rdi = uc->rdi;
    r->rip = uc->rip, r->cs = uc->cs, r->eflags = uc->eflags, r->rsp = uc->rsp, r->ss = uc->ss;
    r->orig_rax = (u64)-1;
}

void regs_store(const struct pt_regs *r, struct host_ucontext *uc)
{
    uc->r15 = r->r15, uc->r14 = r->r14, uc->r13 = r->r13, uc->r12 = r->r12;
    uc->rbp = r->rbp, uc->rbx = r->rbx, uc->r11 = r->r11, uc->r10 = r->r10;
    uc->r9 = r->r9, uc->r8 = r->r8, uc->rax = r->rax, uc->rcx = r->rcx;
    uc->rdx = r->rdx, uc->rsi = r->rsi, uc->rdi = r->rdi;
    uc->rip = r->rip, uc->eflags = r->eflags, uc->rsp = r->rsp;
}

void trap_drain(void)
{
    clock_check();
    if (!__atomic_load_n(&outside_signals, __ATOMIC_SEQ_CST))
        return;
    u64 set = __atomic_exchange_n(&outside_signals, 0, __ATOMIC_SEQ_CST);
    while (set) {
        int sig = __builtin_ctzll(set) + 1;
        set &= set - 1;
        if (sig == SIGALRM)
            timer_expired();
        else
            console_signal(sig);
    }
}

/* Way back to user mode: until nothing more is to be done there. */
static void trap_return(struct thread_info *ti, struct pt_regs *regs)
{
    do {
        __atomic_store_n(&ti->kicked, 0, __ATOMIC_SEQ_CST);
        trap_drain();
        user_return(regs);
    } while (__atomic_load_n(&ti->kicked, __ATOMIC_SEQ_CST));
}

/* True: user mode was about to come in again with a direct call that is over. */
static bool trap_enter(struct thread_info *ti, struct pt_regs *regs, struct host_ucontext *uc)
{
    kernel_lock();
    ti->uc = uc;
    ti->regs = regs;
    regs_load(regs, uc);
    return direct_resume(ti, regs);
}

static void trap_leave(struct thread_info *ti, struct pt_regs *regs, struct host_ucontext *uc)
{
    trap_return(ti, regs);
    regs_store(regs, uc);
    kernel_unlock();
}

/* From signal_restorer: a kick came on the way out. */
void trap_kicked(struct host_ucontext *uc);
void trap_kicked(struct host_ucontext *uc)
{
    struct thread_info *ti = thread_info();
    struct pt_regs regs;
    trap_enter(ti, &regs, uc);
    trap_leave(ti, &regs, uc);
}

static void trap_sigsys(int sig, struct host_siginfo *si, struct host_ucontext *uc)
{
    struct thread_info *ti = thread_info();
    struct pt_regs regs;

    if (in_kernel_text(uc->rip))
        panic("the host refused the kernel's system call %d", si->sys.syscall);
    if (trap_enter(ti, &regs, uc)) {
        trap_leave(ti, &regs, uc);
        return;
    }
    regs.orig_rax = regs.rax;
    if (uc->rip >= boot->vdso.start && uc->rip < boot->vdso.end) {
        /* The host's vDSO cannot read this clock by itself. Its caller, our vDSO, corrects the value. */
        struct host_timespec ts;
        s64 ret =
            regs.rax == HOST_clock_gettime ? host_syscall(HOST_clock_gettime, regs.rdi, (u64)&ts, 0, 0, 0, 0) : -ENOSYS;
        if (!ret)
            ret = copy_to_user((void *)regs.rsi, &ts, sizeof(ts));
        regs.rax = (u64)ret;
    } else if (si->sys.arch == AUDIT_ARCH_I386)
        int80_dispatch(&regs);
    else {
        direct_count(regs.rip, regs.rax);
        syscall_dispatch(&regs);
    }
    trap_leave(ti, &regs, uc);
}

static void trap_backtrace(char *buf, size_t size, const struct host_ucontext *uc)
{
    size_t n = 0;
    u64 rsp = uc->rsp & ~7ull, top = (rsp & ~(KSTACK_SIZE - 1)) + KSTACK_SIZE;

    buf[0] = 0;
    for (; rsp < top && n + 12 < size && rsp > THAW_USER_END; rsp += 8) {
        u64 v = *(const u64 *)rsp;
        if (v >= (u64)kernel_start && v < (u64)kernel_text_end)
            n += (size_t)snprintf(buf + n, size - n, " %x", (u32)(v - THAW_KERNEL_ADDR));
    }
}

static void trap_kernel_fault(int sig, struct host_siginfo *si, struct host_ucontext *uc)
{
    u64 addr = si->fault.addr;
    char trace[160];

    if (sig == SIGSEGV && is_user_range(addr, 1) &&
        (memory_fault(addr) || kernel_fault_fixable(addr, uc->err & PF_WRITE)))
        return;
    for (const struct uaccess_entry *e = uaccess_table; e < uaccess_table_end; e++)
        if (uc->rip >= e->from && uc->rip < e->to) {
            uc->rip = e->fixup;
            return;
        }
    if (sig == SIGBUS && addr - memory_image() < page_align(boot->image_size))
        panic("the image is shorter than it was (read at %#lx): build it anew", (unsigned long)(addr - memory_image()));
    trap_backtrace(trace, sizeof(trace), uc);
    panic("signal %d in the kernel at %#lx, address %#lx, trace%s", sig, (unsigned long)uc->rip, (unsigned long)addr,
          trace);
}

/* What a restore has left for when it is needed. */
static bool trap_deferred(int sig, const struct host_siginfo *si)
{
    if (sig != SIGSEGV || si->code != SEGV_MAPERR || !boot->deferred)
        return false;
    kernel_lock();
    bool mapped = memory_fault(si->fault.addr);
    kernel_unlock();
    return mapped;
}

static void trap_fault(int sig, struct host_siginfo *si, struct host_ucontext *uc)
{
    struct thread_info *ti = thread_info();
    struct pt_regs regs;

    if (in_kernel_text(uc->rip)) {
        trap_kernel_fault(sig, si, uc);
        return;
    }
    if (trap_deferred(sig, si))
        return;
    if (trap_enter(ti, &regs, uc)) {
        trap_leave(ti, &regs, uc);
        return;
    }
    if (sig == SIGSEGV && uc->trapno == TRAP_GP && uc->err == GP_INT80) {
        /* A host kernel without the i386 gate: the instruction faults instead of being a system call. */
        regs.rip += 2;
        regs.orig_rax = regs.rax;
        int80_dispatch(&regs);
        trap_leave(ti, &regs, uc);
        return;
    }
    boot->stats.faults++;
    /* si_code above 0 is the host kernel's own word; anything else was sent by somebody, and nobody can. */
    user_fault(&regs, sig, si->code, si->fault.addr, uc->trapno == 14 && (uc->err & PF_WRITE), (int)uc->trapno,
               uc->err);
    trap_leave(ti, &regs, uc);
}

/*
 * Kicks, the timer, and signals from outside; while it runs all of them are blocked. In the kernel it only notes them:
 * however fast they come, one frame of theirs is on the stack.
 */
static void trap_async(int sig, struct host_siginfo *si, struct host_ucontext *uc)
{
    struct thread_info *ti = thread_info();
    struct pt_regs regs;

    /* A terminal signals every host process; one of them tells the guest. */
    if (sig != HOST_SIG_KICK && sig != SIGALRM && ti->space != &first_space)
        return;
    if (sig != HOST_SIG_KICK)
        __atomic_fetch_or(&outside_signals, sigmask(sig), __ATOMIC_SEQ_CST);
    if (uc->rip == (u64)direct_exit_jump)
        uc->rip = uc->rcx;
    if (!in_kernel_text(uc->rip)) {
        /* From here on this is as any entry from user mode: it may sleep, and be kicked. */
        signals_block(0);
        trap_enter(ti, &regs, uc);
        trap_leave(ti, &regs, uc);
        return;
    }
    __atomic_store_n(&ti->kicked, 1, __ATOMIC_SEQ_CST);
    if (uc->rip >= (u64)host_intr_start && uc->rip < (u64)host_intr_end)
        uc->rip = (u64)host_intr_eintr;
    else if (uc->rip >= (u64)signal_restorer && uc->rip < (u64)signal_restorer_end)
        uc->rip = (u64)signal_restorer;
    else if (uc->rip >= (u64)direct_exit && uc->rip < (u64)direct_exit_jump)
        uc->rip = (u64)direct_exit;
}

void trap_signal(int sig, void *handler, u64 mask)
{
    struct host_sigaction sa = {
        .handler = (u64)handler,
        .flags = HOST_SA_SIGINFO | HOST_SA_RESTORER | HOST_SA_ONSTACK | HOST_SA_NODEFER,
        .restorer = (u64)signal_restorer,
        .mask = mask,
    };
    s64 err = host_syscall(HOST_rt_sigaction, (u64)sig, (u64)&sa, 0, 8, 0, 0);
    if (err)
        panic("rt_sigaction(%d): error %ld", sig, (long)-err);
}

/* From process_begin. What the maker has prepared is in the frame. */
void thread_begin(struct host_ucontext *uc);
void thread_begin(struct host_ucontext *uc)
{
    struct thread_info *ti = thread_info();
    struct pt_regs regs;

    machine_set_fsbase(ti->tls);
    trap_enter(ti, &regs, uc);
    task_begin(&regs);
    trap_leave(ti, &regs, uc);
}

void trap_init(void)
{
    static const u8 faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static const u8 async[] = {HOST_SIG_KICK, SIGALRM, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGUSR1, SIGUSR2};
    u64 mask = 0;

    trap_signal(SIGSYS, trap_sigsys, 0);
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
        trap_signal(faults[i], trap_fault, 0);
    for (size_t i = 0; i < ARRAY_SIZE(async); i++)
        mask |= sigmask(async[i]);
    for (size_t i = 0; i < ARRAY_SIZE(async); i++)
        trap_signal(async[i], trap_async, mask);
    trap_signal(SIGPIPE, (void *)1 /* SIG_IGN: EPIPE tells us */, 0);
    trap_signal(SIGCHLD, (void *)1 /* SIG_IGN: no host process is waited for */, 0);
    trap_signal(HOST_SIG_PARK, park_handler, ~0ull);
}
