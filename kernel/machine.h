/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's core asks of the machine it runs on. Two implementations: kernel/process, kernel/kvm.
 *
 * Unless said otherwise functions are called with the big kernel lock held, return 0 or -errno, take
 * byte addresses and lengths that are page-aligned, and do not block.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "kernel.h"
#include "pt_regs.h"
#include "thaw_abi.h"

struct task;
struct mm;

/* Registers of user mode at the entry to the kernel, in the order of Linux's struct pt_regs. */
struct pt_regs {
    u64 r15, r14, r13, r12, rbp, rbx;
    u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 orig_rax; /* the system call's number, or -1: not a system call */
    u64 rip, cs, eflags, rsp, ss;
};
_Static_assert(offsetof(struct pt_regs, rbx) == R_RBX && offsetof(struct pt_regs, rdi) == R_RDI &&
                   offsetof(struct pt_regs, orig_rax) == R_ORIG_RAX && offsetof(struct pt_regs, rip) == R_RIP &&
                   offsetof(struct pt_regs, rsp) == R_RSP && sizeof(struct pt_regs) == R_SIZE,
               "pt_regs.h knows these offsets");

/* ---- the boot area, shared with the monitor ---- */
struct thaw_boot *machine_boot(void);

/* ---- threads ---- */

/* The task that runs this code. */
struct task *machine_current(void);
#define current machine_current()

/* The code that runs is the first task's from here on. */
void machine_thread_first(struct task *t);
/*
 * Makes a thread that begins in user mode with regs, the caller's FPU state and the fs base tls; *fn before that
 * in kernel context of the new thread, with the lock held. The task's machine part is initialised here.
 */
int machine_thread_start(struct task *t, const struct pt_regs *regs, u64 tls);
/*
 * To be called before machine_fork(), machine_map_pages() and a machine_exec() that leaves an address space: makes the
 * kernel's own memory common to more than one. The lock may be dropped meanwhile. -EAGAIN, -ENOMEM: it cannot be had.
 */
int machine_share(void);
/*
 * As machine_thread_start(), but the thread begins in a copy of the caller's address space, which becomes that of mm (== t->process->mm):
 * private memory is copied on write, what machine_map_pages() has mapped stays common to both. Before user mode the new
 * thread calls task_begin(). -EAGAIN, -ENOMEM.
 */
int machine_fork(struct task *t, struct mm *mm, const struct pt_regs *regs, u64 tls);
/*
 * execve: the calling task goes on in an empty address space, which becomes that of mm. old is the one that it leaves if
 * nobody else uses it, and may be reused (its vmas are the caller's to forget); NULL: others go on using it. No user
 * memory may be touched that was there before. -EAGAIN, -ENOMEM: nothing has changed.
 */
int machine_exec(struct mm *mm, struct mm *old);
/* Nobody uses mm any more, or it never was used: mm->machine may be freed. Also called by the last thread of a process
 * that ends, while it still runs in it. */
void machine_mm_free(struct mm *mm);
/* Ends the calling thread; its kernel stack goes back. The lock is dropped. clear_tid, if not NULL, is a
 * user address at which 0 is stored and one futex waiter is woken once the thread uses no user memory any more. */
void machine_thread_exit(void) __noreturn;
/* Ends the sandbox. boot->exit is filled in. */
void machine_exit(void) __noreturn;

/*
 * Blocks the calling task until machine_wake() for it, a signal for it (see machine_kick), or the deadline
 * (nanoseconds of CLOCK_MONOTONIC as machine_clock gives it; 0: none). A wake that came since the last
 * machine_block_prepare() is not lost. The lock is dropped meanwhile. Returns 0 or -ETIMEDOUT; why it returned
 * is for the caller to find out by looking at its condition again.
 */
void machine_block_prepare(void);
int machine_block(u64 deadline);
void machine_wake(struct task *t);
/* Makes t look at its signals soon, wherever it is: it leaves user mode, or machine_block() returns. */
void machine_kick(struct task *t);

/* The FPU and vector state of the current task's user mode, an XSAVE image in standard form; *size its length. */
void *machine_fpu(size_t *size);
u64 machine_get_fsbase(void);
void machine_set_fsbase(u64 base);
u64 machine_get_gsbase(void);
int machine_set_gsbase(u64 base);
/* A system call changed the whole register set (execve, rt_sigreturn): forget the FPU state as well. */
void machine_reset_fpu(void);

/* Gives the processor to another thread that is ready, if any; the lock is dropped meanwhile. */
void machine_yield(void);

/* ---- the kernel heap ---- */

/* Where the heap's first HEAP_FIRST bytes lie; what comes after is where it would be were they at THAW_HEAP_ADDR. */
#define HEAP_FIRST (1ul << 20)
extern const u64 machine_heap_first;

/* Makes [addr, addr+len), right behind what it made before, readable, writable and zero. -ENOMEM: over the limit. */
int machine_heap_grow(u64 addr, u64 len);

/* ---- address spaces: ranges lie within [THAW_USER_START, THAW_USER_END) ---- */

#define PROT_NONE 0u
#define PROT_READ 1u
#define PROT_WRITE 2u
#define PROT_EXEC 4u

/* Fresh zeroed private memory; replaces whatever is mapped there. -ENOMEM: over the limit. */
int machine_map_anon(struct mm *mm, u64 addr, u64 len, u32 prot);
/* A private mapping of the root image at offset. */
int machine_map_image(struct mm *mm, u64 addr, u64 len, u32 prot, u64 offset);
/*
 * Maps pages of the kernel's heap (page_alloc) to user mode: whoever has them mapped, in whichever address space, sees
 * the same memory, and so does the kernel. They must stay allocated until they are unmapped everywhere.
 */
int machine_map_pages(struct mm *mm, u64 addr, u64 len, u32 prot, void *pages);
int machine_unmap(struct mm *mm, u64 addr, u64 len);
int machine_protect(struct mm *mm, u64 addr, u64 len, u32 prot);
/* Moves a mapping with its contents, growing or shrinking it. */
int machine_remap(struct mm *mm, u64 old, u64 old_len, u64 new_addr, u64 new_len);
/* Code at [addr, addr + len) is about to be moved or to be protected otherwise: what the machine has made of it becomes
 * what it was. */
void machine_code_changes(struct mm *mm, u64 addr, u64 len);
/* Private anonymous memory of protection prot: contents dropped, zero from now on. */
int machine_discard(struct mm *mm, u64 addr, u64 len, u32 prot);

/* A hint: huge pages would be good here. */
void machine_advise_huge(struct mm *mm, u64 addr, u64 len);

/* ---- user memory: any address may be passed; -EFAULT if the range is not the user's or not accessible. ---- */
int copy_from_user(void *dst, const void __user *src, size_t n);
int copy_to_user(void __user *dst, const void *src, size_t n);
int clear_user(void __user *dst, size_t n);
/* Length without the NUL; -ENAMETOOLONG when none within size; -EFAULT. */
ssize_t strncpy_from_user(char *dst, const char __user *src, size_t size);
/* Atomic accesses for futexes. */
int get_user_u32(u32 *val, const u32 __user *addr);
int cmpxchg_user_u32(u32 __user *addr, u32 old, u32 new, u32 *seen);

/* The root image in the kernel's own memory, read-only; NULL with a host root. */
const void *machine_image(void);

/* ---- time, entropy ---- */
u64 machine_clock(int clockid); /* nanoseconds; CLOCK_REALTIME 0, CLOCK_MONOTONIC 1, process 2 and thread 3 CPU time */
/* Arranges for core's timer_expired() to be called at the deadline (CLOCK_MONOTONIC ns; 0: never). */
void machine_set_timer(u64 deadline);
/* For boot->stats: CLOCK_MONOTONIC of the host, ns. */
u64 machine_timestamp(void);

/* ---- the caller's stdio; user buffers are not allowed, buf is the kernel's ---- */

/* fd is 0, 1 or 2. Waits until something is there; the lock is dropped meanwhile. Bytes, 0 at the end of input,
 * -errno; -EINTR when a signal is pending. nonblock: -EAGAIN rather than wait. */
ssize_t machine_console_read(int fd, void *buf, size_t n, bool nonblock);
ssize_t machine_console_write(int fd, const void *buf, size_t n, bool nonblock);
#define CONSOLE_IN 1u
#define CONSOLE_OUT 4u
#define CONSOLE_HUP 16u
/* What could be done now without waiting: CONSOLE_*. */
u32 machine_console_poll(int fd);
/* For poll(2) and its kin: the next machine_block() also returns when one of events (CONSOLE_*) is ready on fd. */
void machine_block_on_console(int fd, u32 events);
/* A terminal's ioctl on fd 0, 1, 2: TCGETS, TCSETS{,W,F}, TIOCGWINSZ, TIOCGPGRP... arg is a kernel buffer of size bytes. */
int machine_console_ioctl(int fd, u32 cmd, void *arg, size_t size);

/* ---- the monitor ---- */

/* Sends call with data (len call->len), waits for the answer; reply data to reply, at most reply_size bytes,
 * their number in call->len. Returns call->ret or -EIO. The lock is dropped meanwhile; calls are serialised. */
s64 machine_monitor_call(struct thaw_call *call, const void *data, void *reply, size_t reply_size);

/* ---- snapshot: see core/sys/snapshot.c ---- */

/* Saves the machine's state so that a restore returns from this call a second time. Returns
 * THAW_SNAPSHOT_TAKEN, THAW_SNAPSHOT_RESTORED (in the restored sandbox) or -errno. */
int machine_snapshot(void);

/* ---- what the core gives the machine ---- */

/* First code of a cold boot, on the first task's kernel stack: mounts, execs; returns into user mode by regs. */
void kernel_main(struct pt_regs *regs);
/* A system call of the current task; result in regs->rax. Before return to user mode user_return() follows. */
void syscall_dispatch(struct pt_regs *regs);
/* int $0x80. */
void int80_dispatch(struct pt_regs *regs);
/* Signals, exit of the process: to be called on every way back to user mode. */
void user_return(struct pt_regs *regs);
/* After a system call: user_return() would have nothing to do, neither a signal to deliver nor a call to repeat. */
bool user_return_plain(const struct pt_regs *regs);
/* First code of a thread made by machine_fork(), in its own memory: returns into user mode by regs. */
void task_begin(struct pt_regs *regs);
/* A fault in user mode. sig and code as in siginfo; addr the address; write: the access was a write.
 * user_fault returns after having arranged for the signal, or having made the access possible. */
void user_fault(struct pt_regs *regs, int sig, int code, u64 addr, bool write, int trapno, u64 err);
/* A fault of the kernel on a user address: true if the access may be tried again. */
bool kernel_fault_fixable(u64 addr, bool write);
void timer_expired(void);
/* The host's user wants the program to get this signal (Ctrl-C, SIGTERM, ...). */
void console_signal(int sig);

#endif
