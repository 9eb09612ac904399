/* SPDX-License-Identifier: MIT */
/*
 * A guest kernel that means harm: ring 0 of a VM under the monitor, doing in turn what its first word says, with the
 * randomness of its second. It stands in the place of Thaw's kernel in a thaw built for this test. The monitor must end
 * it with one clear line, whatever it does; a case that got through all it tried ends with status 0.
 */
#include "thaw_abi.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

u64 resume, resume_rsp, traps;
u8 cpu_stacks[THAW_KVM_CPUS_MAX][4096] __attribute__((aligned(4096)));
void hostile_cpu(u64 index);
extern u64 pml4[512], pdpt_low[512];
extern void trap(void);
void hostile_main(void);
void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);

#define BOOT ((struct thaw_boot *)THAW_BOOT_ADDR)
#define PAGE ((struct thaw_kvm *)(THAW_BOOT_ADDR + BOOT_kvm_off))
static u64 BOOT_kvm_off; /* the boot area's own may be gone by the time it is needed */

/* Runs an instruction that may raise an exception, and goes on behind it in any case. */
#define TRY(code, ...)                                                                                           \
    __asm__ volatile("lea 1f(%%rip), %%r11\n\tmov %%r11, resume(%%rip)\n\tmov %%rsp, resume_rsp(%%rip)\n\t" code \
                     "\n1:" ::__VA_ARGS__                                                                        \
                     : "r11", "memory", "cc")

void *memcpy(void *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile u8 *)dst)[i] = ((const u8 *)src)[i];
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile u8 *)dst)[i] = (u8)c;
    return dst;
}

static u64 seed;
static u64 next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Numbers on which things break. */
static u64 wild(void)
{
    static const u64 some[] = {0,          1,           0xfff,       0x1000,       0x7fffffff, 0x80000000,
                               0xffffffff, 1ull << 32,  0x3fffff000, 1ull << 47,   1ull << 63, ~0ull,
                               0xfee00000, 0x400000000, 0x700000000, 0x7000008000, 0x10001,    65536};
    u64 r = next();

    return r & 1 ? some[(r >> 1) % (sizeof some / sizeof *some)] : r & 2 ? next() : next() & 0xffff;
}

static void ring(void) { __asm__ volatile("outl %0, %w1" ::"a"(0), "d"(THAW_KVM_PORT) : "memory"); }

static int64_t call(u32 op, u32 len, u64 a0, u64 a1, u64 a2, u64 a3)
{
    PAGE->call[0] = (struct thaw_call){.op = op, .len = len, .arg = {a0, a1, a2, a3}};
    ring();
    return PAGE->call[0].ret;
}

static void __attribute__((noreturn)) finish(u32 code)
{
    BOOT->exit.kind = THAW_EXIT_CODE;
    BOOT->exit.code = code;
    for (;;)
        call(THAW_CALL_EXIT, 0, 0, 0, 0, 0);
}

static struct {
    u64 low, high;
} idt[256] __attribute__((aligned(16)));
static const u64 gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};

static void tables_load(void)
{
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } i = {sizeof idt - 1, (u64)idt}, g = {sizeof gdt - 1, (u64)gdt};
    u64 at = (u64)trap;

    for (int v = 0; v < 256; v++) {
        idt[v].low = (at & 0xffff) | 0x10 << 16 | 0x8e00ull << 32 | (at >> 16 & 0xffff) << 48;
        idt[v].high = at >> 32;
    }
    __asm__ volatile("lgdt %0\n\tlidt %1" ::"m"(g), "m"(i));
}

/* ---- the cases ---- */

static void ports(void)
{
    static u8 buf[4096];
    u16 port = (u16)next();

    switch (next() % 8) {
    case 0: TRY("outb %%al, %%dx", "a"(next()), "d"(port)); break;
    case 1: TRY("outw %%ax, %%dx", "a"(next()), "d"(port)); break;
    case 2: TRY("outl %%eax, %%dx", "a"(next()), "d"(port)); break;
    case 3: TRY("inl %%dx, %%eax", "d"(port), "a"(0)); break;
    case 4: TRY("rep insb", "D"(buf), "c"(next() % 4096), "d"(port)); break;
    case 5: TRY("rep outsl", "S"(buf), "c"(next() % 1024), "d"(port)); break;
    case 6: TRY("inb %%dx, %%al", "d"(THAW_KVM_PORT), "a"(0)); break;
    default: TRY("rep outsb", "S"(buf), "c"(2 + next() % 1000), "d"(THAW_KVM_PORT)); break;
    }
}

static void mmio(void)
{
    static const u64 places[] = {0xfee00000,           0xfec00000,   0xb8000,
                                 0xfed00000,           0x500000,     THAW_KVM_IMAGE_GPA - 8,
                                 THAW_KVM_RAM_GPA - 8, 0x7ffffffff8, 0x3ffff8};
    u64 at = next() & 1 ? places[next() % (sizeof places / sizeof *places)] : (next() & 0x7fffffffff);

    switch (next() % 4) {
    case 0: TRY("movq %%rax, (%0)", "r"(at), "a"(next())); break;
    case 1: TRY("movq (%0), %%rax", "r"(at), "a"(0)); break;
    case 2: TRY("lock xaddq %%rax, (%0)", "r"(at), "a"(1)); break;
    default: TRY("rep movsb", "S"(at), "D"(at + 4096), "c"(next() % 65536)); break;
    }
}

/* The root image is memory that may only be read. */
static void image_write(void) { TRY("movq %%rax, (%0)", "r"(THAW_KVM_IMAGE_GPA + (next() & 0xffff8)), "a"(next())); }

static void calls(void)
{
    for (int n = 0; n < 3000; n++) {
        static const u32 ops[] = {2, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 29, 34, 65, 66, 67, 69, 70, 72, 73};
        u32 op = ops[next() % (sizeof ops / sizeof *ops)], len = (u32)(next() % 200);
        u64 arg[4];

        for (int i = 0; i < 4; i++)
            arg[i] = wild();
        /* What the monitor is to survive by going on; what ends us comes now and then. */
        if (next() % 8)
            arg[0] = next() % 3;
        if (op == THAW_CALL_CONSOLE_WRITE)
            len = 0;
        if (next() % 500 == 0)
            op = (u32)wild() % 300;
        if (next() % 500 == 0)
            len = (u32)wild();
        if (op == THAW_CALL_EXIT || op == THAW_CALL_SNAPSHOT)
            continue;
        if (op == THAW_CALL_WAIT)
            arg[0] = 1;
        for (u32 i = 0; i < len && i < 256; i++)
            PAGE->data[i] = (u8)next();
        call(op, len, arg[0], arg[1], arg[2], arg[3]);
        if (PAGE->call[0].len > THAW_CALL_DATA_MAX)
            finish(9);
    }
}

/* Each processor calls by itself, and in the others' places as well; what is in them changes while they are served. */
static void __attribute__((noreturn)) calls_for_ever(u64 seed_of_its_own)
{
    static const u32 ops[] = {16, 17, 18, 19, 22, 65, 66, 67, 68, 69, 70, 71, 72, 73};

    for (u64 r = seed_of_its_own * 0x9e3779b97f4a7c15 | 1;;) {
        r ^= r << 13, r ^= r >> 7, r ^= r << 17;
        volatile struct thaw_call *c = &PAGE->call[r % BOOT->cpus];
        c->op = ops[(r >> 8) % (sizeof ops / sizeof *ops)];
        c->len = c->op == THAW_CALL_CONSOLE_WRITE ? 0 : (u32)(r >> 16) % 256;
        c->arg[0] = c->op == THAW_CALL_WAIT ? 1 : (r >> 24) % 2;
        c->arg[1] = r >> 32;
        c->arg[2] = r;
        ring();
    }
}

void hostile_cpu(u64 index) { calls_for_ever(index); }

static void processors(void)
{
    for (u32 i = 1; i < BOOT->cpus; i++)
        call(THAW_CALL_CPU_START, 0, i, 0, 0, 0);
    calls_for_ever(next());
}

static void bad_length(void)
{
    call(THAW_CALL_CONSOLE_WRITE, THAW_CALL_DATA_MAX + 1 + (u32)(next() % 4096), 1, 0, 0, 0);
}
static void bad_descriptor(void) { call(THAW_CALL_CONSOLE_WRITE + (u32)(next() % 2), 1, 3 + next(), 0, 0, 0); }
static void bad_processor(void) { call(THAW_CALL_CPU_START + (u32)(next() % 2), 0, 16 + next(), 0, 0, 0); }
static void bad_op(void) { call(74 + (u32)(next() % 100000), 0, 0, 0, 0, 0); }

/* How it ended, in a way that nobody can mean. */
static void lie(void)
{
    u8 *e = (u8 *)&BOOT->exit;

    for (size_t i = 0; i < sizeof BOOT->exit; i++)
        e[i] = (u8)next() | 1;
    if (next() & 1)
        BOOT->exit.kind = (u32)(next() % 8);
    call(THAW_CALL_EXIT, 0, 0, 0, 0, 0);
}

/* All of what is shared with the monitor, then a call. */
static void scribble(void)
{
    u64 *area = (u64 *)BOOT;

    for (size_t i = 0; i < THAW_BOOT_AREA / 8; i++)
        area[i] = next() & 3 ? next() : wild();
    call((u32)wild() % 80, (u32)(next() % 65536), wild(), wild(), wild(), wild());
    BOOT->exit.kind = THAW_EXIT_PANIC;
    call(THAW_CALL_EXIT, 0, 0, 0, 0, 0);
}

/* A snapshot of regions that are not ours to name. */
static void snapshot(void)
{
    struct thaw_region *r = (struct thaw_region *)(THAW_BOOT_ADDR + BOOT->region_off);
    u32 n = (u32)(next() % 64);

    for (u32 i = 0; i < n; i++)
        r[i] = (struct thaw_region){wild() & ~0xfffull, wild() & ~0xfffull, wild(), (u32)next() & 15, (u32)next() & 7};
    BOOT->region_count = n;
    BOOT->resume = wild();
    call(THAW_CALL_SNAPSHOT, 0, next() & 1 ? n : wild(), 0, 0, 0);
    BOOT->region_off = (u32)wild();
    BOOT->region_count = (u32)wild();
    call(THAW_CALL_SNAPSHOT, 0, wild(), 0, 0, 0);
}

static void descriptor_tables(void)
{
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } t;

    for (int n = 0; n < 100; n++) {
        TRY("lldt %w0", "r"(next()));
        TRY("ltr %w0", "r"(next()));
        TRY("mov %w0, %%ds\n\tmov %w0, %%es", "r"(wild()));
        t.limit = (u16)next();
        t.base = wild();
        TRY("lgdt %0", "m"(t));
        TRY("mov %w0, %%fs", "r"(next()));
        tables_load();
    }
    t.base = wild();
    TRY("lidt %0", "m"(t));
    __asm__ volatile("int3\n\tud2");
}

static void msrs(void)
{
    static const struct {
        u32 from, to;
    } ranges[] = {{0, 0x300},
                  {0x400, 0x420},
                  {0x480, 0x4a0},
                  {0x800, 0x840},
                  {0xda0, 0xda1},
                  {0x40000000, 0x40000100},
                  {0x4b564d00, 0x4b564d10},
                  {0xc0000080, 0xc0000085},
                  {0xc0000100, 0xc0000104},
                  {0xc0010000, 0xc0010130},
                  {0xc0011000, 0xc0011040}};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        for (u32 m = ranges[i].from; m < ranges[i].to; m++) {
            u64 v = wild();

            TRY("rdmsr", "c"(m), "a"(0), "d"(0));
            TRY("wrmsr", "c"(m), "a"((u32)v), "d"((u32)(v >> 32)));
        }
    for (int n = 0; n < 2000; n++) {
        u32 m = (u32)next();
        u64 v = wild();

        TRY("wrmsr", "c"(m), "a"((u32)v), "d"((u32)(v >> 32)));
    }
}

static void control_registers(void)
{
    for (int n = 0; n < 300; n++) {
        u64 keep = next() & 7 ? 0x80010033 : 0;

        TRY("mov %0, %%cr8", "r"(wild()));
        TRY("mov %0, %%dr7", "r"(wild()));
        TRY("mov %0, %%dr0", "r"(wild()));
        TRY("xsetbv", "a"((u32)wild()), "d"((u32)wild()), "c"((u32)(next() % 3)));
        TRY("mov %0, %%cr4", "r"(wild() | (keep ? 0x620 : 0)));
        TRY("mov %0, %%cr0", "r"(wild() | keep));
    }
}

static void instructions(void)
{
    for (u32 n = 0; n < 300; n++) {
        TRY("vmmcall", "a"(wild()), "b"(wild()), "c"(wild()), "d"(wild()));
        TRY("vmcall", "a"(next() % 16), "b"(wild()), "c"(wild()), "d"(wild()));
        TRY("vmrun", "a"(wild()));
        TRY("vmload", "a"(wild()));
        TRY("vmsave", "a"(wild()));
        TRY("clgi");
        TRY("stgi");
        TRY("invlpga", "a"(wild()), "c"(0));
        TRY("cpuid\n\tmov %%rbx, %%rbx", "a"((u32)wild()), "c"((u32)next() % 64), "b"(0), "d"(0));
        TRY("rdpmc", "c"((u32)wild()), "a"(0), "d"(0));
        TRY("monitor", "a"(wild()), "c"(0), "d"(0));
        TRY("wbinvd");
        TRY("invlpg (%0)", "r"(wild()));
        TRY("rsm");
        TRY("getsec", "a"(0));
        TRY("swapgs");
        TRY("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop", "a"(0));
        TRY("syscall", "a"(0), "c"(0));
        TRY("int $0x2", "a"(0));
    }
}

static void triple_fault(void)
{
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } none = {0, 0};

    __asm__ volatile("lidt %0\n\tud2" ::"m"(none));
}

static void __attribute__((noreturn)) loop(void)
{
    for (;;)
        __asm__ volatile("cli");
}

/* Keeps the monitor busy as well. */
static void __attribute__((noreturn)) call_loop(void)
{
    for (;;)
        call(THAW_CALL_CLOCK, 0, 0, 0, 0, 0);
}

static void __attribute__((noreturn)) wait_forever(void)
{
    for (;;)
        call(THAW_CALL_WAIT, 0, 0, 0, 0, 0);
}

static void halt(void) { __asm__ volatile("cli\n\thlt"); }

static void page_tables(void)
{
    static const u64 places[] = {0,          0x1000,    0x500000, THAW_KVM_IMAGE_GPA, THAW_KVM_RAM_GPA + (64u << 20),
                                 0xfee00000, 1ull << 40};
    u64 at = places[next() % (sizeof places / sizeof *places)];

    for (int i = 1; i < 200; i++)
        pml4[i] = wild() | (next() & 7);
    for (int i = 100; i < 512; i++)
        pdpt_low[i] = wild() | (next() & 0x87);
    pml4[200] = THAW_KVM_RAM_GPA + ((u64)pml4 - THAW_KERNEL_ADDR) + 3;
    TRY("mov %%cr3, %%rax\n\tmov %%rax, %%cr3", "a"(0));
    for (int n = 0; n < 2000; n++) {
        u64 a = ((next() % 200) << 39) | (next() & 0x7fffffffff);

        if (next() & 1)
            TRY("movq (%0), %%rax", "r"(a), "a"(0));
        else
            TRY("invlpg (%0)", "r"(a));
    }
    TRY("mov %0, %%cr3\n\tmovq (%1), %%rax", "r"(at | (next() & 0xfff)), "r"(wild()), "a"(0));
}

/* All the memory there is, and beyond its end. */
static void memory(void)
{
    u64 size = PAGE->ram_size;

    for (u64 at = 32u << 20; at < size; at += 4096)
        *(volatile u64 *)(THAW_KVM_RAM_GPA + at) = at | 1;
    *(volatile u64 *)(THAW_KVM_RAM_GPA + size) = 1;
}

static void nothing(void) {}

static const struct {
    char name[20];
    void (*run)(void);
} cases[] = {
    {"nothing", nothing},
    {"ports", ports},
    {"mmio", mmio},
    {"image_write", image_write},
    {"calls", calls},
    {"processors", processors},
    {"bad_length", bad_length},
    {"bad_descriptor", bad_descriptor},
    {"bad_processor", bad_processor},
    {"bad_op", bad_op},
    {"lie", lie},
    {"scribble", scribble},
    {"snapshot", snapshot},
    {"descriptor_tables", descriptor_tables},
    {"msrs", msrs},
    {"control_registers", control_registers},
    {"instructions", instructions},
    {"triple_fault", triple_fault},
    {"loop", loop},
    {"call_loop", call_loop},
    {"wait_forever", wait_forever},
    {"halt", halt},
    {"page_tables", page_tables},
    {"memory", memory},
};

static int equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

void hostile_main(void)
{
    struct thaw_request *request = (struct thaw_request *)(THAW_BOOT_ADDR + BOOT->request_off);
    const char *word = (const char *)request + request->argv_off;

    BOOT_kvm_off = BOOT->kvm_off;
    tables_load();
    /* With `run` the words are python3 -c CASE SEED. */
    while (equal(word, "python3") || equal(word, "-c"))
        while (*word++)
            ;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (equal(word, cases[i].name)) {
            while (*word++)
                ;
            for (seed = 88172645463325252ull; *word >= '0' && *word <= '9'; word++)
                seed = seed * 1000003 + (u64)(*word - '0' + 1);
            next();
            cases[i].run();
            finish(0);
        }
    finish(99);
}
