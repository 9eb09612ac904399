/* SPDX-License-Identifier: MIT */
/*
 * Threads: each has a kernel stack; they take turns on the processors. In the kernel a thread runs until it blocks; in
 * user mode until the timer says that another one is to have a turn. A processor with nothing to do waits in the
 * monitor: as long as there is one, on the stack of the thread that blocked last; with more, each on that of its idle
 * thread and without the lock.
 */
#include "kvm.h"

#include "mm.h"

#define NR_SLOTS ((THAW_KSTACK_END - THAW_KSTACK_ADDR) / KSTACK_SLOT)
#define TIME_SLICE 10000000ull /* ns */
#define FAULT_STACK_SIZE (2 * PAGE_SIZE)

static struct list_head ready = LIST_HEAD_INIT(ready);
static struct list_head blocked = LIST_HEAD_INIT(blocked); /* those that a deadline or the console wakes */
static u8 slot_used[NR_SLOTS];
static u32 slots_mapped;
static struct thread_info *dead; /* off its stack once another runs */
static u64 timer_armed;          /* the monitor's timer, guest's CLOCK_MONOTONIC; 0: not */
static u64 total_cpu_ns;

void thread_started(struct pt_regs *regs);

/* ---- stacks ---- */

static int slot_map(u64 addr, u64 len)
{
    for (u64 a = addr; a < addr + len; a += PAGE_SIZE) {
        u64 gpa = frame_alloc_zeroed();
        if (!gpa || kernel_map(a, gpa, PTE_W | PTE_NX)) {
            frame_put(gpa);
            while (a > addr)
                frame_put(kernel_unmap(a -= PAGE_SIZE));
            return -ENOMEM;
        }
    }
    return 0;
}

struct thread_info *kstack_alloc(void)
{
    const u64 used = fpu_pages() * PAGE_SIZE;
    u32 slot = 0;

    while (slot < slots_mapped && slot_used[slot])
        slot++;
    if (slot >= NR_SLOTS)
        return NULL;
    u64 addr = THAW_KSTACK_ADDR + slot * KSTACK_SLOT + (KSTACK_SLOT - KSTACK_SIZE);
    if (slot == slots_mapped) {
        if (slot_map(addr, used))
            return NULL;
        if (slot_map(addr + KSTACK_SIZE - KSTACK_USED, KSTACK_USED)) {
            for (u64 a = addr; a < addr + used; a += PAGE_SIZE)
                frame_put(kernel_unmap(a));
            return NULL;
        }
        slots_mapped++;
    }
    slot_used[slot] = 1;
    struct thread_info *ti = (struct thread_info *)addr;
    memset(ti, 0, sizeof(*ti));
    ti->slot = slot;
    list_init(&ti->list);
    fpu_reset(ti);
    return ti;
}

u64 kstack_fault_top(const struct thread_info *idle) { return thread_stack_top(idle) - KSTACK_USED - PAGE_SIZE; }

struct thread_info *kstack_alloc_idle(void)
{
    struct thread_info *ti = kstack_alloc();

    if (!ti)
        return NULL;
    if (slot_map(kstack_fault_top(ti) - FAULT_STACK_SIZE, FAULT_STACK_SIZE)) {
        slot_used[ti->slot] = 0;
        return NULL;
    }
    ti->state = THREAD_RUNNING;
    return ti;
}

/* ---- processor time ---- */

/* NULL: nobody's. */
static void account(struct thread_info *ti)
{
    struct cpu *c = this_cpu();
    u64 now = machine_timestamp(), ns = now > c->running_since ? now - c->running_since : 0;
    if (ti && ti != c->idle) {
        ti->cpu_ns += ns;
        total_cpu_ns += ns;
    }
    c->running_since = now;
}

/* What others have used since they were last looked at. */
static u64 others_cpu_time(void)
{
    const struct cpu *self = this_cpu();
    u64 now = self->running_since, sum = 0;

    for (const struct cpu *c = cpus; c < cpus + cpus_online; c++)
        if (c != self && c->running && c->running != c->idle && now > c->running_since)
            sum += now - c->running_since;
    return sum;
}

u64 thread_cpu_time(bool all)
{
    account(thread_info());
    return all ? total_cpu_ns + others_cpu_time() : thread_info()->cpu_ns;
}

/* ---- switching ---- */

static void make_ready(struct thread_info *ti)
{
    if (ti->state != THREAD_BLOCKED)
        return;
    ti->state = THREAD_READY;
    list_del(&ti->list);
    list_add_tail(&ti->list, &ready);
}

static void wake_expired(u64 now)
{
    struct thread_info *ti, *next;
    list_for_each_entry_safe (ti, next, &blocked, list)
        if (ti->deadline && ti->deadline <= now) {
            ti->timed_out = true;
            make_ready(ti);
        }
}

static u64 console_wanted(void)
{
    struct thread_info *ti;
    u64 events = 0;
    list_for_each_entry (ti, &blocked, list)
        for (int fd = 0; fd <= 2; fd++)
            events |= (u64)ti->console_events[fd] << (16 * fd);
    return events;
}

static void wake_console(u64 events)
{
    struct thread_info *ti, *next;
    if ((s64)events <= 0)
        return;
    list_for_each_entry_safe (ti, next, &blocked, list)
        for (int fd = 0; fd <= 2; fd++)
            /* errors and the other side's end are of interest to whoever waits for anything */
            if (ti->console_events[fd] &&
                events >> (16 * fd) & (ti->console_events[fd] | CONSOLE_HUP | 8u /* POLLERR */ | 0x20u /* POLLNVAL */))
                make_ready(ti);
}

static u64 earliest(void)
{
    struct thread_info *ti;
    u64 at = clock_timer_deadline();
    list_for_each_entry (ti, &blocked, list)
        if (ti->deadline && (!at || ti->deadline < at))
            at = ti->deadline;
    return at;
}

static void timers_check(void)
{
    if (list_empty(&blocked) && !clock_timer_deadline())
        return;
    clock_timer_check();
    wake_expired(clock_now());
}

/* True: the timer has run out. */
static bool signals_take(void)
{
    struct thaw_kvm *page = kvm_page();
    u64 set;

    if (!__atomic_load_n(&page->events, __ATOMIC_SEQ_CST))
        return false;
    set = __atomic_exchange_n(&page->events, 0, __ATOMIC_SEQ_CST);
    bool timer = set & THAW_KVM_EVENT_TIMER;
    if (timer)
        timer_armed = 0;
    set &= ~(u64)THAW_KVM_EVENT_TIMER;
    for (; set; set &= set - 1)
        console_signal(__builtin_ctzll(set));
    return timer;
}

static void console_look(void)
{
    u64 wanted = list_empty(&blocked) ? 0 : console_wanted();
    if (wanted)
        wake_console((u64)monitor_call(THAW_CALL_WAIT, 1, wanted, 0));
}

/* As many threads as are ready get a turn: of those that had theirs, wherever they run. */
static void slices_check(void)
{
    u64 now = machine_timestamp();
    struct cpu *c = cpus;
    struct list_head *p;

    for (p = ready.next; p != &ready; p = p->next, c++) {
        while (c < cpus + cpus_online && (c->resched || !c->running || c->running == c->idle ||
                                          now < c->slice_start + TIME_SLICE - TIME_SLICE / 8))
            c++;
        if (c == cpus + cpus_online)
            return;
        c->resched = true;
        if (c != this_cpu() && c->in_user)
            cpu_kick(c);
    }
}

void events_drain(void)
{
    u32 *kick = &kvm_page()->kicks[this_cpu()->index];

    if (__atomic_load_n(kick, __ATOMIC_SEQ_CST))
        __atomic_store_n(kick, 0, __ATOMIC_SEQ_CST);
    bool tick = signals_take();
    timers_check();
    if (!tick || cpus_online == 1)
        return;
    console_look();
    slices_check();
}

bool events_pending(void)
{
    const struct thaw_kvm *page = kvm_page();
    return __atomic_load_n(&page->events, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&page->kicks[this_cpu()->index], __ATOMIC_SEQ_CST);
}

static s64 monitor_wait(void)
{
    u64 at = earliest(), until = at ? max(clock_to_host(at), 1ull) : 0, wanted = console_wanted();
    struct cpu *c = this_cpu();

    if (cpus_online == 1)
        return monitor_call(THAW_CALL_WAIT, until, wanted, 0);
    c->waiting = true;
    kernel_unlock();
    s64 events = monitor_call(THAW_CALL_WAIT, until, wanted, 0);
    kernel_lock();
    c->waiting = false;
    return events;
}

/* Nothing is ready: in the monitor until something may be. */
static void idle(void)
{
    account(thread_info()->task ? thread_info() : NULL);
    wake_console((u64)monitor_wait());
    this_cpu()->running_since = machine_timestamp();
    events_drain();
}

/* On the stack of the thread that runs now, after the switch. */
static void switched(void)
{
    if (dead) {
        slot_used[dead->slot] = 0;
        dead->state = THREAD_FREE;
        dead = NULL;
    }
}

static void switch_to(struct thread_info *next)
{
    struct thread_info *prev = thread_info();
    struct cpu *c = this_cpu();

    account(prev);
    c->slice_start = c->running_since;
    c->resched = false;
    next->state = THREAD_RUNNING;
    if (next == prev)
        return;
    fpu_save(prev);
    prev->fsbase = machine_get_fsbase();
    prev->gsbase = machine_get_gsbase();
    machine_set_fsbase(next->fsbase);
    machine_set_gsbase(next->gsbase);
    memory_switch(next->task);
    cpu_set_kstack(thread_stack_top(next));
    c->running = next;
    switch_stacks(&prev->rsp, next->rsp);
    switched();
}

static struct thread_info *ready_take(void)
{
    struct thread_info *next = list_first_entry(&ready, struct thread_info, list);
    list_del(&next->list);
    return next;
}

static void schedule(void)
{
    if (cpus_online > 1 && list_empty(&ready)) {
        switch_to(this_cpu()->idle);
        return;
    }
    while (list_empty(&ready))
        idle();
    switch_to(ready_take());
}

void idle_loop(void)
{
    switched();
    for (;;) {
        while (!list_empty(&ready)) {
            struct thread_info *next = ready_take();
            cpus_wake();
            switch_to(next);
        }
        idle();
    }
}

/* Each thread that is ready and has no processor gets one that is waiting for it. */
void cpus_wake(void)
{
    struct cpu *c = cpus, *const end = cpus + cpus_online;

    if (cpus_online == 1)
        return;
    for (const struct list_head *p = ready.next; p != &ready; p = p->next) {
        while (c < end && !c->waiting)
            c++;
        if (c == end)
            return;
        c->waiting = false;
        cpu_kick(c++);
    }
}

void thread_reschedule(void)
{
    struct thread_info *ti = thread_info();

    events_drain();
    console_look();
    if (list_empty(&ready))
        return;
    ti->state = THREAD_READY;
    list_add_tail(&ti->list, &ready);
    schedule();
}

void thread_interrupted(void)
{
    /* With more processors it may be about anything, and trap_return() looks at it all. */
    if (cpus_online == 1)
        thread_reschedule();
}

void timer_program(void)
{
    u64 at;

    if (list_empty(&ready) && list_empty(&blocked) && !clock_timer_deadline())
        return;
    at = earliest();
    if (!list_empty(&ready) || console_wanted()) {
        u64 slice = clock_now() + TIME_SLICE;
        at = at && at < slice ? at : slice;
    }
    if (!at || (timer_armed && timer_armed <= at))
        return;
    timer_armed = at;
    monitor_call(THAW_CALL_TIMER, max(clock_to_host(at), 1ull), 0, 0);
}

/* ---- machine.h ---- */

struct task *machine_current(void) { return thread_info()->task; }

void machine_thread_first(struct task *t)
{
    struct thread_info *ti = thread_info();
    ti->task = t;
    t->machine = ti;
}

void thread_running_first(struct thread_info *ti)
{
    ti->state = THREAD_RUNNING;
    this_cpu()->running = ti;
    cpu_set_kstack(thread_stack_top(ti));
    this_cpu()->running_since = machine_timestamp();
}

void thread_resume(void)
{
    struct thread_info *ti = thread_info();
    timer_armed = 0;
    ti->kicked = 0;
    thread_running_first(ti);
    machine_set_fsbase(ti->fsbase);
    machine_set_gsbase(ti->gsbase);
}

/* First C code of a new thread, on its own stack. */
void thread_started(struct pt_regs *regs)
{
    switched();
    if (thread_info()->forked)
        task_begin(regs);
    trap_return(regs);
}

static int thread_start(struct task *t, const struct pt_regs *regs, u64 tls, bool forked)
{
    struct thread_info *self = thread_info(), *ti = kstack_alloc();

    if (!ti)
        return -EAGAIN;
    cpus_start();
    fpu_copy(ti, self);
    ti->fsbase = tls;
    ti->gsbase = machine_get_gsbase();
    ti->forked = forked;
    ti->task = t;
    t->machine = ti;
    struct pt_regs *r = thread_regs(ti);
    *r = *regs;
    r->cs = 0x33;
    r->ss = 0x2b;
    u64 *sp = (u64 *)(void *)r;
    *--sp = (u64)thread_begin;
    for (int i = 0; i < 6; i++) /* what switch_stacks() takes off */
        *--sp = 0;
    ti->rsp = (u64)sp;
    ti->state = THREAD_READY;
    list_add_tail(&ti->list, &ready);
    return 0;
}

int machine_thread_start(struct task *t, const struct pt_regs *regs, u64 tls)
{
    return thread_start(t, regs, tls, false);
}

int machine_fork(struct task *t, struct mm *mm, const struct pt_regs *regs, u64 tls)
{
    const struct mm *from = current->process->mm;

    mm->machine = from->machine ? pgtable_fork(from->machine) : NULL;
    if (from->machine && !mm->machine)
        return -ENOMEM;
    return thread_start(t, regs, tls, true); /* on a failure mm goes, and its tables with it */
}

void machine_thread_exit(void)
{
    struct thread_info *ti = thread_info();

    ti->state = THREAD_BLOCKED;
    ti->fpu_live = false;
    ti->task->machine = NULL;
    dead = ti;
    schedule();
    __builtin_unreachable();
}

void machine_block_prepare(void)
{
    struct thread_info *ti = thread_info();
    ti->wake_seen = ti->wake;
}

void machine_block_on_console(int fd, u32 events)
{
    if (fd >= 0 && fd <= 2)
        thread_info()->console_events[fd] |= (u16)events;
}

int machine_block(u64 deadline)
{
    struct thread_info *ti = thread_info();

    ti->timed_out = false;
    if (ti->wake == ti->wake_seen) {
        ti->deadline = deadline;
        ti->state = THREAD_BLOCKED;
        if (deadline || ti->console_events[0] | ti->console_events[1] | ti->console_events[2])
            list_add_tail(&ti->list, &blocked);
        schedule();
        ti->deadline = 0;
    }
    memset(ti->console_events, 0, sizeof(ti->console_events));
    ti->kicked = 0;
    events_drain();
    return ti->timed_out ? -ETIMEDOUT : 0;
}

void machine_wake(struct task *t)
{
    struct thread_info *ti = t->machine;
    if (!ti)
        return;
    ti->wake++;
    make_ready(ti);
}

void machine_kick(struct task *t)
{
    struct thread_info *ti = t->machine;
    if (!ti)
        return;
    ti->kicked = 1;
    machine_wake(t);
    for (struct cpu *c = cpus; c < cpus + cpus_online; c++)
        if (c->running == ti && c != this_cpu() && c->in_user)
            cpu_kick(c);
}

void machine_yield(void)
{
    thread_reschedule();
    if (cpus_online > 1) { /* to those that wait for the lock */
        kernel_unlock();
        kernel_lock();
    }
}
