/* SPDX-License-Identifier: MIT */
/* The kernel's side of test_signal.c: signal.c over an imagined user mode. */
#include <setjmp.h>

#include "fake_machine.h"
#include "mm/mm.h"
#include "proc/sigframe.h"
#include "proc/signal.h"
#include "proc/timer.h"
#include "signal_frame.h"
#include "sys/syscall.h"

SYSCALL(rt_sigreturn);

#define L(s, m)                          \
    {                                    \
#s "." #m, offsetof(struct s, m) \
    }
const struct layout kernel_layout[] = {
    L(ucontext, flags),      L(ucontext, link),      L(ucontext, stack),
    L(ucontext, mcontext),   L(ucontext, sigmask),   L(sigcontext, r8),
    L(sigcontext, r15),      L(sigcontext, rdi),     L(sigcontext, rbp),
    L(sigcontext, rdx),      L(sigcontext, rsp),     L(sigcontext, rip),
    L(sigcontext, eflags),   L(sigcontext, cs),      L(sigcontext, err),
    L(sigcontext, trapno),   L(sigcontext, oldmask), L(sigcontext, cr2),
    L(sigcontext, fpstate),  L(sigaltstack, sp),     L(sigaltstack, flags),
    L(sigaltstack, size),    L(siginfo, si_signo),   L(siginfo, si_errno),
    L(siginfo, si_code),     L(siginfo, chld.pid),   L(siginfo, chld.uid),
    L(siginfo, chld.status), L(siginfo, chld.utime), L(siginfo, chld.stime),
    L(siginfo, rt.value),    L(siginfo, timer.tid),  L(siginfo, timer.overrun),
    L(siginfo, timer.value), L(siginfo, fault.addr), L(siginfo, fault.addr_lsb),
    L(rt_sigframe, uc),      L(rt_sigframe, info),   {NULL, 0},
};

static void *fpu;
static size_t fpu_size;
static bool fpu_reset;
static int ended_by;
static jmp_buf ended;

void *machine_fpu(size_t *size)
{
    *size = fpu_size;
    return fpu;
}
void machine_reset_fpu(void) { fpu_reset = true; }
bool mm_fault(u64 addr, bool write) { return false; }
bool mm_fault_beyond_file(u64 addr) { return false; }
void posix_timer_delivered(struct posix_timer *pt, struct siginfo *info) {}
void process_end(struct process *p, int status)
{
    p->exiting = true;
    p->exit_status = status;
}
void task_exit(int status)
{
    ended_by = status;
    longjmp(ended, 1);
}

void frame_init(void) { fake_init(); }
void frame_set_fpu(void *image, size_t size)
{
    fpu = image;
    fpu_size = size;
    fpu_reset = false;
}
bool frame_fpu_was_reset(void) { return fpu_reset; }
void frame_set_mask(uint64_t mask) { current->blocked = mask; }
uint64_t frame_mask(void) { return current->blocked; }
void frame_set_altstack(uint64_t sp, uint64_t size, unsigned flags)
{
    current->altstack_sp = sp;
    current->altstack_size = size;
    current->altstack_flags = flags;
}

static void regs_in(struct pt_regs *r, const uint64_t *g)
{
    *r = (struct pt_regs){.r8 = g[T_R8],
                          .r9 = g[T_R9],
                          .r10 = g[T_R10],
                          .r11 = g[T_R11],
                          .r12 = g[T_R12],
                          .r13 = g[T_R13],
                          .r14 = g[T_R14],
                          .r15 = g[T_R15],
                          .rdi = g[T_RDI],
                          .rsi = g[T_RSI],
                          .rbp = g[T_RBP],
                          .rbx = g[T_RBX],
                          .rdx = g[T_RDX],
                          .rax = g[T_RAX],
                          .rcx = g[T_RCX],
                          .rsp = g[T_RSP],
                          .rip = g[T_RIP],
                          .eflags = g[T_EFLAGS],
                          .cs = 0x33,
                          .ss = 0x2b,
                          .orig_rax = (u64)-1};
}
static void regs_out(const struct pt_regs *r, uint64_t *g)
{
    const uint64_t v[] = {r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rdi,
                          r->rsi, r->rbp, r->rbx, r->rdx, r->rax, r->rcx, r->rsp, r->rip, r->eflags};
    memcpy(g, v, sizeof(v));
}

static void go_back(struct pt_regs *r, uint64_t *g)
{
    if (!setjmp(ended))
        user_return(r);
    regs_out(r, g);
}

void frame_deliver(uint64_t *g, int sig, uint64_t handler, uint64_t flags, uint64_t restorer)
{
    struct siginfo info = {.si_signo = sig, .si_code = SI_QUEUE};
    struct pt_regs r;
    info.rt.value = 0x1234567890;
    current->process->sigaction[sig - 1] =
        (struct k_sigaction){.handler = handler, .flags = flags, .restorer = restorer};
    signal_send_task(current, sig, &info);
    regs_in(&r, g);
    go_back(&r, g);
}

void frame_deliver_after_call(uint64_t *g, int sig, uint64_t flags, long nr)
{
    struct pt_regs r;
    current->process->sigaction[sig - 1] = (struct k_sigaction){.handler = 0x4000, .flags = flags | SA_RESTORER};
    signal_send_task(current, sig, NULL);
    regs_in(&r, g);
    r.orig_rax = (u64)nr;
    go_back(&r, g);
}

void frame_return_after_call(uint64_t *g, long nr)
{
    struct pt_regs r;
    regs_in(&r, g);
    r.orig_rax = (u64)nr;
    go_back(&r, g);
    user_return(&r); /* a second look must change nothing */
    uint64_t again[T_NREGS];
    regs_out(&r, again);
    if (memcmp(again, g, sizeof(again)))
        panic("a second user_return changed the registers");
}

void frame_sigreturn(uint64_t *g, uint64_t sp)
{
    struct pt_regs r;
    regs_in(&r, g);
    r.rsp = sp;
    current->regs = &r;
    r.rax = (u64)sys_rt_sigreturn(0, 0, 0, 0, 0, 0);
    regs_out(&r, g);
}

int frame_ended_by(void)
{
    int e = ended_by;
    ended_by = 0;
    current->process->exiting = false;
    return e;
}
int frame_pending(void) { return __builtin_ffsll((long long)current->pending.set); }
void frame_forget(void)
{
    signal_flush(&current->pending, ~0ull);
    current->blocked = 0;
    frame_set_altstack(0, 0, 2);
    memset(current->process->sigaction, 0, sizeof(current->process->sigaction));
}
