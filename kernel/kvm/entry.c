/* SPDX-License-Identifier: MIT */
/* The first C code of a cold boot and of a restored one; the sandbox's end; the snapshot. */
#include "kvm.h"
#include "snapshot.h"

void kvm_main(void) __noreturn;
void kvm_restored(const struct resume_context *ctx) __noreturn;

static struct resume_context resume;

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
    cpu_features_init();
    frame_init();
    pgtable_init();
    cpu_init();
    fpu_init();
    this_cpu.pml4 = kvm_pml4;
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

    /* What a restored processor does not bring is kept in memory. */
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
    cpu_init();
    u64 *pml4 = this_cpu.pml4;
    u64 cr3 = pml4 == kvm_pml4 ? kernel_gpa(kvm_pml4) : (u64)pml4 - DIRECT_ADDR;
    __asm__ volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
    resume_jump(ctx, 1);
}
