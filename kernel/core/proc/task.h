/* SPDX-License-Identifier: MIT */
/* Tasks (threads), processes and what they share. Everything is under the big kernel lock. */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include "cred.h"
#include "kernel.h"
#include "machine.h"
#include "wait.h"

struct mm;
struct files;
struct fs;
struct file;

typedef u64 sigset_t;
#define NSIG 64
#define sigmask(sig) (1ull << ((sig)-1))

struct k_sigaction {
    u64 handler; /* 0 SIG_DFL, 1 SIG_IGN */
    u64 flags;
    u64 restorer;
    sigset_t mask;
};

/* Linux's siginfo_t, 128 bytes, as user mode sees it. */
struct siginfo {
    s32 si_signo, si_errno, si_code, pad;
    union {
        struct {
            s32 pid;
            u32 uid;
            s32 status;
            u32 pad;
            s64 utime, stime;
        } chld; /* also kill: pid, uid */
        struct {
            s32 pid;
            u32 uid;
            u64 value;
        } rt;
        struct {
            s32 tid, overrun;
            u64 value;
        } timer;
        struct {
            u64 addr;
            s16 addr_lsb;
        } fault;
        u8 fill[112];
    };
};

struct sigpending {
    sigset_t set;
    struct list_head queue; /* struct sigqueue: siginfo of pending signals, in order */
};

struct rlimit {
    u64 cur, max;
};
#define RLIM_INFINITY (~0ull)
enum {
    RLIMIT_CPU,
    RLIMIT_FSIZE,
    RLIMIT_DATA,
    RLIMIT_STACK,
    RLIMIT_CORE,
    RLIMIT_RSS,
    RLIMIT_NPROC,
    RLIMIT_NOFILE,
    RLIMIT_MEMLOCK,
    RLIMIT_AS,
    RLIMIT_LOCKS,
    RLIMIT_SIGPENDING,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_RTPRIO,
    RLIMIT_RTTIME,
    RLIM_NLIMITS
};

/* A thread group: what POSIX calls a process. */
struct process {
    u32 refs; /* the list's and its pidfds' */
    pid_t pid, ppid, pgid, sid;
    struct list_head all;     /* in process_list */
    struct list_head threads; /* task.sibling */
    u32 nr_threads;
    struct cred cred;
    struct mm *mm;
    struct files *files;
    struct fs *fs;
    struct k_sigaction sigaction[NSIG];
    struct sigpending pending;
    struct rlimit rlimit[RLIM_NLIMITS];
    bool exiting; /* exit_group or a fatal signal; exit_status is set */
    bool zombie;
    int exit_status; /* as wait(2) reports it */
    s32 exit_signal; /* what the parent gets at the end; 0: nothing */
    bool stopped;    /* by SIGSTOP and its kin: its threads wait on the way to user mode */
    s32 stop_signal; /* a stop that no wait(2) has reported yet; 0: none */
    bool continued;  /* the same of a SIGCONT */
    bool did_exec;
    char comm[16];                /* of its last thread, once that has ended */
    struct vfork *vfork;          /* the parent's thread that sleeps until execve or exit */
    u64 cpu_time, child_cpu_time; /* ns; its own once it has ended, and that of children it has waited for */
    bool oom;                     /* killed for want of memory */
    u64 start_time;
    s32 nice;
    char *cmdline; /* argv strings, each with its NUL */
    size_t cmdline_len;
    char *environ;
    size_t environ_len;
    char exe[PATH_MAX];           /* absolute path of the program */
    struct wait_queue child_wait; /* woken when a child, or a thread of this process, has ended */
    struct wait_queue pidfd_wait; /* woken when this process has ended */
    struct list_head timers;      /* POSIX timers: posix_timer.list */
    struct itimer *itimers;       /* setitimer's, ITIMER_* the index; NULL until first used */
    u32 nr_sigqueue;              /* queued signals of this process and its threads */
    s32 pdeathsig;
    s32 oom_score_adj; /* kept for /proc, of no effect */
    bool no_new_privs, dumpable, child_subreaper;
};

struct task {
    pid_t tid;
    struct process *process;
    struct list_head sibling;
    struct list_head all; /* in task_list */
    sigset_t blocked, saved_blocked;
    bool restore_blocked; /* saved_blocked goes back once no handler runs (sigsuspend, ppoll) */
    struct sigpending pending;
    u64 altstack_sp, altstack_size;
    u32 altstack_flags;
    u64 clear_child_tid, set_child_tid; /* user addresses, 0: none */
    u64 robust_list;
    /*
     * A call that sleeps for a relative time ends with -ERESTART_RESTARTBLOCK when a signal comes, with its deadline
     * (CLOCK_MONOTONIC ns) here. If no handler runs it is called again with the same arguments, and finds the deadline
     * here once more; at every other call this is 0.
     */
    u64 restart_deadline;
    u32 restart_nr; /* number of the call that restart_syscall is to repeat; 0: none */
    char comm[16];
    struct wait_queue *waiting; /* for debugging: where it sleeps */
    u64 syscalls;
    sigset_t sigwait;            /* rt_sigtimedwait waits for these, blocked as they are */
    bool takes_shared;           /* this thread is the one to take what is pending for the process */
    bool killed;                 /* another thread of the process runs execve: this one has to end */
    struct pt_regs *regs;        /* user mode's, of the system call being served */
    u64 fault_addr, fault_error; /* of the last fault, for the signal frame */
    u64 fault_trap;
    u64 cpus_allowed; /* 0: all */
    u32 sched_policy;
    void *machine; /* the machine's part, its own to allocate and free */
};

extern struct list_head task_list, process_list;

/* True when a signal that is not blocked waits for the task, or the process is exiting. */
bool signal_pending(struct task *t);

/* Sends sig to one thread or to a process; info NULL: as the kernel's own. 0 or -EAGAIN. */
int signal_send_task(struct task *t, int sig, const struct siginfo *info);
int signal_send_process(struct process *p, int sig, const struct siginfo *info);

struct task *task_by_tid(pid_t tid);
struct process *process_by_pid(pid_t pid);    /* one that has not ended */
struct process *process_or_zombie(pid_t pid); /* or one that nobody has waited for yet */
void process_get(struct process *p);
void process_put(struct process *p);
/* Makes the first process, number 2, and its thread: with files, fs and mm of its own, in no list of children. */
int task_init_first(void);
struct task *task_first(void); /* that thread, for the machine */
/* Ends the calling thread, and with the last one the process; status as wait(2) reports it. */
void task_exit(int status) __noreturn;
/* execve: ends the other threads, so that what they share can be changed. -EAGAIN: the process is ending itself. */
int task_exec_begin(void);
/* execve, past the point of no return: signal handlers, timers, robust list, name. path: of the program. */
void task_exec_commit(const char *path);
/* Threads in the sandbox, for /proc and sysinfo. */
u32 task_count(void);

/* Ends the calling thread's process; status as wait(2) reports it. Takes effect on the way to user mode. */
void process_exit_group(int status);

#endif
