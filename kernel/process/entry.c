/* SPDX-License-Identifier: MIT */
/* The first C code: in the monitor's child, just jumped into the window. */
#include "image.h"
#include "process.h"
#include "snapshot.h"

s32 host_pid;

s32 notify_fd = -1;

static struct resume_context resume;
static u64 resume_fsbase;

void process_entry(struct thaw_boot *b);
void process_enter_first(const struct pt_regs *regs);
void console_log(const char *s, size_t n);

struct thaw_boot *machine_boot(void) { return boot; }

void printk(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    console_log(line, min((size_t)max(n, 0), sizeof(line) - 1));
}

void panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(boot->exit.text, sizeof(boot->exit.text), fmt, ap);
    va_end(ap);
    boot->exit.code = 125;
    boot->exit.kind = THAW_EXIT_PANIC;
    if (memory_shared)
        monitor_tell(THAW_CALL_OVER, 0, 0);
    for (;;)
        host_syscall(HOST_exit_group, 125, 0, 0, 0, 0, 0);
}

void machine_exit(void)
{
    if (boot->flags & THAW_BOOT_TRAIN) {
        struct thaw_call call = {.op = THAW_CALL_TRAINED};
        machine_monitor_call(&call, NULL, NULL, 0);
    }
    boot->stats.t_exit_ns = host_clock(1);
    if (thread_info()->space != &first_space)
        monitor_tell(THAW_CALL_OVER, 0, 0);
    for (;;)
        host_syscall(HOST_exit_group, boot->exit.kind == THAW_EXIT_CODE ? boot->exit.code : 128, 0, 0, 0, 0, 0);
}

/* From here on only what monitor/filter.c allows. New processes need the monitor's leave, which it gives through
 * notify_fd; where the host has no such thing (another filter around us has it already) there are none. */
static void confine(void)
{
    struct host_sock_fprog prog = {(u16)boot->filter_len, (const char *)boot + boot->filter_off};
    s64 ret = host_syscall(HOST_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 8 /* NEW_LISTENER */, (u64)&prog, 0, 0, 0);

    if (ret < 0) {
        s64 err = host_syscall(HOST_seccomp, 1, 0, (u64)&prog, 0, 0, 0);
        if (err)
            panic("seccomp filter: error %ld", (long)-err);
    }
    notify_fd = (s32)max(ret, (s64)-1);
}

int machine_snapshot(void)
{
    struct thaw_call call = {.op = THAW_CALL_SNAPSHOT};
    const u32 rw = HOST_PROT_READ | HOST_PROT_WRITE;
    memory_settle_all();
    /* In order of address, as the file has them. */
    int err = snapshot_list_user();
    err = err ? err
              : snapshot_add_region((u64)kernel_data_start, (u64)(kernel_bss_end - kernel_data_start), 0, rw,
                                    THAW_REGION_DATA);
    if ((u64)thread_info() != (u64)first_stack)
        err = err ? err : snapshot_add_region((u64)thread_info(), KSTACK_SIZE, 0, rw, THAW_REGION_DATA);
    err = err ? err : snapshot_add_region(HEAP_REST, kmalloc_heap_end() - HEAP_REST, 0, rw, THAW_REGION_DATA);
    if (err)
        return err;

    resume_fsbase = machine_get_fsbase();
    clock_freeze();
    if (resume_save(&resume)) {
        /* Memory was saved in the middle of the monitor call below, the lock given up. */
        kernel_lock();
        monitor_call_reset();
        thread_resume_first();
        machine_set_fsbase(resume_fsbase);
        clock_thaw();
        return THAW_SNAPSHOT_RESTORED;
    }
    boot->resume = (u64)&resume;
    call.arg[0] = boot->region_count;
    s64 ret = machine_monitor_call(&call, NULL, NULL, 0);
    return ret ? (int)ret : THAW_SNAPSHOT_TAKEN;
}

static void __noreturn start_first(void)
{
    struct pt_regs regs;
    struct thread_info *ti = thread_info();

    kernel_lock();
    memset(&regs, 0, sizeof(regs));
    ti->regs = &regs;
    kernel_main(&regs);
    kernel_unlock();
    boot->stats.t_user_ns = host_clock(1);
    process_enter_first(&regs);
    __builtin_unreachable();
}

/* Runs fn on another stack. */
static void __noreturn call_on_stack(u64 top, void (*fn)(void))
{
    __asm__ volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tcall *%1\n\tud2" ::"r"(top), "r"(fn) : "memory");
    __builtin_unreachable();
}

/*
 * Up to confine() nothing may depend on the kernel's writable memory: after memory_restore() it is a snapshot's,
 * and that may be hostile. The boot area is the monitor's until then; signals from outside are blocked.
 */
void process_entry(struct thaw_boot *b)
{
    bool restore = boot->flags & THAW_BOOT_RESTORE;

    boot->stats.t_entry_ns = host_clock(1);
    memory_init(restore);
    if (restore) {
        memory_restore();
        if (!boot->deferred)
            host_syscall(HOST_close, THAW_FD_SNAPSHOT, 0, 0, 0, 0, 0);
    } else {
        memory_fresh();
    }
    boot->stats.t_mapped_ns = host_clock(1);
    trap_init();
    confine();
    host_pid = (s32)boot->host_pid;
    if (restore)
        resume_jump((const struct resume_context *)boot->resume, 1);

    clock_init();
    struct thread_info *ti = kstack_alloc();
    if (!ti)
        panic("no memory for the first kernel stack");
    call_on_stack((u64)ti + KSTACK_SIZE - 4096, start_first);
}
