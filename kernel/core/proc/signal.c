/* SPDX-License-Identifier: MIT */
/* Signals: sending, queues, delivery to handlers, default actions. signal(7), sigaction(2); calls in sigcalls.c. */
#include "signal.h"

#include "mm.h"
#include "sigframe.h"
#include "syscall.h"
#include "task_impl.h"
#include "timer.h"

#define RED_ZONE 128u
#define HOST_USER_END (1ull << 47)

#define SIG_UNBLOCKABLE (sigmask(SIGKILL) | sigmask(SIGSTOP))
#define SIG_STOP_SET (sigmask(SIGSTOP) | sigmask(SIGTSTP) | sigmask(SIGTTIN) | sigmask(SIGTTOU))
#define SIG_IGNORE_SET (sigmask(SIGCHLD) | sigmask(SIGCONT) | sigmask(SIGURG) | sigmask(SIGWINCH))
#define SIG_SYNCHRONOUS_SET \
    (sigmask(SIGSEGV) | sigmask(SIGBUS) | sigmask(SIGILL) | sigmask(SIGTRAP) | sigmask(SIGFPE) | sigmask(SIGSYS))

/* Flags that a handler's frame may bring back: AC OF DF TF SF ZF AF PF CF RF. */
#define EFLAGS_USER 0x50dd5ull
#define EFLAGS_CF 0x1ull
#define EFLAGS_TF 0x100ull
#define EFLAGS_DF 0x400ull
#define EFLAGS_RF 0x10000ull

#define NR_restart_syscall 219
#define SYSCALL_INSN_SIZE 2 /* syscall and int $0x80 alike */

void signal_init_task(struct task *t) { list_init(&t->pending.queue); }

/* A signal for the process goes to the thread that was told of it, as in Linux, not to the one that looks first: a
 * reader that it is to interrupt would sleep on. */
static sigset_t signals_waiting(struct task *t)
{
    return (t->pending.set | (t->takes_shared ? t->process->pending.set : 0)) & ~t->blocked;
}

bool signal_pending(struct task *t)
{
    return t->process->exiting || t->killed || t->process->stopped || signals_waiting(t);
}

/* ---- queues ---- */

static void sigqueue_free(struct sigqueue *q)
{
    list_del(&q->list);
    q->pending = NULL;
    if (!q->process) /* a timer's own */
        return;
    q->process->nr_sigqueue--;
    kfree(q);
}

static struct sigqueue *sigqueue_find(struct sigpending *pending, int sig)
{
    struct sigqueue *q;
    list_for_each_entry (q, &pending->queue, list)
        if (q->info.si_signo == sig)
            return q;
    return NULL;
}

void signal_flush(struct sigpending *pending, sigset_t set)
{
    struct sigqueue *q, *next;

    if (!(pending->set & set))
        return;
    pending->set &= ~set;
    list_for_each_entry_safe (q, next, &pending->queue, list)
        if (sigmask(q->info.si_signo) & set)
            sigqueue_free(q);
}

static void process_flush(struct process *p, sigset_t set)
{
    struct task *t;
    signal_flush(&p->pending, set);
    list_for_each_entry (t, &p->threads, sibling)
        signal_flush(&t->pending, set);
}

/* Takes one instance of the first signal of set off pending; 0: none. */
static int signal_take(struct sigpending *pending, sigset_t set, struct siginfo *info)
{
    set &= pending->set;
    if (!set)
        return 0;
    if (set & SIG_SYNCHRONOUS_SET) /* a handler for a fault runs before those of other signals */
        set &= SIG_SYNCHRONOUS_SET;
    int sig = __builtin_ctzll(set) + 1;
    struct sigqueue *q = sigqueue_find(pending, sig);

    if (q) {
        struct posix_timer *timer = q->timer;
        *info = q->info;
        sigqueue_free(q);
        if (timer)
            posix_timer_delivered(timer, info);
    } else {
        *info = (struct siginfo){.si_signo = sig, .si_code = SI_USER};
    }
    if (!sigqueue_find(pending, sig))
        pending->set &= ~sigmask(sig);
    return sig;
}

int signal_dequeue(struct task *t, sigset_t set, struct siginfo *info)
{
    int sig = signal_take(&t->pending, set, info);
    return sig ? sig : signal_take(&t->process->pending, set, info);
}

/* ---- sending ---- */

static bool signal_blocked(struct task *t, int sig) { return (t->blocked | t->sigwait) & sigmask(sig); }

/* Nothing would come of it. A blocked signal is kept: the action may change before it is unblocked. */
static bool signal_ignored(struct process *p, struct task *t, int sig)
{
    u64 handler = p->sigaction[sig - 1].handler;
    struct task *other;

    if (handler != SIG_IGN && !(handler == SIG_DFL && (sigmask(sig) & SIG_IGNORE_SET)))
        return false;
    if (t)
        return !signal_blocked(t, sig);
    list_for_each_entry (other, &p->threads, sibling) {
        if (other->sigwait & sigmask(sig))
            return false;
        if (other->tid == p->pid && signal_blocked(other, sig))
            return false;
    }
    return true;
}

/* ---- stopping ---- */

/* No member of the group has a parent in the same session that could continue it: terminal stops are not for it. */
static bool group_is_orphaned(pid_t pgid, pid_t sid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all) {
        const struct process *parent = p->pgid == pgid && !p->zombie ? process_by_pid(p->ppid) : NULL;
        if (parent && parent->sid == sid && parent->pgid != pgid)
            return false;
    }
    return true;
}

static void process_stop(struct process *p, int sig)
{
    struct task *t;

    if (p->stopped)
        return;
    p->stopped = true;
    p->stop_signal = sig;
    p->continued = false;
    list_for_each_entry (t, &p->threads, sibling)
        if (t != current)
            machine_kick(t);
    process_notify_parent(p, 5 /* CLD_STOPPED */, sig);
}

static void process_continue(struct process *p)
{
    struct task *t;

    if (!p->stopped)
        return;
    p->stopped = false;
    p->stop_signal = 0;
    p->continued = true;
    list_for_each_entry (t, &p->threads, sibling)
        machine_wake(t);
    process_notify_parent(p, 6 /* CLD_CONTINUED */, SIGCONT);
}

static void task_wait_stopped(struct task *t)
{
    const struct process *p = t->process;
    for (;;) {
        machine_block_prepare();
        if (!p->stopped || p->exiting || t->killed)
            return;
        machine_block(0);
    }
}

void signal_group_orphaned(pid_t pgid, pid_t sid)
{
    struct process *p, *next;
    bool stopped = false;

    list_for_each_entry (p, &process_list, all)
        stopped |= p->pgid == pgid && p->sid == sid && p->stopped;
    if (!stopped || !group_is_orphaned(pgid, sid))
        return;
    list_for_each_entry_safe (p, next, &process_list, all)
        if (p->pgid == pgid && p->sid == sid) {
            signal_send_process(p, SIGHUP, NULL);
            signal_send_process(p, SIGCONT, NULL);
        }
}

/* What sending does even if the signal is ignored or blocked. False: it goes no further. */
static bool signal_prepare(struct process *p, int sig)
{
    if (p->exiting || p->zombie)
        return false;
    if (sig == SIGKILL) {
        process_end(p, SIGKILL);
        return false;
    }
    if (sigmask(sig) & SIG_STOP_SET)
        process_flush(p, sigmask(SIGCONT));
    else if (sig == SIGCONT) {
        process_flush(p, SIG_STOP_SET);
        process_continue(p);
    }
    return true;
}

static bool signal_wanted(struct task *t, int sig)
{
    return !t->killed && (!(t->blocked & sigmask(sig)) || (t->sigwait & sigmask(sig)));
}

/* A signal waits for the process: one thread that takes it is told, the first thread if it can be. */
static void signal_complete(struct process *p, int sig)
{
    struct task *t, *found = NULL;
    list_for_each_entry (t, &p->threads, sibling) {
        if (!signal_wanted(t, sig))
            continue;
        if (!found || t->tid == p->pid)
            found = t;
    }
    if (found) {
        found->takes_shared = true;
        machine_kick(found);
    }
}

void signal_retarget(struct process *p, struct task *leaving)
{
    sigset_t set = p->pending.set;
    while (set) {
        int sig = __builtin_ctzll(set) + 1;
        struct task *t;
        set &= set - 1;
        list_for_each_entry (t, &p->threads, sibling)
            if (t != leaving && signal_wanted(t, sig)) {
                t->takes_shared = true;
                machine_kick(t);
                break;
            }
    }
}

struct wait_queue signalfd_wait = {LIST_HEAD_INIT(signalfd_wait.head)};

static int signal_queue(struct process *p, struct sigpending *pending, int sig, const struct siginfo *info)
{
    struct sigqueue *q = NULL;

    if (sig < SIGRTMIN && (pending->set & sigmask(sig)))
        return 0;
    if (p->nr_sigqueue < p->rlimit[RLIMIT_SIGPENDING].cur || sig < SIGRTMIN)
        q = kmalloc(sizeof(*q));
    if (q) {
        q->process = p;
        q->pending = pending;
        if (info)
            q->info = *info;
        else
            q->info.si_code = SI_KERNEL;
        q->info.si_signo = sig;
        p->nr_sigqueue++;
        list_add_tail(&q->list, &pending->queue);
    } else if (sig >= SIGRTMIN && info && info->si_code != SI_USER) {
        return -EAGAIN; /* sigqueue(3) must not lose the value */
    }
    pending->set |= sigmask(sig);
    wake_up(&signalfd_wait);
    return 0;
}

int signal_send_task(struct task *t, int sig, const struct siginfo *info)
{
    struct process *p = t->process;
    if (!signal_prepare(p, sig) || signal_ignored(p, t, sig))
        return 0;
    int err = signal_queue(p, &t->pending, sig, info);
    if (!err && signal_wanted(t, sig))
        machine_kick(t);
    return err;
}

int signal_send_process(struct process *p, int sig, const struct siginfo *info)
{
    if (!signal_prepare(p, sig) || signal_ignored(p, NULL, sig))
        return 0;
    int err = signal_queue(p, &p->pending, sig, info);
    if (!err)
        signal_complete(p, sig);
    return err;
}

bool signal_send_timer(struct process *p, struct task *t, struct sigqueue *q)
{
    int sig = q->info.si_signo;

    if (!signal_prepare(p, sig))
        return true;
    if (signal_ignored(p, t, sig))
        return false;
    struct sigpending *pending = t ? &t->pending : &p->pending;
    q->process = NULL;
    q->pending = pending;
    list_add_tail(&q->list, &pending->queue);
    pending->set |= sigmask(sig);
    wake_up(&signalfd_wait);
    if (!t)
        signal_complete(p, sig);
    else if (signal_wanted(t, sig))
        machine_kick(t);
    return true;
}

void signal_cancel_timer(struct sigqueue *q)
{
    struct sigpending *pending = q->pending;
    if (!pending)
        return;
    list_del(&q->list);
    q->pending = NULL;
    if (!sigqueue_find(pending, q->info.si_signo))
        pending->set &= ~sigmask(q->info.si_signo);
}

void signal_force(struct task *t, int sig, const struct siginfo *info)
{
    struct process *p = t->process;
    struct k_sigaction *ka = &p->sigaction[sig - 1];

    if ((t->blocked & sigmask(sig)) || ka->handler == SIG_IGN) {
        ka->handler = SIG_DFL;
        t->blocked &= ~sigmask(sig);
    }
    if (p->exiting)
        return;
    signal_flush(&t->pending, sigmask(sig)); /* an older one must not stand in for this */
    signal_queue(p, &t->pending, sig, info);
}

/* The program cannot go on: no stack for a handler, no way back from one. */
static void signal_force_segv(struct task *t, int sig)
{
    struct siginfo info = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
    if (sig == SIGSEGV)
        t->process->sigaction[SIGSEGV - 1].handler = SIG_DFL;
    signal_force(t, SIGSEGV, &info);
}

void signal_clear_handlers(struct process *p)
{
    for (int i = 0; i < NSIG; i++) {
        struct k_sigaction *ka = &p->sigaction[i];
        *ka = (struct k_sigaction){.handler = ka->handler == SIG_IGN ? SIG_IGN : SIG_DFL};
    }
}

void signal_exec(struct task *t)
{
    signal_clear_handlers(t->process);
    t->altstack_sp = t->altstack_size = 0;
    t->altstack_flags = 0;
    t->restore_blocked = false;
}

void console_signal(int sig)
{
    struct siginfo info = {.si_signo = sig, .si_code = SI_KERNEL};
    struct process *first = process_by_pid(2), *p;

    /* The first process's group is the foreground; without it, everybody is. */
    list_for_each_entry (p, &process_list, all)
        if (!first || p->pgid == first->pgid)
            signal_send_process(p, sig, &info);
}

/* ---- masks ---- */

void signal_set_blocked(struct task *t, sigset_t set)
{
    set &= ~SIG_UNBLOCKABLE;
    bool more = set & ~t->blocked & t->process->pending.set;
    t->blocked = set;
    if (t->process->pending.set & ~set)
        t->takes_shared = true;
    if (more)
        signal_retarget(t->process, t);
}

int sigmask_set_user(u64 uset, u64 size)
{
    struct task *t = current;
    sigset_t set;

    if (!uset)
        return 0;
    if (size != sizeof(set))
        return -EINVAL;
    if (copy_from_user(&set, (const void __user *)uset, sizeof(set)))
        return -EFAULT;
    t->saved_blocked = t->blocked;
    t->restore_blocked = true;
    signal_set_blocked(t, set);
    return 0;
}

void sigmask_restore(void)
{
    struct task *t = current;
    if (!t->restore_blocked)
        return;
    t->restore_blocked = false;
    signal_set_blocked(t, t->saved_blocked);
}

/* ---- the alternate stack ---- */

#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define SS_AUTODISARM 0x80000000u
#define MINSIGSTKSZ 2048u

static bool on_altstack(struct task *t, u64 sp)
{
    if (t->altstack_flags & SS_AUTODISARM)
        return false;
    return sp > t->altstack_sp && sp - t->altstack_sp <= t->altstack_size;
}

static u32 altstack_state(struct task *t, u64 sp)
{
    if (!t->altstack_size)
        return SS_DISABLE;
    return on_altstack(t, sp) ? SS_ONSTACK : 0;
}

static struct sigaltstack altstack_get(struct task *t, u64 sp)
{
    return (struct sigaltstack){.sp = t->altstack_sp,
                                .size = t->altstack_size,
                                .flags = altstack_state(t, sp) | (t->altstack_flags & SS_AUTODISARM)};
}

static int altstack_set(struct task *t, const struct sigaltstack *ss, u64 sp)
{
    u32 mode = ss->flags & ~SS_AUTODISARM;

    if (on_altstack(t, sp))
        return -EPERM;
    if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        t->altstack_sp = t->altstack_size = 0;
    } else {
        if (ss->size < MINSIGSTKSZ)
            return -ENOMEM;
        t->altstack_sp = ss->sp;
        t->altstack_size = ss->size;
    }
    t->altstack_flags = ss->flags;
    return 0;
}

SYSCALL(sigaltstack)
{
    struct task *t = current;
    struct sigaltstack old = altstack_get(t, t->regs->rsp), ss;

    if (a0) {
        if (copy_from_user(&ss, (const void __user *)a0, sizeof(ss)))
            return -EFAULT;
        int err = altstack_set(t, &ss, t->regs->rsp);
        if (err)
            return err;
    }
    if (a1 && copy_to_user((void __user *)a1, &old, sizeof(old)))
        return -EFAULT;
    return 0;
}

/* ---- the FPU's state in a frame ---- */

/* What of the machine's FPU image goes into a frame: its size without magic2, and the words that describe it. */
static u32 fpu_describe(const u8 *fpu, size_t size, struct fpx_sw_bytes *sw)
{
    if (size < FXSAVE_SIZE + XSAVE_HEADER_SIZE) {
        *sw = (struct fpx_sw_bytes){0};
        return FXSAVE_SIZE;
    }
    memcpy(sw, fpu + FPX_SW_OFFSET, sizeof(*sw));
    if (sw->magic1 != FP_XSTATE_MAGIC1 || sw->xstate_size < FXSAVE_SIZE + XSAVE_HEADER_SIZE || sw->xstate_size > size) {
        /* The machine keeps the plain image: describe it ourselves, with all that is in it. */
        u64 features;
        memcpy(&features, fpu + FXSAVE_SIZE, sizeof(features));
        *sw = (struct fpx_sw_bytes){.magic1 = FP_XSTATE_MAGIC1, .xfeatures = features | 3, .xstate_size = (u32)size};
    }
    sw->extended_size = sw->xstate_size + (u32)sizeof(u32);
    return sw->xstate_size;
}

/* Room for the FPU's state below sp, 64-byte aligned; *fpstate 0 without an FPU. The new sp. */
static u64 fpu_reserve(u64 sp, u64 *fpstate)
{
    struct fpx_sw_bytes sw;
    size_t size;
    const u8 *fpu = machine_fpu(&size);

    *fpstate = 0;
    if (!fpu || size < FXSAVE_SIZE)
        return sp;
    sp = round_down(sp - fpu_describe(fpu, size, &sw) - sizeof(u32), 64);
    *fpstate = sp;
    return sp;
}

static int fpu_save(u64 fpstate, bool *xstate)
{
    struct fpx_sw_bytes sw;
    u32 magic2 = FP_XSTATE_MAGIC2;
    size_t size;
    const u8 *fpu = machine_fpu(&size);
    u32 n = fpu_describe(fpu, size, &sw);

    *xstate = sw.magic1 == FP_XSTATE_MAGIC1;
    if (copy_to_user((void __user *)fpstate, fpu, FPX_SW_OFFSET) ||
        copy_to_user((void __user *)(fpstate + FPX_SW_OFFSET), &sw, sizeof(sw)) ||
        copy_to_user((void __user *)(fpstate + FXSAVE_SIZE), fpu + FXSAVE_SIZE, n - FXSAVE_SIZE))
        return -EFAULT;
    if (*xstate && copy_to_user((void __user *)(fpstate + n), &magic2, sizeof(magic2)))
        return -EFAULT;
    return 0;
}

/* The user's image becomes the machine's. Whatever it says, the processor must be able to load it. */
static int fpu_restore(u64 fpstate)
{
    struct fpx_sw_bytes sw, user_sw;
    size_t size;
    u8 *fpu = machine_fpu(&size);
    u64 features = 3; /* x87 and SSE */
    u32 mxcsr, mxcsr_mask, magic2 = 0;

    if (!fpu || size < FXSAVE_SIZE)
        return 0;
    u32 n = fpu_describe(fpu, size, &sw);
    memcpy(&mxcsr_mask, fpu + 28, sizeof(mxcsr_mask));
    if (copy_from_user(&user_sw, (const void __user *)(fpstate + FPX_SW_OFFSET), sizeof(user_sw)))
        return -EFAULT;
    bool extended = n > FXSAVE_SIZE && user_sw.magic1 == FP_XSTATE_MAGIC1 && user_sw.xstate_size == n &&
                    !copy_from_user(&magic2, (const void __user *)(fpstate + n), sizeof(magic2)) &&
                    magic2 == FP_XSTATE_MAGIC2;
    /* Bytes 464 to 511 stay the machine's. */
    if (copy_from_user(fpu, (const void __user *)fpstate, FPX_SW_OFFSET) ||
        (extended &&
         copy_from_user(fpu + FXSAVE_SIZE, (const void __user *)(fpstate + FXSAVE_SIZE), n - FXSAVE_SIZE))) {
        machine_reset_fpu();
        return -EFAULT;
    }
    if (extended) {
        memcpy(&features, fpu + FXSAVE_SIZE, sizeof(features));
        features &= user_sw.xfeatures & sw.xfeatures;
    }
    if (n > FXSAVE_SIZE) {
        memset(fpu + FXSAVE_SIZE, 0, XSAVE_HEADER_SIZE); /* standard form, nothing reserved set */
        memcpy(fpu + FXSAVE_SIZE, &features, sizeof(features));
    }
    if (!mxcsr_mask)
        mxcsr_mask = 0xffbf;
    memcpy(fpu + 28, &mxcsr_mask, sizeof(mxcsr_mask));
    memcpy(&mxcsr, fpu + 24, sizeof(mxcsr));
    mxcsr &= mxcsr_mask & 0xffff;
    memcpy(fpu + 24, &mxcsr, sizeof(mxcsr));
    return 0;
}

/* ---- frames ---- */

static void sigcontext_save(struct sigcontext *sc, const struct pt_regs *r, struct task *t, sigset_t mask)
{
    *sc = (struct sigcontext){
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rdi = r->rdi,
        .rsi = r->rsi,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .rdx = r->rdx,
        .rax = r->rax,
        .rcx = r->rcx,
        .rsp = r->rsp,
        .rip = r->rip,
        .eflags = r->eflags,
        .cs = (u16)r->cs,
        .ss = (u16)r->ss,
        .err = t->fault_error,
        .trapno = t->fault_trap,
        .cr2 = t->fault_addr,
        .oldmask = mask,
    };
}

static void sigcontext_restore(const struct sigcontext *sc, struct pt_regs *r)
{
    r->r8 = sc->r8, r->r9 = sc->r9, r->r10 = sc->r10, r->r11 = sc->r11;
    r->r12 = sc->r12, r->r13 = sc->r13, r->r14 = sc->r14, r->r15 = sc->r15;
    r->rdi = sc->rdi, r->rsi = sc->rsi, r->rbp = sc->rbp, r->rbx = sc->rbx;
    r->rdx = sc->rdx, r->rax = sc->rax, r->rcx = sc->rcx, r->rsp = sc->rsp, r->rip = sc->rip;
    r->eflags = (r->eflags & ~EFLAGS_USER) | (sc->eflags & EFLAGS_USER);
    r->orig_rax = (u64)-1;
}

/* Makes regs run the handler, on a frame from which rt_sigreturn gets back. -EFAULT: no room. */
static int frame_setup(struct task *t, struct pt_regs *regs, int sig, const struct siginfo *info,
                       const struct k_sigaction *ka, sigset_t mask)
{
    struct rt_sigframe frame;
    bool on_alt = on_altstack(t, regs->rsp), xstate = false;
    u64 sp = regs->rsp - RED_ZONE, fpstate;

    if (!(ka->flags & SA_RESTORER))
        return -EFAULT;
    if ((ka->flags & SA_ONSTACK) && altstack_state(t, regs->rsp) == 0) {
        sp = t->altstack_sp + t->altstack_size;
        on_alt = true;
    }
    sp = fpu_reserve(sp, &fpstate);
    /* At the handler's entry the stack looks as after a call: its return address is 8 off a multiple of 16. */
    sp = round_down(sp - sizeof(frame), 16) - 8;
    if (on_alt && t->altstack_size && (sp <= t->altstack_sp || sp - t->altstack_sp > t->altstack_size))
        return -EFAULT;

    memset(&frame, 0, sizeof(frame));
    frame.pretcode = ka->restorer;
    frame.uc.stack = altstack_get(t, regs->rsp);
    sigcontext_save(&frame.uc.mcontext, regs, t, mask);
    frame.uc.mcontext.fpstate = fpstate;
    frame.uc.sigmask = mask;
    frame.info = *info;
    if (fpstate && fpu_save(fpstate, &xstate))
        return -EFAULT;
    frame.uc.flags = (xstate ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    if (copy_to_user((void __user *)sp, &frame, sizeof(frame)))
        return -EFAULT;
    if (t->altstack_flags & SS_AUTODISARM) {
        t->altstack_sp = t->altstack_size = 0;
        t->altstack_flags = SS_DISABLE;
    }

    regs->rdi = (u64)sig;
    regs->rsi = sp + offsetof(struct rt_sigframe, info);
    regs->rdx = sp + offsetof(struct rt_sigframe, uc);
    regs->rax = 0;
    regs->rip = ka->handler;
    regs->rsp = sp;
    regs->eflags &= ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
    regs->orig_rax = (u64)-1;
    return 0;
}

SYSCALL(rt_sigreturn)
{
    struct task *t = current;
    struct pt_regs *regs = t->regs;
    struct ucontext uc;

    t->restart_nr = 0; /* what was interrupted before the handler is over */
    regs->orig_rax = (u64)-1;
    /* The restorer's call has taken pretcode off the stack. */
    if (copy_from_user(&uc, (const void __user *)(regs->rsp - 8 + offsetof(struct rt_sigframe, uc)), sizeof(uc)))
        goto bad;
    signal_set_blocked(t, uc.sigmask);
    sigcontext_restore(&uc.mcontext, regs);
    if (!uc.mcontext.fpstate)
        machine_reset_fpu();
    else if (fpu_restore(uc.mcontext.fpstate))
        goto bad;
    /* Not into the kernel; above it lies what the host itself gives its programs (the vDSO). */
    if ((regs->rip >= THAW_WINDOW_START && regs->rip < THAW_WINDOW_END) || regs->rip >= HOST_USER_END)
        goto bad;
    altstack_set(t, &uc.stack, regs->rsp); /* a bad one leaves the old one, as in Linux */
    return (s64)regs->rax;
bad:
    signal_force_segv(t, 0);
    return 0;
}

/* ---- on the way to user mode ---- */

/* The next signal that has a handler, with its action; 0: none (or the process is ending). */
static int signal_get(struct task *t, struct siginfo *info, struct k_sigaction *ka)
{
    struct process *p = t->process;

    for (;;) {
        int sig = signal_dequeue(t, ~t->blocked, info);
        if (!sig)
            return 0;
        struct k_sigaction *action = &p->sigaction[sig - 1];
        if (action->handler == SIG_IGN)
            continue;
        if (action->handler != SIG_DFL) {
            *ka = *action;
            if (ka->flags & SA_RESETHAND)
                action->handler = SIG_DFL;
            return sig;
        }
        if (sigmask(sig) & SIG_IGNORE_SET)
            continue;
        if (sigmask(sig) & SIG_STOP_SET) {
            if (sig != SIGSTOP && group_is_orphaned(p->pgid, p->sid))
                continue;
            process_stop(p, sig);
            return 0;
        }
        process_end(p, sig);
        return 0;
    }
}

/* An interrupted call, when a handler with these flags is about to run. */
static void restart_before_handler(struct pt_regs *regs, u64 flags)
{
    if ((s64)regs->orig_rax < 0)
        return;
    switch ((s64)regs->rax) {
    case -ERESTARTNOHAND:
    case -ERESTART_RESTARTBLOCK: regs->rax = (u64)-EINTR; break;
    case -ERESTARTSYS:
        if (!(flags & SA_RESTART)) {
            regs->rax = (u64)-EINTR;
            break;
        }
        __attribute__((fallthrough));
    case -ERESTARTNOINTR: regs->rax = regs->orig_rax; regs->rip -= SYSCALL_INSN_SIZE;
    }
}

/* The same when no handler runs. Once only: the next look at these registers must not restart again. */
static void restart_without_handler(struct task *t, struct pt_regs *regs)
{
    if ((s64)regs->orig_rax < 0)
        return;
    switch ((s64)regs->rax) {
    case -ERESTARTSYS:
    case -ERESTARTNOINTR:
    case -ERESTARTNOHAND: regs->rax = regs->orig_rax; break;
    case -ERESTART_RESTARTBLOCK:
        if (regs->orig_rax != NR_restart_syscall)
            t->restart_nr = (u32)regs->orig_rax;
        regs->rax = NR_restart_syscall;
        break;
    default: return;
    }
    regs->rip -= SYSCALL_INSN_SIZE;
    regs->orig_rax = (u64)-1;
}

static void handler_start(struct task *t, struct pt_regs *regs, int sig, const struct siginfo *info,
                          const struct k_sigaction *ka)
{
    sigset_t mask = t->restore_blocked ? t->saved_blocked : t->blocked;

    restart_before_handler(regs, ka->flags);
    regs->orig_rax = (u64)-1;
    if (frame_setup(t, regs, sig, info, ka, mask)) {
        signal_force_segv(t, sig);
        return;
    }
    t->restore_blocked = false;
    signal_set_blocked(t, t->blocked | ka->mask | (ka->flags & SA_NODEFER ? 0 : sigmask(sig)));
}

bool user_return_plain(const struct pt_regs *regs)
{
    struct task *t = current;
    s64 ret = (s64)regs->rax;

    if (signal_pending(t) || t->restore_blocked || (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK))
        return false;
    t->takes_shared = false;
    return true;
}

void user_return(struct pt_regs *regs)
{
    struct task *t = current;
    struct process *p = t->process;
    struct siginfo info;
    struct k_sigaction ka;

    do {
        while (signal_pending(t)) {
            if (p->exiting || t->killed)
                task_exit(p->exit_status);
            if (p->stopped) {
                task_wait_stopped(t);
                continue;
            }
            int sig = signal_get(t, &info, &ka);
            if (sig)
                handler_start(t, regs, sig, &info, &ka);
        }
        restart_without_handler(t, regs);
        sigmask_restore(); /* may unblock what waits */
    } while (signal_pending(t));
    t->takes_shared = false;
}

void user_fault(struct pt_regs *regs, int sig, int code, u64 addr, bool write, int trapno, u64 err)
{
    struct task *t = current;
    struct siginfo info = {.si_signo = sig, .si_code = code};

    if (sig == SIGSEGV && addr >= THAW_USER_START && addr < THAW_USER_END && mm_fault(addr, write))
        return;
    if (sig == SIGSEGV && addr >= THAW_USER_START && addr < THAW_USER_END && mm_fault_beyond_file(addr)) {
        info.si_signo = sig = SIGBUS;
        info.si_code = 2; /* BUS_ADRERR */
    }
    info.fault.addr = addr;
    t->fault_addr = addr;
    t->fault_error = err;
    t->fault_trap = (u64)trapno;
    signal_force(t, sig, &info);
}
