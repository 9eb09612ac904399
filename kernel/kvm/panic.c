/* SPDX-License-Identifier: MIT */
/* The end of a kernel that cannot go on: registers and a backtrace with names on the caller's stderr. */
#include "kvm.h"

#define FRAMES_MAX 32

/* tools/gen-kallsyms writes it: offsets in the text, ascending, each with its name. */
extern const u32 kallsyms_count __attribute__((weak));
extern const u32 kallsyms_offsets[] __attribute__((weak));
extern const u32 kallsyms_names[] __attribute__((weak)); /* offsets in kallsyms_strings */
extern const char kallsyms_strings[] __attribute__((weak));

#define MSR_EFER 0xc0000080u

static u32 panicking; /* the number of the processor that is, from 1 */

void printk(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    console_log(line, min((size_t)max(n, 0), sizeof(line) - 1));
}

static void __noreturn end(void)
{
    boot->exit.code = 125;
    boot->exit.kind = THAW_EXIT_PANIC;
    for (;;)
        monitor_call(THAW_CALL_EXIT, 0, 0, 0);
}

/* Once; another processor that comes to it meanwhile keeps still. */
static void panic_begin(void)
{
    u32 none = 0, self = this_cpu()->index + 1;

    if (__atomic_compare_exchange_n(&panicking, &none, self, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    while (none != self)
        monitor_call(THAW_CALL_CPU_YIELD, 0, 0, 0);
    end();
}

static bool is_text(u64 a) { return a >= (u64)kernel_start && a < (u64)kernel_text_end; }

/* Name and offset in it of a place in the kernel's text. */
static void symbol(char *buf, size_t size, u64 addr)
{
    u32 off = (u32)(addr - (u64)kernel_start), lo = 0, hi;

    if (!&kallsyms_count || !is_text(addr)) {
        snprintf(buf, size, "%#lx", (unsigned long)addr);
        return;
    }
    for (hi = kallsyms_count; hi - lo > 1;) {
        u32 mid = lo + (hi - lo) / 2;
        if (kallsyms_offsets[mid] <= off)
            lo = mid;
        else
            hi = mid;
    }
    snprintf(buf, size, "%s+%#x", kallsyms_strings + kallsyms_names[lo], off - kallsyms_offsets[lo]);
}

static bool on_kernel_stack(u64 p)
{
    return !(p & 7) &&
           ((p >= THAW_KSTACK_ADDR && p < THAW_KSTACK_END) || (p >= (u64)boot_stack_guard && p < (u64)fault_stack_end));
}

static void backtrace(u64 rip, u64 rbp)
{
    char name[80];

    symbol(name, sizeof(name), rip);
    printk("  %s\n", name);
    for (int i = 0; i < FRAMES_MAX && on_kernel_stack(rbp); i++) {
        const u64 *frame = (const u64 *)rbp;
        /* Frames lie one above the other on one stack: the next is no further than that is large. */
        if (!is_text(frame[1]) || frame[0] <= rbp || frame[0] - rbp > KSTACK_SIZE) {
            if (is_text(frame[1])) {
                symbol(name, sizeof(name), frame[1] - 1);
                printk("  %s\n", name);
            }
            return;
        }
        symbol(name, sizeof(name), frame[1] - 1);
        printk("  %s\n", name);
        rbp = frame[0];
    }
}

static void print_control(void)
{
    u64 cr0, cr2, cr3, cr4;

    __asm__ volatile("mov %%cr0, %0\n\tmov %%cr2, %1\n\tmov %%cr3, %2\n\tmov %%cr4, %3"
                     : "=r"(cr0), "=r"(cr2), "=r"(cr3), "=r"(cr4));
    printk("cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx efer %lx\n", cr0, cr2, cr3, cr4, rdmsr(MSR_EFER));
}

void panic_regs(const char *what, const struct pt_regs *r, u64 addr)
{
    char name[80];

    panic_begin();
    symbol(name, sizeof(name), r->rip);
    snprintf(boot->exit.text, sizeof(boot->exit.text), "%s: %#lx at %s", what, (unsigned long)addr, name);
    printk("thaw: kernel panic: %s\n", boot->exit.text);
    printk("rip %016lx rsp %016lx rflags %08lx cs %lx error %lx\n", r->rip, r->rsp, r->eflags, r->cs, r->orig_rax);
    printk("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", r->rax, r->rbx, r->rcx, r->rdx);
    printk("rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", r->rsi, r->rdi, r->rbp, r->r8);
    printk("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", r->r9, r->r10, r->r11, r->r12);
    printk("r13 %016lx r14 %016lx r15 %016lx\n", r->r13, r->r14, r->r15);
    print_control();
    backtrace(r->rip, r->rbp);
    end();
}

void panic(const char *fmt, ...)
{
    va_list ap;

    panic_begin();
    va_start(ap, fmt);
    vsnprintf(boot->exit.text, sizeof(boot->exit.text), fmt, ap);
    va_end(ap);
    printk("thaw: kernel panic: %s\n", boot->exit.text);
    backtrace((u64)__builtin_return_address(0), *(const u64 *)__builtin_frame_address(0));
    end();
}
