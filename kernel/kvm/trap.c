/* SPDX-License-Identifier: MIT */
/* Traps, system calls, and the way back to user mode. Interrupts are off in the kernel: the only one is for user mode. */
#include "kvm.h"

#include "mm.h"

#define SIGILL 4
#define SIGTRAP 5
#define SIGBUS 7
#define SIGFPE 8
#define SIGSEGV 11

#define SI_KERNEL 0x80
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2

#define TRAP_DE 0
#define TRAP_DB 1
#define TRAP_NMI 2
#define TRAP_DF 8
#define TRAP_PF 14
#define TRAP_MF 16
#define TRAP_MC 18
#define TRAP_XM 19

#define PF_WRITE 2u
#define PF_EXEC 16u

#define EFLAGS_TF 0x100u
#define EFLAGS_RF 0x10000u
#define USER_CS 0x33
#define USER_SS 0x2b

struct uaccess_entry {
    u64 from, to, fixup;
};
extern const struct uaccess_entry uaccess_table[], uaccess_table_end[];

bool trap_syscall(struct pt_regs *regs);
void trap_int80(struct pt_regs *regs);
void trap_from_user(u64 vector, struct pt_regs *regs);
void trap_from_kernel(u64 vector, struct pt_regs *regs);

static u64 read_cr2(void)
{
    u64 v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

bool trap_return(struct pt_regs *regs)
{
    struct thread_info *ti = thread_info();

    for (;;) {
        ti->kicked = 0;
        events_drain();
        if (this_cpu()->resched) {
            this_cpu()->resched = false;
            thread_reschedule();
        }
        user_return(regs);
        if (!ti->kicked && !events_pending() && !this_cpu()->resched)
            break;
    }
    cpus_wake();
    timer_program();
    fpu_load(ti);
    __atomic_store_n(&this_cpu()->in_user, true, __ATOMIC_SEQ_CST);
    kernel_unlock();
    return regs->rcx == regs->rip && regs->r11 == regs->eflags && regs->rip < THAW_USER_END && regs->cs == USER_CS &&
           regs->ss == USER_SS && !(regs->eflags & (EFLAGS_TF | EFLAGS_RF));
}

/* Nobody waits any longer for this processor to leave user mode. */
static void lock_from_user(void)
{
    __atomic_store_n(&this_cpu()->in_user, false, __ATOMIC_SEQ_CST);
    kernel_lock();
}

bool trap_syscall(struct pt_regs *regs)
{
    lock_from_user();
    syscall_dispatch(regs);
    return trap_return(regs);
}

void trap_int80(struct pt_regs *regs)
{
    lock_from_user();
    int80_dispatch(regs);
    trap_return(regs);
}

/* Linux's si_code of a floating-point trap: the first cause that is not masked. */
static int fpu_code(u64 vector)
{
    static const u8 codes[] = {7 /* FLTINV */, 5 /* FLTUND: denormal */, 3 /* FLTDIV */,
                               4 /* FLTOVF */, 5 /* FLTUND */,           6 /* FLTRES */};
    size_t size;
    const u8 *fpu = machine_fpu(&size);
    u16 fcw, fsw;
    u32 mxcsr, causes;

    memcpy(&fcw, fpu, sizeof(fcw));
    memcpy(&fsw, fpu + 2, sizeof(fsw));
    memcpy(&mxcsr, fpu + 24, sizeof(mxcsr));
    causes = vector == TRAP_MF ? fsw & ~fcw & 0x3fu : mxcsr & ~(mxcsr >> 7) & 0x3fu;
    return causes ? codes[__builtin_ctz(causes)] : 0;
}

/* si_addr is the instruction's, but for those that say nothing of an address. */
static void user_trap(u64 vector, struct pt_regs *regs, u64 error)
{
    static const struct {
        u8 sig, code, has_addr;
    } signals[TRAP_ENTRIES] = {
        [TRAP_DE] = {SIGFPE, 1, 1},     [TRAP_DB] = {SIGTRAP, 2, 1},   [3] = {SIGTRAP, SI_KERNEL, 0},
        [4] = {SIGSEGV, SI_KERNEL, 0},  [5] = {SIGSEGV, SI_KERNEL, 0}, [6] = {SIGILL, 2, 1},
        [10] = {SIGSEGV, SI_KERNEL, 0}, [11] = {SIGBUS, SI_KERNEL, 0}, [12] = {SIGBUS, SI_KERNEL, 0},
        [13] = {SIGSEGV, SI_KERNEL, 0}, [TRAP_MF] = {SIGFPE, 0, 1},    [17] = {SIGBUS, 1, 0},
        [TRAP_XM] = {SIGFPE, 0, 1},
    };
    int sig = signals[vector].sig, code = signals[vector].code;

    if (!sig)
        panic_regs("a trap that user mode cannot raise", regs, vector);
    if (vector == TRAP_MF || vector == TRAP_XM)
        code = fpu_code(vector);
    user_fault(regs, sig, code, signals[vector].has_addr ? regs->rip : 0, false, (int)vector, error);
}

/* 0: the access can be tried again; OOM_KILLED: the process is being ended. */
#define OOM_KILLED 1
static int fault(u64 addr, u64 error)
{
    bool write = error & PF_WRITE;
    int err = addr >= THAW_USER_START && addr < THAW_USER_END ? memory_fault(addr, write, error & PF_EXEC) : -ENXIO;

    if (err == -ENOMEM) {
        mm_out_of_memory();
        err = OOM_KILLED;
    }
    return err;
}

static void user_page_fault(struct pt_regs *regs, u64 addr, u64 error)
{
    int err = fault(addr, error);

    if (err < 0)
        user_fault(regs, SIGSEGV, err == -ENXIO ? SEGV_MAPERR : SEGV_ACCERR, addr, error & PF_WRITE, TRAP_PF, error);
}

void trap_from_user(u64 vector, struct pt_regs *regs)
{
    u64 error = regs->orig_rax;

    regs->orig_rax = (u64)-1;
    if (vector == TRAP_NMI || vector == TRAP_DF || vector == TRAP_MC)
        panic_regs("a trap that must not be", regs, vector);
    u64 addr = vector == TRAP_PF ? read_cr2() : 0;
    lock_from_user();
    if (vector == THAW_KVM_VECTOR) {
        thread_interrupted();
    } else {
        if (vector != TRAP_PF)
            boot->stats.faults++;
        if (vector == TRAP_PF)
            user_page_fault(regs, addr, error);
        else
            user_trap(vector, regs, error);
    }
    trap_return(regs);
}

void trap_from_kernel(u64 vector, struct pt_regs *regs)
{
    u64 addr = vector == TRAP_PF ? read_cr2() : 0, error = regs->orig_rax;

    if (vector == TRAP_DB) /* a single step that was asked for on the other side of SYSCALL */
        return;
    for (const struct uaccess_entry *e = uaccess_table; e < uaccess_table_end; e++) {
        if (regs->rip < e->from || regs->rip >= e->to)
            continue;
        int err = vector == TRAP_PF ? fault(addr, error) : -EFAULT;
        if (err == OOM_KILLED || (err && (vector != TRAP_PF || !kernel_fault_fixable(addr, error & PF_WRITE))))
            regs->rip = e->fixup;
        return;
    }
    panic_regs(vector == TRAP_PF   ? "page fault in the kernel"
               : vector == TRAP_DF ? "double fault: the kernel's stack has overflowed"
                                   : "trap in the kernel",
               regs, vector == TRAP_PF ? addr : vector);
}
