/* SPDX-License-Identifier: MIT */
/* Guest threads are host threads, each with a kernel stack in a slot of its own, a guard area below it. */
#include "direct.h"
#include "process.h"

#include "mm.h"
#include "timer.h"

/* Room for the copy of a signal frame with all vector state that Linux knows. */
#define FPU_MAX 16384u

struct space first_space;

static u32 slot_taken[NR_SLOTS];       /* a thread clears its word once it is off its stack */
static u32 slots_used;                 /* no slot from here on is taken or was ever */
static u64 slot_mapped[NR_SLOTS / 64]; /* a bit a slot */

/* kernel.lds puts it where nothing that can be written to lies below. */
char first_stack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE), section(".bss.stack")));

static u64 slot_stack(u32 slot)
{
    return slot ? THAW_KSTACK_ADDR + slot * KSTACK_SLOT + (KSTACK_SLOT - KSTACK_SIZE) : (u64)first_stack;
}

struct thread_info *thread_of_slot(u32 slot)
{
    if (slot >= slots_used || !__atomic_load_n(&slot_taken[slot], __ATOMIC_ACQUIRE))
        return NULL;
    return (struct thread_info *)slot_stack(slot);
}

struct thread_info *kstack_alloc(void)
{
    u32 slot = 0, limit = memory_shared ? SHARED_SLOTS : NR_SLOTS;
    while (slot < limit && __atomic_load_n(&slot_taken[slot], __ATOMIC_ACQUIRE))
        slot++;
    if (slot >= limit)
        return NULL;
    u64 stack = slot_stack(slot);
    if (slot && !(slot_mapped[slot / 64] >> (slot % 64) & 1) && !memory_shared) {
        s64 p = host_syscall(HOST_mmap, stack, KSTACK_SIZE, HOST_PROT_READ | HOST_PROT_WRITE,
                             HOST_MAP_PRIVATE | HOST_MAP_ANONYMOUS | HOST_MAP_FIXED, (u64)-1, 0);
        if (p != (s64)stack)
            return NULL;
    }
    slot_mapped[slot / 64] |= 1ull << (slot % 64);
    slot_taken[slot] = 1;
    slots_used = max(slots_used, slot + 1);
    struct thread_info *ti = (struct thread_info *)stack;
    memset(ti, 0, sizeof(*ti));
    ti->slot = slot;
    return ti;
}

static void space_init_first(struct thread_info *ti)
{
    first_space.host_pid = ti->host_tid = host_pid;
    first_space.threads = 1;
    ti->space = &first_space;
}

void machine_thread_first(struct task *t)
{
    struct thread_info *ti = thread_info();
    ti->task = t;
    t->machine = ti;
    space_init_first(ti);
    direct_begin_first(ti);
}

/* After a restore the host's thread is another, and its stack is the only one there is. */
void thread_resume_first(void)
{
    struct thread_info *ti = thread_info();
    ti->kicked = 0;
    space_init_first(ti);
    direct_begin_first(ti);
    memory_shared = false;
    memset(slot_taken, 0, slots_used * sizeof(slot_taken[0]));
    memset(slot_mapped, 0, sizeof(slot_mapped));
    slots_used = ti->slot + 1;
    slot_taken[ti->slot] = 1;
    slot_mapped[ti->slot / 64] = 1ull << (ti->slot % 64);
}

struct task *machine_current(void) { return thread_info()->task; }

static void uc_from_regs(struct host_ucontext *uc, const struct pt_regs *r, const struct thread_info *ti)
{
    memset(uc, 0, sizeof(*uc));
    uc->stack_sp = (u64)ti;
    uc->stack_size = KSTACK_SIZE;
    uc->cs = 0x33;
    uc->ss = 0x2b;
    uc->flags = HOST_UC_SIGCONTEXT_SS | HOST_UC_STRICT_RESTORE_SS;
    uc->r15 = r->r15, uc->r14 = r->r14, uc->r13 = r->r13, uc->r12 = r->r12;
    uc->rbp = r->rbp, uc->rbx = r->rbx, uc->r11 = r->r11, uc->r10 = r->r10;
    uc->r9 = r->r9, uc->r8 = r->r8, uc->rax = r->rax, uc->rcx = r->rcx;
    uc->rdx = r->rdx, uc->rsi = r->rsi, uc->rdi = r->rdi;
    uc->rip = r->rip, uc->eflags = r->eflags, uc->rsp = r->rsp;
}

void process_enter_first(const struct pt_regs *regs);
void process_enter_first(const struct pt_regs *regs)
{
    struct thread_info *ti = thread_info();
    /* A frame at the top of the stack, as if a system call had been interrupted there. */
    struct host_ucontext *uc = (struct host_ucontext *)(((u64)ti + KSTACK_SIZE - sizeof(*uc) - 128) & ~15ull);
    uc_from_regs(uc, regs, ti);
    enter_user(uc);
}

/* A stack with the frame from which the thread goes to user mode: *uc. NULL: none left. */
static struct thread_info *thread_make(struct task *t, const struct pt_regs *regs, struct host_ucontext **ucp)
{
    struct thread_info *self = thread_info();
    struct thread_info *ti = kstack_alloc();
    if (!ti)
        return NULL;

    size_t fpu_size = 0;
    void *fpu = machine_fpu(&fpu_size);
    u64 top = (u64)ti + KSTACK_SIZE;
    u64 fp = (top - FPU_MAX) & ~63ull;
    struct host_ucontext *uc = (struct host_ucontext *)((fp - sizeof(*uc) - 64) & ~15ull);
    uc_from_regs(uc, regs, ti);
    if (fpu && fpu_size <= FPU_MAX) {
        memcpy((void *)fp, fpu, fpu_size);
        uc->fpstate = fp;
        uc->flags = self->uc->flags;
    }
    ti->task = t;
    direct_prepare(ti);
    t->machine = ti;
    *ucp = uc;
    return ti;
}

static int thread_failed(struct thread_info *ti, s64 err)
{
    ti->task->machine = NULL;
    ti->space->threads--;
    slot_taken[ti->slot] = 0;
    return err == -ENOMEM ? -ENOMEM : -EAGAIN;
}

int machine_thread_start(struct task *t, const struct pt_regs *regs, u64 tls)
{
    struct host_ucontext *uc;
    struct thread_info *ti = thread_make(t, regs, &uc);

    if (!ti)
        return -EAGAIN;
    ti->space = thread_info()->space;
    ti->space->threads++;
    s64 tid = host_clone(HOST_CLONE_THREAD, uc, (u32 *)&ti->host_tid, NULL, tls);
    return tid < 0 ? thread_failed(ti, tid) : 0;
}

/* ---- processes ---- */

/* A new host process; the monitor has been asked for its leave by the host's kernel. */
static void space_report(const struct space *s) { monitor_tell(THAW_CALL_PROCESS, (u64)s->host_pid, 0); }

void signals_block(u64 mask) { host_syscall(HOST_rt_sigprocmask, 2 /* SIG_SETMASK */, (u64)&mask, 0, 8, 0, 0); }

/*
 * A new process has its maker's signal stack, which is the maker's kernel stack: no signal may come to it before it has
 * its own. One rt_sigreturn sets that, unblocks signals, and goes on at process_begin with *uc on the stack.
 */
static struct host_ucontext *process_frame(struct thread_info *ti, struct host_ucontext *uc)
{
    struct host_ucontext *first = (struct host_ucontext *)(((u64)uc - sizeof(*uc) - 128) & ~15ull);
    const struct pt_regs regs = {.rip = (u64)process_begin, .rsp = (u64)uc, .eflags = 0x202};

    uc_from_regs(first, &regs, ti);
    return first;
}

int machine_fork(struct task *t, struct mm *mm, const struct pt_regs *regs, u64 tls)
{
    struct host_ucontext *uc;
    struct space *space = kmalloc(sizeof(*space));
    struct thread_info *ti = space ? thread_make(t, regs, &uc) : NULL;

    BUG_ON(!memory_shared);
    if (!ti) {
        kfree(space);
        return -EAGAIN;
    }
    ti->space = space;
    space->threads = 1;
    ti->tls = tls;
    /* The lock is kept: the child waits for it before it does anything. */
    signals_block(~0ull);
    s64 pid = host_clone(HOST_CLONE_PROCESS, process_frame(ti, uc), (u32 *)&ti->host_tid, NULL, 0);
    signals_block(0);
    if (pid < 0) {
        int err = thread_failed(ti, pid);
        kfree(space);
        return err;
    }
    space->host_pid = (s32)pid;
    space_report(space);
    return 0;
}

/* Others stay in this address space: the calling task goes on in a new host process, on the same kernel stack. */
static int space_leave(struct thread_info *ti)
{
    struct space *old = ti->space, *space = kmalloc(sizeof(*space));
    s32 old_tid = ti->host_tid;

    if (!space)
        return -ENOMEM;
    BUG_ON(!memory_shared);
    signals_block(~0ull);
    s64 err = host_clone_move(HOST_CLONE_PROCESS, (u32 *)&ti->host_tid);
    if (err) {
        ti->host_tid = old_tid;
        signals_block(0);
        kfree(space);
        return err == -ENOMEM ? -ENOMEM : -EAGAIN;
    }
    space->host_pid = ti->host_tid;
    space->threads = 1;
    old->threads--;
    ti->space = space;
    signals_block(0);
    space_report(space);
    return 0;
}

int machine_exec(struct mm *mm, struct mm *old)
{
    struct thread_info *ti = thread_info();
    int err = old ? 0 : space_leave(ti);

    if (err)
        return err;
    return machine_unmap(mm, THAW_USER_START, THAW_USER_END - THAW_USER_START);
}

void machine_mm_free(struct mm *mm) {} /* the memory goes with the host's process */

/* The host process that the monitor watches stays while the sandbox does, although no guest uses it any more. */
static void __noreturn first_process_idles(void)
{
    kernel_unlock();
    for (u32 never = 0;;)
        host_syscall(HOST_futex, (u64)&never, HOST_FUTEX_WAIT, 0, 0, 0, 0);
}

void machine_thread_exit(void)
{
    struct thread_info *ti = thread_info();
    struct space *space = ti->space;

    ti->host_tid = 0;
    if (!--space->threads) {
        clock_process_ends(space);
        if (space == &first_space)
            first_process_idles();
        kfree(space);
    }
    ti->space = NULL;
    kernel_unlock();
    host_thread_exit(&slot_taken[ti->slot]);
}

void machine_block_prepare(void)
{
    struct thread_info *ti = thread_info();
    ti->wake_seen = __atomic_load_n(&ti->wake, __ATOMIC_SEQ_CST);
}

void machine_block_on_console(int fd, u32 events)
{
    struct thread_info *ti = thread_info();
    if (fd >= 0 && fd <= 2)
        ti->console_events[fd] |= (u16)events;
}

static s64 block_in_poll(struct thread_info *ti, u64 deadline)
{
    struct host_pollfd fds[3];
    struct host_timespec ts, *tsp = NULL;
    u64 n = 0;

    for (int fd = 0; fd <= 2; fd++)
        if (ti->console_events[fd])
            fds[n++] = (struct host_pollfd){.fd = fd, .events = (s16)(ti->console_events[fd] & ~CONSOLE_HUP)};
    if (deadline) {
        u64 now = machine_clock(1);
        u64 left = deadline > now ? deadline - now : 0;
        ts.sec = (s64)(left / 1000000000u);
        ts.nsec = (s64)(left % 1000000000u);
        tsp = &ts;
    }
    s64 r = host_syscall_intr(HOST_ppoll, (u64)fds, n, (u64)tsp, 0, 0, 0, &ti->kicked);
    return r == 0 ? -ETIMEDOUT : 0;
}

static s64 block_in_futex(struct thread_info *ti, u64 deadline)
{
    struct host_timespec ts, *tsp = NULL;

    if (deadline) {
        u64 host = clock_to_host(deadline);
        if ((s64)host < 0)
            host = 0;
        ts.sec = (s64)(host / 1000000000u);
        ts.nsec = (s64)(host % 1000000000u);
        tsp = &ts;
    }
    return host_syscall_intr(HOST_futex, (u64)&ti->wake, HOST_FUTEX_WAIT_BITSET, ti->wake_seen, (u64)tsp, 0,
                             0xffffffffu, &ti->kicked);
}

/* A restored sandbox that waits so long gives memory back, once. */
#define TRIM_AFTER 20000000ull

int machine_block(u64 deadline)
{
    static bool trimmed;
    struct thread_info *ti = thread_info();
    bool poll = ti->console_events[0] | ti->console_events[1] | ti->console_events[2], again = true;
    s64 r = 0;

    while (again && __atomic_load_n(&ti->wake, __ATOMIC_SEQ_CST) == ti->wake_seen) {
        u64 trim = trimmed || !(boot->flags & THAW_BOOT_RESTORE) ? 0 : machine_clock(CLOCK_MONOTONIC) + TRIM_AFTER;
        u64 until = !trim || (deadline && deadline <= trim) ? deadline : trim;
        ti->blocked = 1;
        ti->in_poll = poll;
        kernel_unlock();
        r = poll ? block_in_poll(ti, until) : block_in_futex(ti, until);
        kernel_lock();
        ti->blocked = ti->in_poll = 0;
        again = r == -ETIMEDOUT && until != deadline;
        if (again && !trimmed) {
            trimmed = true;
            memory_trim();
        }
    }
    memset(ti->console_events, 0, sizeof(ti->console_events));
    __atomic_store_n(&ti->kicked, 0, __ATOMIC_SEQ_CST);
    trap_drain();
    return r == -ETIMEDOUT && !again ? -ETIMEDOUT : 0;
}

static void thread_wake(struct thread_info *ti)
{
    host_syscall(HOST_futex, (u64)&ti->wake, HOST_FUTEX_WAKE, 1, 0, 0, 0);
}

void machine_kick(struct task *t)
{
    struct thread_info *ti = t->machine;
    if (!ti)
        return;
    __atomic_add_fetch(&ti->wake, 1, __ATOMIC_SEQ_CST);
    /* Kicked already: a signal is on its way, or the thread looks before it sleeps or leaves the kernel. */
    if (__atomic_exchange_n(&ti->kicked, 1, __ATOMIC_SEQ_CST) || ti == thread_info() || !ti->host_tid)
        return;
    /* Unless it is known to sleep by a host signal: it may be in user mode, or in any of the host's calls. The filter
     * lets only the first host process be signalled; to the others the monitor does it, who knows which are ours. */
    if (ti->blocked && !ti->in_poll)
        thread_wake(ti);
    else if (ti->space == &first_space)
        host_syscall(HOST_tgkill, (u64)host_pid, (u64)ti->host_tid, HOST_SIG_KICK, 0, 0, 0);
    else
        monitor_tell(THAW_CALL_KICK, (u64)ti->space->host_pid, (u64)ti->host_tid);
}

void machine_wake(struct task *t)
{
    struct thread_info *ti = t->machine;
    if (!ti)
        return;
    __atomic_add_fetch(&ti->wake, 1, __ATOMIC_SEQ_CST);
    if (!ti->blocked)
        return;
    if (ti->in_poll)
        machine_kick(t);
    else
        thread_wake(ti);
}

/* ---- FPU and segment bases ---- */

/* struct _fpx_sw_bytes of Linux's asm/sigcontext.h, at byte 464 of the FXSAVE image. */
struct fpx_sw_bytes {
    u32 magic1, extended_size;
    u64 xfeatures;
    u32 xstate_size;
};

void *machine_fpu(size_t *size)
{
    struct host_ucontext *uc = thread_info()->uc;
    if (!uc || !uc->fpstate) {
        *size = 0;
        return NULL;
    }
    const struct fpx_sw_bytes *sw = (const void *)(uc->fpstate + 464);
    *size = sw->magic1 == 0x46505853u && sw->extended_size <= FPU_MAX ? sw->extended_size : 512;
    return (void *)uc->fpstate;
}

void machine_reset_fpu(void)
{
    struct host_ucontext *uc = thread_info()->uc;
    if (uc)
        uc->fpstate = 0; /* the host then loads the initial state */
}

u64 machine_get_fsbase(void)
{
    u64 base;
    if (boot->flags & THAW_BOOT_FSGSBASE)
        __asm__ volatile("rdfsbase %0" : "=r"(base));
    else
        host_syscall(HOST_arch_prctl, HOST_ARCH_GET_FS, (u64)&base, 0, 0, 0, 0);
    return base;
}

void machine_set_fsbase(u64 base)
{
    if (boot->flags & THAW_BOOT_FSGSBASE)
        __asm__ volatile("wrfsbase %0" ::"r"(base));
    else
        host_syscall(HOST_arch_prctl, HOST_ARCH_SET_FS, base, 0, 0, 0, 0);
}

u64 machine_get_gsbase(void) { return thread_info()->user_gs; }

int machine_set_gsbase(u64 base) { return base == thread_info()->user_gs ? 0 : direct_set_user_gs(base); }

void machine_yield(void)
{
    kernel_unlock();
    host_syscall(HOST_sched_yield, 0, 0, 0, 0, 0, 0);
    kernel_lock();
}
