/* SPDX-License-Identifier: MIT */
/* Timers that send signals: setitimer(2), alarm(2), timer_create(2). */
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define ITIMER_REAL 0
#define ITIMER_VIRTUAL 1
#define ITIMER_PROF 2
#define NR_ITIMERS 3

/* A period below this would leave the sandbox no time for anything else. */
#define PERIOD_MIN (50 * NSEC_PER_USEC)
/* CPU time is looked at no more often than this. */
#define CPU_STEP_MIN (1000 * NSEC_PER_USEC)

/* When to look again at the processor time, so as not to miss that it has reached deadline. */
static u64 cpu_next_look(u64 used, u64 deadline)
{
    u64 cpus = max(machine_boot()->cpus, 1u);
    u64 left = deadline > used ? (deadline - used) / cpus : 0;
    return deadline_after(machine_clock(CLOCK_MONOTONIC), max(left, CPU_STEP_MIN));
}

/* The first time after now that is start plus a multiple of period; the periods passed over in *missed. */
static u64 period_next(u64 start, u64 period, u64 now, u64 *missed)
{
    u64 n = now >= start ? (now - start) / period : 0;
    *missed = n;
    return deadline_after(start, (n + 1) * period);
}

/* ---- setitimer ---- */

/* The machine has one figure for processor time, so ITIMER_VIRTUAL counts the system's share as well. */
struct itimer {
    struct ktimer timer;
    struct process *process;
    int which;
    u64 deadline; /* CLOCK_MONOTONIC, or processor time; 0: off */
    u64 interval;
};
static const u8 itimer_signal[NR_ITIMERS] = {SIGALRM, SIGVTALRM, SIGPROF};

static u64 itimer_now(int which)
{
    return machine_clock(which == ITIMER_REAL ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID);
}

static void itimer_start(struct itimer *it)
{
    if (!it->deadline)
        timer_cancel(&it->timer);
    else if (it->which == ITIMER_REAL)
        timer_set(&it->timer, it->deadline);
    else
        timer_set(&it->timer, cpu_next_look(itimer_now(it->which), it->deadline));
}

static void itimer_fire(struct ktimer *timer)
{
    struct itimer *it = container_of(timer, struct itimer, timer);
    u64 now = itimer_now(it->which), missed;

    if (now >= it->deadline) {
        signal_send_process(it->process, itimer_signal[it->which], NULL);
        it->deadline = it->interval ? period_next(it->deadline, max(it->interval, PERIOD_MIN), now, &missed) : 0;
    }
    itimer_start(it);
}

static struct itimer *itimer_of(struct process *p, int which)
{
    if (!p->itimers) {
        p->itimers = kmalloc(NR_ITIMERS * sizeof(struct itimer));
        if (!p->itimers)
            return NULL;
        for (int i = 0; i < NR_ITIMERS; i++) {
            p->itimers[i] = (struct itimer){.process = p, .which = i};
            timer_init(&p->itimers[i].timer, itimer_fire);
        }
    }
    return &p->itimers[which];
}

/* Time left, at least 1 ns while the timer runs. */
static u64 itimer_left(const struct itimer *it)
{
    if (!it->deadline)
        return 0;
    u64 now = itimer_now(it->which);
    return it->deadline > now ? it->deadline - now : 1;
}

struct itimerval {
    struct {
        s64 sec, usec;
    } interval, value;
};

/* Rounded up: what still runs must not read as 0. */
static void itimer_report(struct process *p, int which, struct itimerval *v)
{
    *v = (struct itimerval){0};
    if (!p->itimers)
        return;
    struct itimer *it = &p->itimers[which];
    u64 left = (itimer_left(it) + NSEC_PER_USEC - 1) / NSEC_PER_USEC, interval = it->interval / NSEC_PER_USEC;
    v->value.sec = (s64)(left / 1000000);
    v->value.usec = (s64)(left % 1000000);
    v->interval.sec = (s64)(interval / 1000000);
    v->interval.usec = (s64)(interval % 1000000);
}

static int timeval_ns(s64 sec, s64 usec, u64 *ns)
{
    if (sec < 0 || usec < 0 || usec >= 1000000)
        return -EINVAL;
    *ns =
        sec > (s64)(TIME_MAX_NS / NSEC_PER_SEC) - 1 ? TIME_MAX_NS : (u64)sec * NSEC_PER_SEC + (u64)usec * NSEC_PER_USEC;
    return 0;
}

SYSCALL(getitimer)
{
    struct itimerval v;
    if (a0 >= NR_ITIMERS)
        return -EINVAL;
    itimer_report(current->process, (int)a0, &v);
    return copy_to_user((void __user *)a1, &v, sizeof(v)) ? -EFAULT : 0;
}

SYSCALL(setitimer)
{
    struct process *p = current->process;
    struct itimerval v = {0}, old;
    u64 value, interval;

    if (a0 >= NR_ITIMERS)
        return -EINVAL;
    if (a1 && copy_from_user(&v, (const void __user *)a1, sizeof(v)))
        return -EFAULT;
    if (timeval_ns(v.value.sec, v.value.usec, &value) || timeval_ns(v.interval.sec, v.interval.usec, &interval))
        return -EINVAL;
    struct itimer *it = itimer_of(p, (int)a0);
    if (!it)
        return -ENOMEM;
    itimer_report(p, (int)a0, &old);
    it->interval = interval;
    it->deadline = value ? deadline_after(itimer_now(it->which), value) : 0;
    itimer_start(it);
    if (a2 && copy_to_user((void __user *)a2, &old, sizeof(old)))
        return -EFAULT;
    return 0;
}

SYSCALL(alarm)
{
    struct process *p = current->process;
    struct itimer *it = itimer_of(p, ITIMER_REAL);
    u32 seconds = (u32)a0;

    if (!it)
        return 0; /* alarm cannot fail */
    u64 left = itimer_left(it), sec = left / NSEC_PER_SEC;
    /* As Linux rounds: to the nearest second, but never to 0. */
    if (left && (!sec || left % NSEC_PER_SEC >= NSEC_PER_SEC / 2))
        sec++;
    it->interval = 0;
    it->deadline = seconds ? deadline_after(itimer_now(ITIMER_REAL), seconds * NSEC_PER_SEC) : 0;
    itimer_start(it);
    return (s64)sec;
}

/* ---- POSIX timers ---- */

#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD 2
#define SIGEV_THREAD_ID 4

struct posix_timer {
    struct list_head list; /* in process.timers, by id */
    struct ktimer timer;
    struct sigqueue sigqueue;
    struct process *process;
    s32 id, clock;
    s32 notify, tid;
    u64 value;    /* sigev_value */
    u64 deadline; /* in the timer's clock; 0: not armed */
    u64 interval;
    bool wall;    /* deadline is of CLOCK_REALTIME */
    bool waiting; /* the signal is queued; the next period starts when it is taken */
    u32 overrun;  /* of the signal taken last */
};

static u64 posix_timer_now(const struct posix_timer *pt)
{
    if (pt->wall)
        return machine_clock(CLOCK_REALTIME);
    return machine_clock(pt->clock == CLOCK_PROCESS_CPUTIME_ID ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
}

static void posix_timer_start(struct posix_timer *pt)
{
    if (!pt->deadline)
        timer_cancel(&pt->timer);
    else if (pt->clock == CLOCK_PROCESS_CPUTIME_ID)
        timer_set(&pt->timer, cpu_next_look(posix_timer_now(pt), pt->deadline));
    else if (pt->wall)
        timer_set_wall(&pt->timer, pt->deadline);
    else
        timer_set(&pt->timer, pt->deadline);
}

/* On to the next period; the number of those that passed unseen. */
static u64 posix_timer_forward(struct posix_timer *pt)
{
    u64 missed = 0;
    pt->deadline =
        pt->interval ? period_next(pt->deadline, max(pt->interval, PERIOD_MIN), posix_timer_now(pt), &missed) : 0;
    return missed;
}

static void posix_timer_fire(struct ktimer *timer)
{
    struct posix_timer *pt = container_of(timer, struct posix_timer, timer);
    struct task *t = NULL;

    if (posix_timer_now(pt) < pt->deadline) { /* processor time is not there yet */
        posix_timer_start(pt);
        return;
    }
    if (pt->notify == SIGEV_NONE || pt->waiting)
        return; /* timer_gettime works it out */
    if (pt->notify == SIGEV_THREAD_ID) {
        t = task_by_tid(pt->tid);
        if (!t || t->process != pt->process) {
            pt->deadline = 0;
            return;
        }
    }
    pt->sigqueue.info.si_code = SI_TIMER;
    pt->sigqueue.info.timer.tid = pt->id;
    pt->sigqueue.info.timer.overrun = 0;
    pt->sigqueue.info.timer.value = pt->value;
    if (signal_send_timer(pt->process, t, &pt->sigqueue)) {
        pt->waiting = true;
    } else { /* ignored: the periods go on */
        posix_timer_forward(pt);
        posix_timer_start(pt);
    }
}

void posix_timer_delivered(struct posix_timer *pt, struct siginfo *info)
{
    pt->waiting = false;
    u64 missed = posix_timer_forward(pt);
    pt->overrun = (u32)min(missed, (u64)0x7fffffff);
    info->timer.overrun = (s32)pt->overrun;
    posix_timer_start(pt);
}

static struct posix_timer *posix_timer_find(struct process *p, u64 id)
{
    struct posix_timer *pt;
    list_for_each_entry (pt, &p->timers, list)
        if (pt->id == (s32)id)
            return pt;
    return NULL;
}

static void posix_timer_free(struct posix_timer *pt)
{
    timer_cancel(&pt->timer);
    signal_cancel_timer(&pt->sigqueue);
    list_del(&pt->list);
    pt->process->nr_sigqueue--;
    kfree(pt);
}

struct sigevent {
    u64 value;
    s32 signo, notify, tid;
    s32 pad[11];
};
_Static_assert(sizeof(struct sigevent) == 64, "struct sigevent");

SYSCALL(timer_create)
{
    struct process *p = current->process;
    struct sigevent ev = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
    struct posix_timer *pt, *other;
    s32 clock = (s32)a0, id = 0;

    int machine_id, err = clock_resolve(clock, &machine_id);
    if (err || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
        return -EINVAL;
    if (machine_id == CLOCK_THREAD_CPUTIME_ID) /* another thread's time is not to be had when the timer is looked at */
        return -EOPNOTSUPP;
    if (machine_id == CLOCK_PROCESS_CPUTIME_ID)
        clock = machine_id;
    if (a1 && copy_from_user(&ev, (const void __user *)a1, sizeof(ev)))
        return -EFAULT;
    if (ev.notify == SIGEV_THREAD_ID) {
        struct task *t = task_by_tid(ev.tid);
        if (!t || t->process != p)
            return -EINVAL;
    } else if (ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_NONE && ev.notify != SIGEV_THREAD) {
        return -EINVAL;
    }
    if (ev.notify != SIGEV_NONE && (ev.signo < 1 || ev.signo > NSIG))
        return -EINVAL;
    if (p->nr_sigqueue >= p->rlimit[RLIMIT_SIGPENDING].cur)
        return -EAGAIN;

    struct list_head *pos = &p->timers;
    list_for_each_entry (other, &p->timers, list) {
        pos = &other->list;
        if (other->id != id) {
            pos = other->list.prev;
            break;
        }
        id++;
    }
    pt = kmalloc(sizeof(*pt));
    if (!pt)
        return -EAGAIN;
    if (copy_to_user((void __user *)a2, &id, sizeof(id))) {
        kfree(pt);
        return -EFAULT;
    }
    pt->process = p;
    pt->id = id;
    pt->clock = clock;
    pt->notify = ev.notify;
    pt->tid = ev.tid;
    pt->value = a1 ? ev.value : (u64)id;
    pt->sigqueue.timer = pt;
    pt->sigqueue.info.si_signo = ev.signo;
    list_init(&pt->sigqueue.list);
    timer_init(&pt->timer, posix_timer_fire);
    list_add(&pt->list, pos);
    p->nr_sigqueue++;
    return 0;
}

static void posix_timer_report(const struct posix_timer *pt, struct itimerspec *its)
{
    u64 now = posix_timer_now(pt), left = 0, missed, deadline = pt->deadline;

    if (deadline && now >= deadline && pt->interval)
        deadline = period_next(deadline, pt->interval, now, &missed);
    if (deadline)
        left = deadline > now ? deadline - now : (pt->notify == SIGEV_NONE ? 0 : 1);
    its->value = (struct timespec){(s64)(left / NSEC_PER_SEC), (s64)(left % NSEC_PER_SEC)};
    its->interval = (struct timespec){(s64)(pt->interval / NSEC_PER_SEC), (s64)(pt->interval % NSEC_PER_SEC)};
}

SYSCALL(timer_gettime)
{
    struct posix_timer *pt = posix_timer_find(current->process, a0);
    struct itimerspec its;
    if (!pt)
        return -EINVAL;
    posix_timer_report(pt, &its);
    return copy_to_user((void __user *)a1, &its, sizeof(its)) ? -EFAULT : 0;
}

SYSCALL(timer_settime)
{
    struct posix_timer *pt = posix_timer_find(current->process, a0);
    struct itimerspec old;
    u64 value, interval;
    int err;

    if (!a2)
        return -EINVAL;
    if ((err = get_timespec(&interval, a2)) || (err = get_timespec(&value, a2 + sizeof(struct timespec))))
        return err;
    if (!pt)
        return -EINVAL;
    posix_timer_report(pt, &old);
    timer_cancel(&pt->timer);
    signal_cancel_timer(&pt->sigqueue);
    pt->waiting = false;
    pt->overrun = 0;
    pt->interval = interval;
    pt->wall = (a1 & TIMER_ABSTIME) &&
               (pt->clock == CLOCK_REALTIME || pt->clock == CLOCK_REALTIME_ALARM || pt->clock == CLOCK_TAI);
    if (!value)
        pt->deadline = 0;
    else if (a1 & TIMER_ABSTIME)
        pt->deadline = value;
    else
        pt->deadline = deadline_after(posix_timer_now(pt), value);
    posix_timer_start(pt);
    if (a3 && copy_to_user((void __user *)a3, &old, sizeof(old)))
        return -EFAULT;
    return 0;
}

SYSCALL(timer_getoverrun)
{
    struct posix_timer *pt = posix_timer_find(current->process, a0);
    return pt ? (s64)pt->overrun : -EINVAL;
}

SYSCALL(timer_delete)
{
    struct posix_timer *pt = posix_timer_find(current->process, a0);
    if (!pt)
        return -EINVAL;
    posix_timer_free(pt);
    return 0;
}

void process_timers_exec(struct process *p)
{
    while (!list_empty(&p->timers))
        posix_timer_free(list_first_entry(&p->timers, struct posix_timer, list));
}

void process_timers_delete(struct process *p)
{
    process_timers_exec(p);
    if (p->itimers)
        for (int i = 0; i < NR_ITIMERS; i++)
            timer_cancel(&p->itimers[i].timer);
    kfree(p->itimers);
    p->itimers = NULL;
}
