/* SPDX-License-Identifier: MIT */
/* Guest threads are host threads, each with a kernel stack in a slot of its own, a guard area below it. */
#include "process.h"

#include "mm.h"

#define NR_SLOTS ((THAW_KSTACK_END - THAW_KSTACK_ADDR) / KSTACK_SLOT)
/* Room for the copy of a signal frame with all vector state that Linux knows. */
#define FPU_MAX 16384u

/* A slot's word holds the thread's host id and is cleared by the host when the thread is off its stack. */
static u32 slot_tid[NR_SLOTS];
static u32 slots_mapped;

static u64 slot_stack(u32 slot) { return THAW_KSTACK_ADDR + slot * KSTACK_SLOT + (KSTACK_SLOT - KSTACK_SIZE); }

struct thread_info *kstack_alloc(void)
{
    u32 slot = 0;
    while (slot < NR_SLOTS && __atomic_load_n(&slot_tid[slot], __ATOMIC_ACQUIRE))
        slot++;
    if (slot >= NR_SLOTS || slot > slots_mapped)
        return NULL;
    u64 stack = slot_stack(slot);
    if (slot == slots_mapped) {
        s64 p = host_syscall(HOST_mmap, stack, KSTACK_SIZE, HOST_PROT_READ | HOST_PROT_WRITE,
                             HOST_MAP_PRIVATE | HOST_MAP_ANONYMOUS | HOST_MAP_FIXED, (u64)-1, 0);
        if (p != (s64)stack)
            return NULL;
        slots_mapped++;
    }
    slot_tid[slot] = 1; /* taken; the host writes the real number */
    struct thread_info *ti = (struct thread_info *)stack;
    memset(ti, 0, sizeof(*ti));
    ti->slot = slot;
    return ti;
}

void machine_thread_first(struct task *t)
{
    struct thread_info *ti = thread_info();
    ti->task = t;
    ti->host_tid = host_pid;
    t->machine = ti;
}

/* The host's thread is another after a restore. */
void thread_resume_first(void)
{
    struct thread_info *ti = thread_info();
    ti->host_tid = host_pid;
    ti->kicked = 0;
    slot_tid[ti->slot] = (u32)host_pid;
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

int machine_thread_start(struct task *t, const struct pt_regs *regs, u64 tls)
{
    struct thread_info *self = thread_info();
    struct thread_info *ti = kstack_alloc();
    if (!ti)
        return -EAGAIN;

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
    t->machine = ti;
    s64 tid = host_clone(HOST_CLONE_THREAD, uc, (u32 *)&ti->host_tid, &slot_tid[ti->slot], tls);
    if (tid < 0) {
        slot_tid[ti->slot] = 0;
        t->machine = NULL;
        return tid == -EAGAIN || tid == -ENOMEM ? (int)tid : -EAGAIN;
    }
    return 0;
}

void machine_thread_exit(void)
{
    kernel_unlock();
    for (;;)
        host_syscall(HOST_exit, 0, 0, 0, 0, 0, 0);
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

int machine_block(u64 deadline)
{
    struct thread_info *ti = thread_info();
    bool poll = ti->console_events[0] | ti->console_events[1] | ti->console_events[2];
    s64 r = 0;

    if (__atomic_load_n(&ti->wake, __ATOMIC_SEQ_CST) == ti->wake_seen) {
        ti->blocked = 1;
        ti->in_poll = poll;
        kernel_unlock();
        if (poll) {
            r = block_in_poll(ti, deadline);
        } else {
            struct host_timespec ts, *tsp = NULL;
            if (deadline) {
                u64 host = clock_to_host(deadline);
                if ((s64)host < 0)
                    host = 0;
                ts.sec = (s64)(host / 1000000000u);
                ts.nsec = (s64)(host % 1000000000u);
                tsp = &ts;
            }
            r = host_syscall_intr(HOST_futex, (u64)&ti->wake, HOST_FUTEX_WAIT_BITSET_PRIVATE, ti->wake_seen, (u64)tsp,
                                  0, 0xffffffffu, &ti->kicked);
        }
        kernel_lock();
        ti->blocked = ti->in_poll = 0;
    }
    memset(ti->console_events, 0, sizeof(ti->console_events));
    __atomic_store_n(&ti->kicked, 0, __ATOMIC_SEQ_CST);
    trap_drain();
    return r == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

void machine_kick(struct task *t)
{
    struct thread_info *ti = t->machine;
    if (!ti)
        return;
    __atomic_add_fetch(&ti->wake, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ti->kicked, 1, __ATOMIC_SEQ_CST);
    /* Always by a host signal: it may be in user mode, or in any of the host's calls. */
    if (ti != thread_info() && ti->host_tid)
        host_syscall(HOST_tgkill, (u64)host_pid, (u64)ti->host_tid, HOST_SIG_KICK, 0, 0, 0);
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
        host_syscall(HOST_futex, (u64)&ti->wake, HOST_FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
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

u64 machine_get_gsbase(void)
{
    u64 base = 0;
    host_syscall(HOST_arch_prctl, HOST_ARCH_GET_GS, (u64)&base, 0, 0, 0, 0);
    return base;
}

int machine_set_gsbase(u64 base) { return (int)host_syscall(HOST_arch_prctl, HOST_ARCH_SET_GS, base, 0, 0, 0, 0); }

void machine_yield(void)
{
    kernel_unlock();
    host_syscall(HOST_sched_yield, 0, 0, 0, 0, 0, 0);
    kernel_lock();
}
