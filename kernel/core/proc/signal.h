/* SPDX-License-Identifier: MIT */
/* Signals: what other parts of the kernel need beyond task.h. */
#ifndef CORE_SIGNAL_H
#define CORE_SIGNAL_H

#include "task.h"

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGSTKFLT 16
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGURG 23
#define SIGXCPU 24
#define SIGXFSZ 25
#define SIGVTALRM 26
#define SIGPROF 27
#define SIGWINCH 28
#define SIGSYS 31
#define SIGRTMIN 32

/* Beside kernel.h's: restart whatever runs in between. */
#define ERESTARTNOINTR 513

#define SIG_DFL 0ull
#define SIG_IGN 1ull

#define SA_NOCLDSTOP 0x00000001ull
#define SA_NOCLDWAIT 0x00000002ull
#define SA_SIGINFO 0x00000004ull
#define SA_EXPOSE_TAGBITS 0x00000800ull
#define SA_RESTORER 0x04000000ull
#define SA_ONSTACK 0x08000000ull
#define SA_RESTART 0x10000000ull
#define SA_NODEFER 0x40000000ull
#define SA_RESETHAND 0x80000000ull

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_TKILL (-6)

struct posix_timer;

/* Woken when a signal begins to wait for anybody: signalfd.c. */
extern struct wait_queue signalfd_wait;

/* A pending signal's siginfo. Signals that no memory was left for are pending without one. */
struct sigqueue {
    struct list_head list;
    struct process *process; /* whose nr_sigqueue counts it; NULL: part of a POSIX timer, not to be freed */
    struct posix_timer *timer;
    struct sigpending *pending; /* where it is queued */
    struct siginfo info;
};

/* Takes the first pending signal of set off the queues of t and its process; its number, 0: none. */
int signal_dequeue(struct task *t, sigset_t set, struct siginfo *info);
/* t is the calling thread; SIGKILL and SIGSTOP stay unblocked. */
void signal_set_blocked(struct task *t, sigset_t set);
void signal_init_task(struct task *t);
/* Drops what is pending for a thread that ends. */
void signal_flush(struct sigpending *pending, sigset_t set);
/* A thread ends or has blocked signals: others may have to take what waits for the process. */
void signal_retarget(struct process *p, struct task *leaving);
/* Queues q, a POSIX timer's own, for the process or for thread t of it. False: the signal is ignored. */
bool signal_send_timer(struct process *p, struct task *t, struct sigqueue *q);
void signal_cancel_timer(struct sigqueue *q);
/* Every thread of p has to end; status as wait(2) reports it. The first call counts. */
void process_end(struct process *p, int status);
/* A signal that cannot be put off: its default action if it is blocked or ignored. */
void signal_force(struct task *t, int sig, const struct siginfo *info);
/* Handlers back to the default; what is ignored stays so. */
void signal_clear_handlers(struct process *p);
/* A process has ended or lost its parent: if that left the group without anybody to continue it, its stopped members
 * get SIGHUP and SIGCONT, as POSIX has it. */
void signal_group_orphaned(pid_t pgid, pid_t sid);
/* A siginfo as kill(2) makes it. */
struct siginfo siginfo_user(int sig, int code);
/* Whether the calling process may send sig to p: kill(2). */
bool signal_may_send(const struct process *p, int sig);
/* One that user mode made up, for a signal to process pid: 0, -EFAULT, -EPERM. */
int siginfo_from_user(struct siginfo *info, u64 uinfo, pid_t pid, int sig);
/* execve: handlers back to the default, no alternate stack. */
void signal_exec(struct task *t);

/* The mask a call brings for its own duration (ppoll, pselect, epoll_pwait): 0, -EFAULT, -EINVAL. uset 0: none.
 * Undone by sigmask_restore(), or on the way to user mode after a handler has run. */
int sigmask_set_user(u64 uset, u64 size);
void sigmask_restore(void);

#endif
