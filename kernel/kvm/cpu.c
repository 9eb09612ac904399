/* SPDX-License-Identifier: MIT */
/*
 * A processor: segments, the task state with its fault stack, the trap table, SYSCALL, what it can do; and what one has
 * to say to the others. They are started when there first is a second thread.
 */
#include "kvm.h"

#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u

#define KERNEL_CS 0x10
#define KERNEL_DS 0x18
#define TSS_SEL 0x40
#define STAR_USER 0x23 /* SYSRET: + 8 is SS, + 16 is CS */

/* TF IF DF IOPL NT RF AC ID */
#define EFLAGS_CLEARED 0x257700u

#define IST_FAULT 1
#define SPINS 256u /* then the host may have given its processor to somebody else than who is waited for */

struct cpu cpus[THAW_KVM_CPUS_MAX];
u32 cpus_online = 1;
u64 cpu_stacks[THAW_KVM_CPUS_MAX]; /* on which those that are started begin: entry.S */
bool cpu_has_fsgsbase, cpu_has_smap, cpu_has_gbpages;

static const u64 gdt_segments[TSS_SEL / 8] = {
    [KERNEL_CS / 8] = 0x00af9b000000ffff,
    [KERNEL_DS / 8] = 0x00cf93000000ffff,
    [5] = 0x00cff3000000ffff, /* 0x28, user data */
    [6] = 0x00affb000000ffff, /* 0x30, user code */
};

static struct gate {
    u16 offset0, selector;
    u8 ist, type;
    u16 offset1;
    u32 offset2, reserved;
} idt[256];

struct __packed table_register {
    u16 limit;
    const void *base;
};

static void gate_set(u8 n, const void *entry, u8 ist, u8 dpl)
{
    u64 a = (u64)entry;
    idt[n] = (struct gate){.offset0 = (u16)a,
                           .selector = KERNEL_CS,
                           .ist = ist,
                           .type = (u8)(0x8e | dpl << 5),
                           .offset1 = (u16)(a >> 16),
                           .offset2 = (u32)(a >> 32)};
}

static void cpuid(u32 leaf, u32 sub, u32 r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

struct smap_site {
    u8 *at;
    u64 set; /* STAC, else CLAC */
};
extern const struct smap_site smap_sites[], smap_sites_end[];

/* The kernel's text can still be written to: this is its first code. */
void cpu_features_init(void)
{
    u32 r[4];

    cpuid(0, 0, r);
    u32 leaves = r[0];
    if (leaves >= 7) {
        cpuid(7, 0, r);
        cpu_has_fsgsbase = r[1] & 1;
        cpu_has_smap = r[1] >> 20 & 1;
    }
    cpuid(0x80000001, 0, r);
    cpu_has_gbpages = r[3] >> 26 & 1;
    for (const struct smap_site *s = smap_sites; cpu_has_smap && s < smap_sites_end; s++) {
        s->at[1] = 0x01;
        s->at[2] = s->set ? 0xcb : 0xca;
    }
}

void cpu_set_kstack(u64 top)
{
    struct cpu *c = this_cpu();
    c->kstack = top;
    c->tss.rsp[0] = top;
}

void cpu_select(u32 index)
{
    struct cpu *c = &cpus[index];
    c->self = c;
    c->index = index;
    wrmsr(MSR_GS_BASE, (u64)c);
}

static void idt_init(void)
{
    for (u8 n = 0; n < TRAP_ENTRIES; n++)
        gate_set(n, (const void *)trap_entries[n], n == 2 || n == 8 || n == 18 ? IST_FAULT : 0,
                 n == 3 || n == 4 ? 3 : 0);
    gate_set(TRAP_SYSCALL32, int80_entry, 0, 3);
}

void cpu_init(void)
{
    struct cpu *c = this_cpu();
    const struct table_register gdtr = {sizeof(c->gdt) - 1, c->gdt}, idtr = {sizeof(idt) - 1, idt};
    const u64 base = (u64)&c->tss;

    memcpy(c->gdt, gdt_segments, sizeof(gdt_segments));
    c->gdt[TSS_SEL / 8] = (sizeof(c->tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    c->gdt[TSS_SEL / 8 + 1] = base >> 32;
    c->tss.iomap = sizeof(c->tss); /* no ports for user mode */
    c->tss.ist[IST_FAULT - 1] = c->index ? kstack_fault_top(c->idle) : (u64)fault_stack_end;
    if (!c->index)
        idt_init();
    __asm__ volatile("lgdt %0\n\tlidt %1\n\tltr %w2" ::"m"(gdtr), "m"(idtr), "r"(TSS_SEL) : "memory");
    /* The monitor has loaded segments like ours. FS and GS selectors are the user's, and 0. */
    wrmsr(MSR_STAR, (u64)STAR_USER << 48 | (u64)KERNEL_CS << 32);
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_FMASK, EFLAGS_CLEARED);
}

/* ---- the others ---- */

void cpu_main(u64 index) __noreturn;

/* The first C code of a processor that has been started, on the stack of its idle thread. */
void cpu_main(u64 index)
{
    cpu_select((u32)index);
    cpu_init();
    kernel_lock();
    flush_global();
    this_cpu()->running = this_cpu()->idle;
    idle_loop();
}

/* An idle thread that others can switch to; the first processor's. */
static void idle_prepare(struct thread_info *ti)
{
    u64 *sp = (u64 *)thread_stack_top(ti);

    *--sp = 0;
    *--sp = (u64)idle_loop;
    for (int i = 0; i < 6; i++) /* what switch_stacks() takes off */
        *--sp = 0;
    ti->rsp = (u64)sp;
}

void cpus_start(void)
{
    const u32 wanted = min(boot->cpus, THAW_KVM_CPUS_MAX);

    if (cpus_online >= wanted)
        return;
    for (u32 i = 0; i < wanted; i++) {
        struct cpu *c = &cpus[i];
        if (!c->idle)
            c->idle = kstack_alloc_idle();
        if (!c->idle)
            break;
        if (i == 0) {
            idle_prepare(c->idle);
            continue;
        }
        cpu_stacks[i] = thread_stack_top(c->idle);
        c->pml4 = kvm_pml4;
        cpus_online = i + 1;
        monitor_call(THAW_CALL_CPU_START, i, 0, 0);
    }
    boot->cpus = cpus_online; /* one that could not be had is not to be tried for with each thread */
}

void cpus_reset(void)
{
    for (struct cpu *c = cpus; c < cpus + THAW_KVM_CPUS_MAX; c++) {
        c->running = NULL;
        c->waiting = c->resched = c->in_user = c->flush = false;
    }
    cpus_online = 1;
}

void cpu_kick(struct cpu *c)
{
    if (!__atomic_exchange_n(&kvm_page()->kicks[c->index], 1, __ATOMIC_SEQ_CST))
        monitor_call(THAW_CALL_CPU_KICK, c->index, 0, 0);
}

void cpu_relax(u32 n)
{
    __builtin_ia32_pause();
    if (n % SPINS == 0)
        monitor_call(THAW_CALL_CPU_YIELD, 0, 0, 0);
}

void cpus_leave(const u64 *pml4)
{
    struct cpu *self = this_cpu(), *const end = cpus + cpus_online;

    for (struct cpu *c = cpus; c < end; c++)
        if (c != self && c->pml4 == pml4) {
            c->flush = true;
            if (__atomic_load_n(&c->in_user, __ATOMIC_SEQ_CST))
                cpu_kick(c);
        }
    for (struct cpu *c = cpus; c < end; c++)
        for (u32 n = 1; c != self && c->pml4 == pml4 && __atomic_load_n(&c->in_user, __ATOMIC_SEQ_CST); n++)
            cpu_relax(n);
}

void cpus_flush_later(void)
{
    for (struct cpu *c = cpus; c < cpus + cpus_online; c++)
        c->flush |= c != this_cpu();
}

/* ---- the user's segment bases: in kernel mode the user's GS base lies in the other register ---- */

u64 machine_get_fsbase(void)
{
    u64 base;
    if (!cpu_has_fsgsbase)
        return rdmsr(MSR_FS_BASE);
    __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}

void machine_set_fsbase(u64 base)
{
    if (base >> 47 && base >> 47 != 0x1ffff)
        return; /* not an address: the core has let nothing like it pass */
    if (cpu_has_fsgsbase)
        __asm__ volatile("wrfsbase %0" ::"r"(base));
    else
        wrmsr(MSR_FS_BASE, base);
}

u64 machine_get_gsbase(void) { return rdmsr(MSR_KERNEL_GS_BASE); }

int machine_set_gsbase(u64 base)
{
    if (base >= 1ull << 47)
        return -EPERM;
    wrmsr(MSR_KERNEL_GS_BASE, base);
    return 0;
}
