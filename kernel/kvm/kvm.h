/* SPDX-License-Identifier: MIT */
/* Inside the kvm machine: a kernel in ring 0 of a virtual machine. */
#ifndef KVM_H
#define KVM_H

#include "kernel.h"
#include "machine.h"
#include "task.h"

/*
 * The kernel's half of every address space, 0x7000_0000_0000 to 0x7100_0000_0000, besides what thaw_abi.h names. All of
 * it is supervisor memory, but for the vDSO's data.
 */
#define VDSO_DATA_ADDR 0x0000700000400000ull /* a page that user mode may read */
#define VMEMMAP_ADDR 0x0000700080000000ull   /* struct frame[], as far as memory has been used */
#define DIRECT_ADDR 0x0000708000000000ull    /* guest-physical memory, at its address */

#define KSTACK_USED (32ul << 10) /* of a slot's KSTACK_SIZE, mapped at its upper end */

/* ---- the monitor's page (call.c) ---- */
#define boot ((struct thaw_boot *)THAW_BOOT_ADDR)
static inline struct thaw_kvm *kvm_page(void) { return (struct thaw_kvm *)((u64)boot + boot->kvm_off); }
/* This processor's, of kvm_page()->call. */
struct thaw_call *monitor_answer(void);
/* Has that served. Its ret. Needs no lock; what uses kvm_page()->data does. */
s64 monitor_call(u32 op, u64 a0, u64 a1, u64 a2);
/* The same with call->len bytes that are in kvm_page()->data already. */
s64 monitor_call_data(const struct thaw_call *call);

/* ---- threads (thread.c) ---- */
enum thread_state { THREAD_FREE, THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED };

/* At the lower end of each kernel stack's slot, a guard between them; found by masking the stack pointer. */
struct thread_info {
    struct task *task;
    u64 rsp; /* while it does not run */
    u32 slot;
    enum thread_state state;
    struct list_head list; /* ready, or blocked with something to wait for */
    u32 kicked;            /* look at signals before going to user mode */
    u32 wake, wake_seen;
    bool timed_out;
    u16 console_events[3];
    u64 deadline; /* blocked: until then; 0: no limit */
    u64 fsbase, gsbase;
    u64 cpu_ns;    /* processor time, up to the last time it began to run */
    bool forked;   /* begins in task_begin() */
    bool fpu_live; /* user mode's FPU state is in the registers; else in the slot's FPU area */
};

static inline struct thread_info *thread_info(void)
{
    return (struct thread_info *)((u64)__builtin_frame_address(0) & ~(KSTACK_SIZE - 1));
}
static inline u64 thread_stack_top(const struct thread_info *ti) { return (u64)ti + KSTACK_SIZE; }
static inline struct pt_regs *thread_regs(const struct thread_info *ti)
{
    return (struct pt_regs *)(thread_stack_top(ti) - sizeof(struct pt_regs));
}

struct thread_info *kstack_alloc(void);
/* Of a processor's idle thread: with a small stack more, for faults, between unmapped pages. */
struct thread_info *kstack_alloc_idle(void);
u64 kstack_fault_top(const struct thread_info *idle);
void thread_running_first(struct thread_info *ti); /* the code on its stack is what runs */
void thread_resume(void);                          /* after a restore */
/* Gives way if another thread is ready. */
void thread_reschedule(void);
/* The interrupt that came to user mode. */
void thread_interrupted(void);
u64 thread_cpu_time(bool all); /* of the current thread, or of all that ever ran; ns */
/* What came from outside: signals, the timer, kicks. */
void events_drain(void);
bool events_pending(void);
/* Before user mode runs: the timer is set for what is to end it, and who sleeps while threads are ready is called. */
void timer_program(void);
void cpus_wake(void);
/* What a processor without work does, on its idle thread, with the lock held. */
void idle_loop(void) __noreturn;
void lock_reset(void); /* held by the caller, the only one there is */

/* ---- processors (cpu.c). Each finds its own by GS. ---- */
struct cpu {
    u64 user_rsp; /* offsets known to entry.S */
    u64 kstack;   /* top of the running thread's */
    struct cpu *self;
    u32 index;
    struct thread_info *running; /* NULL: it has not come up yet */
    struct thread_info *idle;    /* NULL as long as there is only one processor */
    u64 *pml4;                   /* loaded in CR3 */
    u64 running_since;           /* of what runs, host time */
    u64 slice_start;             /* the same, but not moved on by looks at the processor time */
    bool waiting;                /* in the monitor, and nobody has called it yet */
    bool resched;                /* its thread has had its turn */
    bool in_user;                /* in user mode, or on the way to it or back, without the lock */
    bool flush;                  /* its TLB is to be flushed before it does anything with the lock */
    struct __packed task_state {
        u32 reserved0;
        u64 rsp[3];
        u64 reserved1;
        u64 ist[7];
        u64 reserved2;
        u16 reserved3, iomap;
    } tss;
    u64 gdt[10] __attribute__((aligned(64)));
};
#define CPU_USER_RSP 0
#define CPU_KSTACK 8
#define CPU_SELF 16
_Static_assert(offsetof(struct cpu, user_rsp) == CPU_USER_RSP && offsetof(struct cpu, kstack) == CPU_KSTACK &&
                   offsetof(struct cpu, self) == CPU_SELF,
               "entry.S knows these offsets");
_Static_assert(sizeof(struct task_state) == 104, "the processor's");
extern struct cpu cpus[THAW_KVM_CPUS_MAX];
extern u32 cpus_online; /* cpus[] from here on have not been started */
/* A thread that gives the processor away may go on on another: not to be kept beyond that. */
static inline struct cpu *this_cpu(void)
{
    struct cpu *c;
    __asm__ volatile("mov %%gs:%c1, %0" : "=r"(c) : "i"(CPU_SELF));
    return c;
}
void cpu_select(u32 index); /* the processor that runs this is cpus[index] */
void cpu_init(void);        /* tables and registers: at a cold boot, after a restore, and of each that is started */
void cpu_features_init(void);
void cpu_set_kstack(u64 top);
void cpus_start(void); /* all that the sandbox may have; what there is no memory for is left out */
void cpus_reset(void); /* after a restore: this is the first, and there are no others */
void cpu_relax(u32 n); /* in a loop that waits for another processor, the nth time */
/* The kernel on c is to look at what is new for it. */
void cpu_kick(struct cpu *c);
/*
 * Before pages or tables of an address space are taken from it: none of the others is in user mode in it afterwards,
 * before the lock is dropped, and what they have in their TLBs they flush before they go there.
 */
void cpus_leave(const u64 *pml4);
void cpus_flush_later(void); /* a mapping of the kernel's own has gone that only this processor can have used */
extern bool cpu_has_fsgsbase, cpu_has_smap, cpu_has_gbpages;

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
    u32 lo, hi;
    __asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (u64)hi << 32 | lo;
}

/* ---- FPU (fpu.c) ---- */
void fpu_init(void);
u32 fpu_pages(void); /* of the FPU area, behind struct thread_info in the slot */
void fpu_save(struct thread_info *ti);
void fpu_load(struct thread_info *ti);
void fpu_reset(struct thread_info *ti);
void fpu_copy(struct thread_info *to, struct thread_info *from);

/* ---- physical memory (frame.c): pages of RAM, by guest-physical address; 0: none left ---- */
void frame_init(void);
void frame_resume(void); /* after a restore: there may be more or less of it */
u64 frame_alloc(void);   /* contents undefined */
u64 frame_alloc_zeroed(void);
u64 frame_alloc_huge(void);   /* 2 MiB, zeroed, each frame of it counted by itself */
u64 frame_alloc_kernel(void); /* zeroed, for good, also from the reserve */
void frame_get(u64 gpa);
void frame_put(u64 gpa);
u32 frame_refs(u64 gpa);
u64 frame_end(void);    /* nothing above has ever been used */
void frame_scrub(void); /* zeroes what is free, for a snapshot */
static inline void *frame_address(u64 gpa) { return (void *)(DIRECT_ADDR + gpa); }
static inline bool is_ram(u64 gpa) { return gpa >= THAW_KVM_RAM_GPA; }

/* ---- page tables (pgtable.c) ---- */
void pgtable_init(void);
void flush_global(void); /* this processor's TLB, all of it */
/* Maps the kernel's own. flags: PTE_*. -ENOMEM. */
int kernel_map(u64 addr, u64 gpa, u64 flags);
u64 kernel_unmap(u64 addr); /* what was mapped there */
#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
extern u64 zero_page_gpa;
u64 kernel_gpa(const void *p); /* of an address in the kernel image */

u64 *pgtable_create(void); /* an address space without user memory; NULL */
void pgtable_free(u64 *pml4);
u64 *pgtable_fork(u64 *pml4); /* a copy, private pages copied when one of them writes; NULL */
int pgtable_zero(u64 *pml4, u64 addr, u64 len, u32 prot);
int pgtable_image(u64 *pml4, u64 addr, u64 len, u32 prot, u64 offset);
int pgtable_common(u64 *pml4, u64 addr, u64 len, u32 prot, const void *heap); /* pages of the kernel's heap */
int pgtable_clear(u64 *pml4, u64 addr, u64 len);
int pgtable_protect(u64 *pml4, u64 addr, u64 len, u32 prot);
int pgtable_discard(u64 *pml4, u64 addr, u64 len);
int pgtable_move(u64 *pml4, u64 from, u64 to, u64 len);
void pgtable_advise_huge(u64 *pml4, u64 addr, u64 len);
/* A fault: 0 the access can be tried again, -EFAULT not allowed, -ENXIO nothing is mapped, -ENOMEM. */
int pgtable_fault(u64 *pml4, u64 addr, bool write, bool exec);

/* ---- memory.c ---- */
int memory_fault(u64 addr, bool write, bool exec); /* as pgtable_fault, for the current task */
void memory_switch(struct task *t);                /* its address space becomes the processor's; NULL: none */
void memory_load(u64 *pml4);

/* ---- uaccess.S: bytes not copied ---- */
u64 uaccess_copy(void *dst, const void *src, u64 n);
u64 uaccess_clear(void *dst, u64 n);
u64 uaccess_load_u32(u32 *dst, const u32 *src);
u64 uaccess_cmpxchg_u32(u32 *addr, u32 old, u32 new, u32 *seen);
static inline bool is_user_range(u64 addr, u64 len)
{
    return addr >= THAW_USER_START && addr <= THAW_USER_END && len <= THAW_USER_END - addr;
}

/* ---- entry.S, kernel.lds ---- */
extern char kernel_start[], kernel_text_end[], kernel_rodata_end[], kernel_data_end[], kernel_bss_end[];
extern char boot_stack_guard[], boot_stack_end[], fault_stack_guard[], fault_stack_end[];
extern u64 kvm_pml4[512], kvm_pdpt_low[512], kvm_pdpt_direct[512], kvm_pd_low[512];
extern void (*const trap_entries[])(void);
extern char syscall_entry[];
void switch_stacks(u64 *save_rsp, u64 load_rsp);
void thread_begin(void);
void thread_enter_user(struct pt_regs *regs) __noreturn;
struct resume_context {
    u64 rbx, rbp, r12, r13, r14, r15, rsp, rip;
};
int resume_save(struct resume_context *ctx);
void resume_jump(const struct resume_context *ctx, int value) __noreturn;

/* ---- trap.c ---- */
#define TRAP_ENTRIES 33 /* exceptions and THAW_KVM_VECTOR */
#define TRAP_SYSCALL32 0x80
extern char int80_entry[];
/* True: the registers allow SYSRET. */
bool trap_return(struct pt_regs *regs);

/* ---- clock.c ---- */
void clock_init(void);
void clock_freeze(void);
void clock_thaw(void);
u64 clock_now(void); /* the guest's CLOCK_MONOTONIC */
u64 clock_to_host(u64 monotonic);
void clock_timer_check(void);   /* core's timer, if it is due */
u64 clock_timer_deadline(void); /* of core's timer; 0: none */

/* ---- panic.c ---- */
void console_log(const char *s, size_t n);
void panic_regs(const char *what, const struct pt_regs *regs, u64 addr) __noreturn;

#endif
