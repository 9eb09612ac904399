/* SPDX-License-Identifier: MIT */
/* Tasks and processes: the lists of them, their numbers, what execve changes. Birth is in fork.c, the end in exit.c. */
#include "task.h"

#include "fs.h"
#include "mm.h"
#include "signal.h"
#include "syscall.h"
#include "task_impl.h"
#include "timer.h"

#define PID_MAX 0x400000
#define PID_RESERVED 300 /* numbers start here the second time round */

struct list_head task_list = LIST_HEAD_INIT(task_list);
struct list_head process_list = LIST_HEAD_INIT(process_list);

static pid_t last_pid = FIRST_PID - 1;
static u32 nr_tasks;
static struct task *first_task;

u32 task_count(void) { return nr_tasks; }

struct task *task_first(void) { return first_task; }

struct task *task_by_tid(pid_t tid)
{
    struct task *t;
    list_for_each_entry (t, &task_list, all)
        if (t->tid == tid)
            return t;
    return NULL;
}

struct process *process_by_pid(pid_t pid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pid == pid && !p->zombie)
            return p;
    return NULL;
}

struct process *process_or_zombie(pid_t pid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pid == pid)
            return p;
    return NULL;
}

void process_get(struct process *p) { p->refs++; }

void process_put(struct process *p)
{
    if (--p->refs)
        return;
    kfree(p->cmdline);
    kfree(p->environ);
    cred_put(&p->cred);
    kfree(p);
}

static bool pid_taken(pid_t pid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pid == pid || p->pgid == pid || p->sid == pid)
            return true;
    return task_by_tid(pid) != NULL;
}

pid_t pid_alloc(void)
{
    do {
        if (++last_pid >= PID_MAX)
            last_pid = PID_RESERVED;
    } while (pid_taken(last_pid)); /* NR_TASKS is far below PID_MAX */
    return last_pid;
}

struct task *task_alloc(struct process *p)
{
    if (nr_tasks >= NR_TASKS)
        return NULL;
    struct task *t = kmalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->process = p;
    signal_init_task(t);
    t->altstack_flags = 2; /* SS_DISABLE */
    return t;
}

void task_link(struct task *t, pid_t tid)
{
    t->tid = tid;
    list_add_tail(&t->sibling, &t->process->threads);
    list_add_tail(&t->all, &task_list);
    t->process->nr_threads++;
    nr_tasks++;
}

void task_unlink(struct task *t)
{
    list_del(&t->sibling);
    list_del(&t->all);
    t->process->nr_threads--;
    nr_tasks--;
}

static void process_limits(struct process *p)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        p->rlimit[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    p->rlimit[RLIMIT_STACK].cur = USER_STACK_SIZE;
    p->rlimit[RLIMIT_CORE].cur = 0;
    p->rlimit[RLIMIT_NPROC] = (struct rlimit){NR_TASKS, NR_TASKS};
    p->rlimit[RLIMIT_NOFILE] = (struct rlimit){NR_OPEN_SOFT, NR_OPEN};
    p->rlimit[RLIMIT_MEMLOCK] = (struct rlimit){8u << 20, 8u << 20};
    p->rlimit[RLIMIT_SIGPENDING] = (struct rlimit){NR_TASKS, NR_TASKS};
    p->rlimit[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
    p->rlimit[RLIMIT_NICE] = (struct rlimit){0, 0};
    p->rlimit[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
}

struct process *process_alloc(void)
{
    struct process *p = kmalloc(sizeof(*p));
    if (!p)
        return NULL;
    p->refs = 1;
    list_init(&p->all);
    list_init(&p->threads);
    list_init(&p->pending.queue);
    list_init(&p->timers);
    wait_queue_init(&p->child_wait);
    wait_queue_init(&p->pidfd_wait);
    p->exit_signal = SIGCHLD;
    p->dumpable = true;
    p->start_time = machine_clock(CLOCK_MONOTONIC);
    return p;
}

int task_init_first(void)
{
    struct process *p = process_alloc();
    struct task *t = p ? task_alloc(p) : NULL;

    if (!t)
        return -ENOMEM;
    p->mm = mm_create();
    p->files = files_create();
    p->fs = fs_create();
    if (!p->mm || !p->files || !p->fs)
        return -ENOMEM; /* the sandbox cannot start: nothing to tidy up for */
    process_limits(p);
    p->pid = p->pgid = pid_alloc();
    p->sid = 1; /* as if a shell had started it: leader of its group, not of the session */
    p->ppid = INIT_PID;
    strlcpy(t->comm, "thaw", sizeof(t->comm));
    list_add_tail(&p->all, &process_list);
    task_link(t, p->pid);
    first_task = t;
    return 0;
}

/* ---- execve ---- */

int task_exec_begin(void)
{
    struct task *self = current, *t;
    struct process *p = self->process;
    struct wait_entry e;
    int err = 0;

    if (p->exiting || self->killed)
        return -EAGAIN;
    list_for_each_entry (t, &p->threads, sibling)
        if (t != self) {
            t->killed = true;
            machine_kick(t);
        }
    wait_queue_add(&p->child_wait, &e, self);
    for (;;) {
        machine_block_prepare();
        if (p->nr_threads == 1)
            break;
        if (p->exiting || self->killed) {
            err = -EAGAIN;
            break;
        }
        machine_block(0);
    }
    wait_queue_remove(&e);
    if (!err)
        self->tid = p->pid;
    return err;
}

void task_exec_commit(const char *path)
{
    struct task *t = current;
    const char *name = strrchr(path, '/');

    signal_exec(t);
    process_timers_exec(t->process);
    t->clear_child_tid = 0;
    t->robust_list = 0;
    t->restart_nr = 0;
    t->process->did_exec = true;
    memset(t->comm, 0, sizeof(t->comm));
    strlcpy(t->comm, name ? name + 1 : path, sizeof(t->comm));
}
