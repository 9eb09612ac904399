/* SPDX-License-Identifier: MIT */
/* Inside the process machine: a kernel that runs as a confined host process. */
#ifndef PROCESS_H
#define PROCESS_H

#include "host.h"
#include "kernel.h"
#include "machine.h"
#include "task.h"

/* A host process: one address space, with the threads of the guest processes that use it. */
struct space {
    s32 host_pid;
    u32 threads;
};
extern struct space first_space; /* of the process that the monitor has started */

/* At the bottom of each kernel stack; found by masking the stack pointer. Offsets are known to entry.S. */
struct thread_info {
    struct task *task;
    u32 kicked;               /* look at signals before going to user mode or to sleep */
    u32 wake;                 /* counts wakes; the word the thread sleeps on */
    struct host_ucontext *uc; /* user mode's registers: the outermost signal frame */
    struct pt_regs *regs;
    u32 wake_seen; /* wake at machine_block_prepare() */
    u32 blocked;   /* asleep or about to be, the lock given up */
    u32 in_poll;   /* asleep in ppoll rather than on the futex */
    s32 host_tid;
    u32 slot;
    u16 console_events[3]; /* for the next machine_block() */
    struct space *space;
    u64 tls; /* of a process's first thread that is about to begin */
    /* Direct calls: see direct.h. */
    u64 user_rsp;
    u32 flags;
    bool late; /* a call is over but for signals; late_* are its registers until it comes in once more */
    bool gs_loaded;
    u64 gs; /* what GS base is to be in user mode */
    u64 late_rip, late_rax, late_orig_rax;
    u64 user_gs; /* what the program takes it to be */
};
#define TI_KICKED 8
_Static_assert(offsetof(struct thread_info, kicked) == TI_KICKED, "entry.S knows this offset");

static inline struct thread_info *thread_info(void)
{
    return (struct thread_info *)((u64)__builtin_frame_address(0) & ~(KSTACK_SIZE - 1));
}

static inline bool in_kernel_text(u64 rip) { return rip >= THAW_KERNEL_ADDR && rip < THAW_KERNEL_END; }
static inline bool is_user_range(u64 addr, u64 len)
{
    return addr >= THAW_USER_START && addr <= THAW_USER_END && len <= THAW_USER_END - addr;
}

/* A constant, not a variable: a snapshot must not be able to move it. */
#define boot ((struct thaw_boot *)THAW_BOOT_ADDR)
extern s32 host_pid;

/* ---- entry.S ---- */
extern char kernel_start[], kernel_text_end[], kernel_data_load[];
extern char kernel_data_start[], kernel_data_copy[], kernel_data_end[], kernel_bss_end[];
extern char host_intr_start[], host_intr_end[], host_intr_eintr[];
extern char signal_restorer[], signal_restorer_end[], process_begin[];
/* A host system call that a kick ends with -EINTR, even one that came just before it. */
s64 host_syscall_intr(long nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5, u32 *kicked);
/* Goes to user mode through the frame at uc; never returns. */
void enter_user(struct host_ucontext *uc) __noreturn;
/* A second return, as setjmp has it. */
struct resume_context {
    u64 rbx, rbp, r12, r13, r14, r15, rsp, rip;
};
int resume_save(struct resume_context *ctx);
void resume_jump(const struct resume_context *ctx, int value) __noreturn;
/* A thread or a process whose first act is thread_begin(), on a stack whose first word is its frame. */
s64 host_clone(u64 flags, void *stack, u32 *parent_tid, u32 *child_tid, u64 tls);
/* A copy of this process goes on with the caller's stack (0 or -errno), the calling thread ends. Signals blocked. */
s64 host_clone_move(u64 flags, u32 *parent_tid);
/* Gives the stack back by clearing its slot's word, and ends the thread without using it any more. */
void host_thread_exit(u32 *slot_word) __noreturn;
/* Handlers of HOST_SIG_PARK. */
extern char park_handler[];
void share_run_on(u64 stack_top, void (*fn)(void));

/* ---- uaccess.S: bytes not copied ---- */
u64 uaccess_copy(void *dst, const void *src, u64 n);
u64 uaccess_clear(void *dst, u64 n);
u64 uaccess_load_u32(u32 *dst, const u32 *src);
u64 uaccess_cmpxchg_u32(u32 *addr, u32 old, u32 new, u32 *seen);

/* ---- trap.c ---- */
void trap_init(void);
/* What came in from the host since: signals for the program, the timer. Under the lock. */
void trap_drain(void);

/* ---- monitor.c: after a restore no call is under way ---- */
void monitor_call_reset(void);

void trap_signal(int sig, void *handler, u64 mask);
void regs_load(struct pt_regs *r, const struct host_ucontext *uc);
void regs_store(const struct pt_regs *r, struct host_ucontext *uc);

/* ---- thread.c ---- */
#define NR_SLOTS ((THAW_KSTACK_END - THAW_KSTACK_ADDR) / KSTACK_SLOT)
#define SHARED_SLOTS ((u64)NR_TASKS) /* of them, once processes share their memory */
struct thread_info *kstack_alloc(void);
/* The stack of slot 0 is with the kernel's data. */
extern char first_stack[];
void thread_resume_first(void);
/* The thread of slot, NULL: it is free. */
struct thread_info *thread_of_slot(u32 slot);

/* The host signals of mask are blocked, all others not. */
void signals_block(u64 mask);

/* ---- share.c ---- */
extern bool memory_shared; /* the kernel's memory is that of THAW_FD_MEMORY, common to all host processes */
extern s32 notify_fd;      /* what seccomp(2) gave: the monitor decides with it about new processes */
/* The heap less its first part, which is with the data, begins here. */
#define HEAP_REST (THAW_HEAP_ADDR + HEAP_FIRST)
u64 shared_heap_end(void);
u64 shared_offset(u64 addr);
/* What the monitor is to know at once; no answer comes. */
void monitor_tell(u32 op, u64 a, u64 b);

/* ---- memory.c ---- */
void memory_init(bool restore);
u64 memory_image(void); /* where the image lies, if there is one */
void memory_fresh(void);
void memory_restore(void);
/* A fault at addr, where nothing is mapped: true if a deferred region belongs there and is mapped now. Under the lock. */
bool memory_fault(u64 addr);
void memory_settle_all(void); /* nothing is deferred any more */
/* Gives back what is not used of the huge page that a restore read the kernel's data into. Under the lock. */
void memory_trim(void);

/* ---- host_vdso.c ---- */
/* A clock was read by a call to the host: after so many of them, programs do it by the host's vDSO. */
void host_vdso_reading(void);
void host_vdso_forget(void); /* after a restore: it has not been looked at */

/* ---- clock.c ---- */
u64 host_clock(int id);
void clock_init(void);
void clock_freeze(void);                  /* before a snapshot */
void clock_process_ends(struct space *s); /* its timer goes with it */
void clock_check(void);                   /* the timer went with a process: set it anew */
void clock_thaw(void);                    /* after a restore: monotonic time goes on from where it was frozen */
u64 clock_to_host(u64 guest_monotonic);

#endif
