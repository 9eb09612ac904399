/* SPDX-License-Identifier: MIT */
/* The first C code of a cold boot and of a restored one; the sandbox's end; the snapshot. */
#include "kvm.h"
#include "snapshot.h"

void kvm_main(void) __noreturn;
void kvm_restored(const struct resume_context *ctx) __noreturn;

static struct resume_context resume;
static u64 *resume_pml4;

struct thaw_boot *machine_boot(void) { return boot; }

static void __noreturn start_first(void)
{
    struct thread_info *ti = thread_info();
    struct pt_regs *regs = thread_regs(ti);

    kernel_lock();
    memset(regs, 0, sizeof(*regs));
    kernel_main(regs);
    boot->stats.t_user_ns = machine_timestamp();
    trap_return(regs);
    thread_enter_user(regs);
}

void kvm_main(void)
{
    cpu_select(0);
    cpu_features_init();
    frame_init();
    pgtable_init();
    cpu_init();
    fpu_init();
    this_cpu()->pml4 = kvm_pml4;
    clock_init();
    boot->stats.t_mapped_ns = machine_timestamp();
    struct thread_info *ti = kstack_alloc();
    if (!ti)
        panic("no memory for the first kernel stack");
    thread_running_first(ti);
    __asm__ volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tcall *%1\n\tud2" ::"r"((u64)thread_regs(ti) - 64),
                     "r"(start_first)
                     : "memory");
    __builtin_unreachable();
}

void machine_exit(void)
{
    if (boot->flags & THAW_BOOT_TRAIN) {
        struct thaw_call call = {.op = THAW_CALL_TRAINED};
        machine_monitor_call(&call, NULL, NULL, 0);
    }
    boot->stats.t_exit_ns = machine_timestamp();
    for (;;)
        monitor_call(THAW_CALL_EXIT, 0, 0, 0);
}

int machine_snapshot(void)
{
    struct thaw_call call = {.op = THAW_CALL_SNAPSHOT};
    struct thread_info *ti = thread_info();
    size_t size;
    int err;

    /* The core has seen that there is no other thread: the other processors idle, and a restored one does without. */
    for (const struct cpu *c = cpus; c < cpus + cpus_online; c++)
        if (c != this_cpu() && c->running && c->running != c->idle)
            return -EBUSY;
    /* What a restored processor does not bring is kept in memory. */
    resume_pml4 = this_cpu()->pml4;
    machine_fpu(&size);
    ti->fsbase = machine_get_fsbase();
    ti->gsbase = machine_get_gsbase();
    clock_freeze();
    frame_scrub();
    err = snapshot_add_region(THAW_KVM_RAM_GPA, frame_end() - THAW_KVM_RAM_GPA, 0, PROT_READ | PROT_WRITE,
                              THAW_REGION_DATA);
    if (err)
        return err;
    if (resume_save(&resume)) {
        frame_resume();
        clock_thaw();
        thread_resume();
        return THAW_SNAPSHOT_RESTORED;
    }
    boot->resume = (u64)&resume;
    call.arg[0] = boot->region_count;
    s64 ret = machine_monitor_call(&call, NULL, NULL, 0);
    return ret ? (int)ret : THAW_SNAPSHOT_TAKEN;
}

void kvm_restored(const struct resume_context *ctx)
{
    cpu_select(0);
    cpus_reset();
    lock_reset();
    cpu_init();
    memory_load(resume_pml4);
    resume_jump(ctx, 1);
}
