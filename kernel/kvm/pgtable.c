/* SPDX-License-Identifier: MIT */
/*
 * Page tables. They alone say what user memory is: pages that have not been touched stand in them as well, as entries
 * that are not present, on the highest level that fits, so that a gigabyte of fresh memory is one entry.
 *
 *   present           a page: of memory, of the image (read-only), or the page of zeros. PTE_COW: writing is allowed,
 *                     but the page is shared: copy it first
 *   NP_ZERO           zeroed memory, not touched yet, with this protection; on any level but the topmost
 *   NP_KEEP           a page without any access (PROT_NONE)
 *
 * PTE_COMMON marks pages that the kernel has mapped to more than one address space: a fork shares them for good.
 */
#include "kvm.h"

#define PTE_ADDR 0x000ffffffffff000ull
#define PTE_COW (1ull << 9)
#define PTE_COMMON (1ull << 52) /* whether present or kept */
#define NP_ZERO (1ull << 10)
#define NP_KEEP (1ull << 11)
#define NP_HUGE (1ull << 8) /* of NP_ZERO: whole 2 MiB pages would be good */
#define NP_PROT_SHIFT 4
#define NP_PROT(e) ((u32)((e) >> NP_PROT_SHIFT) & 7u)

#define ENTRIES 512u
#define LEVELS 4
#define LEVEL_SHIFT(level) (12 + 9 * ((level)-1))
#define LEVEL_SIZE(level) (1ull << LEVEL_SHIFT(level))
#define HUGE_SIZE LEVEL_SIZE(2)
#define INVLPG_MAX 32u /* above that many pages the whole TLB is flushed */

u64 zero_page_gpa;

static u64 direct_pd[(THAW_KVM_RAM_GPA + THAW_KVM_RAM_MAX) >> 30][ENTRIES] __attribute__((section(".bss.pages")));
static u8 zero_page[PAGE_SIZE] __attribute__((section(".bss.pages"), aligned(4096)));

u64 kernel_gpa(const void *p) { return (u64)p - THAW_KERNEL_ADDR + THAW_KVM_RAM_GPA; }

static u64 *table_address(u64 entry) { return frame_address(entry & PTE_ADDR); }
static bool is_table(u64 e, int level) { return level > 1 && (e & PTE_P) && !(e & PTE_PS); }
static u64 zero_entry(u32 prot) { return NP_ZERO | (u64)(prot & 7) << NP_PROT_SHIFT; }

/* ---- the kernel's own ---- */

static u64 *kernel_table(u64 *entry)
{
    if (!(*entry & PTE_P)) {
        u64 gpa = frame_alloc_kernel();
        if (!gpa)
            return NULL;
        *entry = gpa | PTE_P | PTE_W;
    }
    return table_address(*entry);
}

static u64 *kernel_entry(u64 addr, int to)
{
    u64 *table = kvm_pml4;
    for (int level = LEVELS; table && level > to; level--)
        table = kernel_table(&table[(addr >> LEVEL_SHIFT(level)) % ENTRIES]);
    return table ? &table[(addr >> LEVEL_SHIFT(to)) % ENTRIES] : NULL;
}

int kernel_map(u64 addr, u64 gpa, u64 flags)
{
    u64 *e = kernel_entry(addr, 1);
    if (!e)
        return -ENOMEM;
    *e = gpa | flags | PTE_P | PTE_A | PTE_D | PTE_G;
    return 0;
}

static void flush_all(void)
{
    u64 cr3;
    __asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(cr3)::"memory");
}

void flush_global(void)
{
    u64 cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4\n\tmov %1, %%cr4" ::"r"(cr4 & ~0x80ull), "r"(cr4) : "memory");
}

/* What addr in the kernel's half is, for pages that kernel_map() has mapped. */
static u64 kernel_lookup(u64 addr) { return *kernel_entry(addr, 1) & PTE_ADDR; }

u64 kernel_unmap(u64 addr)
{
    u64 *e = kernel_entry(addr, 1), gpa = *e & PTE_ADDR;
    *e = 0;
    __asm__ volatile("invlpg (%0)" ::"r"(addr) : "memory");
    cpus_flush_later();
    return gpa;
}

/* Memory as it is: in huge pages. The kernel's code and constants cannot be written to that way either. */
static void direct_init(void)
{
    const u64 first = THAW_KVM_RAM_GPA >> 30, size = (u64)(kernel_rodata_end - kernel_start);

    for (u64 gib = first; gib < (THAW_KVM_RAM_GPA + THAW_KVM_RAM_MAX) >> 30; gib++) {
        if (gib << 30 >= THAW_KVM_RAM_GPA + kvm_page()->ram_size || (cpu_has_gbpages && gib > first))
            break;
        for (u64 i = 0; i < ENTRIES; i++)
            direct_pd[gib][i] = gib << 30 | i << 21 | PTE_P | PTE_W | PTE_PS | PTE_NX;
        kvm_pdpt_direct[gib] = kernel_gpa(direct_pd[gib]) | PTE_P | PTE_W; /* in the kernel, which is mapped already */
    }
    for (u64 i = 0; i << 21 < size; i++) {
        u64 gpa = frame_alloc_kernel();
        if (!gpa)
            panic("no memory for the kernel's page tables");
        u64 *table = frame_address(gpa);
        for (u64 k = 0; k < ENTRIES; k++)
            table[k] =
                (THAW_KVM_RAM_GPA + (i << 21 | k << 12)) | PTE_P | PTE_NX | ((i << 21 | k << 12) < size ? 0 : PTE_W);
        direct_pd[first][i] = gpa | PTE_P | PTE_W;
    }
}
_Static_assert(THAW_KVM_RAM_GPA % (1ull << 30) == 0, "the kernel lies at the start of a direct mapping");

/* Calls fn for each page that the kernel has mapped, with where it lies and its rights. */
static void kernel_walk(u64 *table, int level, u64 rights, void (*fn)(u64 gpa, u64 size, bool write, bool exec))
{
    for (u32 i = 0; i < ENTRIES; i++) {
        u64 e = table[i], now = (rights & e & PTE_W) | ((rights | e) & PTE_NX);
        if (!(e & PTE_P))
            continue;
        if (is_table(e, level))
            kernel_walk(table_address(e), level - 1, now, fn);
        else
            fn(e & PTE_ADDR & ~(LEVEL_SIZE(level) - 1), LEVEL_SIZE(level), now & PTE_W, !(now & PTE_NX));
    }
}

/* Only the kernel's code is executed, and nothing that leads to it can be written to. */
static void assert_wx(u64 gpa, u64 size, bool write, bool exec)
{
    u64 code = kernel_gpa(kernel_start), code_end = kernel_gpa(kernel_text_end);

    if (exec && (gpa < code || gpa + size > code_end))
        panic("the page at %#lx can be executed", (unsigned long)gpa);
    if (write && gpa < code_end && gpa + size > code)
        panic("the kernel's code at %#lx can be written to", (unsigned long)gpa);
}

void pgtable_init(void)
{
    direct_init();
    zero_page_gpa = kernel_gpa(zero_page);

    /* The kernel once more, page by page: code is not written to, and nothing else is executed. */
    u64 *coarse = &kvm_pd_low[(THAW_KERNEL_ADDR >> 21) % ENTRIES], fine[4], old[4];
    memcpy(old, coarse, sizeof(old));
    for (u32 i = 0; i < 4; i++) {
        fine[i] = frame_alloc_kernel();
        if (!fine[i])
            panic("no memory for the kernel's page tables");
    }
    for (u64 a = (u64)kernel_start; a < (u64)kernel_bss_end; a += PAGE_SIZE) {
        u64 flags = a < (u64)kernel_text_end ? 0 : a < (u64)kernel_rodata_end ? PTE_NX : PTE_NX | PTE_W;
        u64 i = (a - THAW_KERNEL_ADDR) >> PAGE_SHIFT;
        u64 *table = frame_address(fine[i / ENTRIES]);
        table[i % ENTRIES] = kernel_gpa((void *)a) | flags | PTE_P | PTE_A | PTE_D | PTE_G;
    }
    for (u32 i = 0; i < 4; i++)
        coarse[i] = fine[i] | PTE_P | PTE_W;
    kernel_unmap((u64)boot_stack_guard);
    kernel_unmap((u64)fault_stack_guard);

    for (u64 off = 0; off < boot->image_size; off += HUGE_SIZE) {
        u64 *e = kernel_entry(THAW_IMAGE_ADDR + off, 2);
        if (!e)
            panic("no memory for the image's page tables");
        *e = (THAW_KVM_IMAGE_GPA + off) | PTE_P | PTE_A | PTE_PS | PTE_G | PTE_NX;
    }
    kernel_walk(kvm_pml4, LEVELS, PTE_W, assert_wx);
    flush_global();
}

/* ---- user memory ---- */

static u64 leaf_entry(u64 gpa, u32 prot, u64 common)
{
    u64 e = gpa | PTE_U | PTE_P | PTE_A | common;

    if (!prot)
        return gpa | NP_KEEP | common;
    if (prot & PROT_WRITE)
        e |= common || (is_ram(gpa) && gpa != zero_page_gpa && frame_refs(gpa) == 1) ? PTE_W | PTE_D : PTE_COW;
    return prot & PROT_EXEC ? e : e | PTE_NX;
}

static u32 leaf_prot(u64 e)
{
    if (e & NP_ZERO && !(e & PTE_P))
        return NP_PROT(e);
    if (!(e & PTE_P))
        return 0;
    return PROT_READ | (e & (PTE_W | PTE_COW) ? PROT_WRITE : 0) | (e & PTE_NX ? 0 : PROT_EXEC);
}

static bool leaf_has_page(u64 e) { return e & PTE_P || e & NP_KEEP; }

static void leaf_release(u64 e, int level)
{
    if (!leaf_has_page(e))
        return;
    for (u64 i = 0; i < LEVEL_SIZE(level) >> PAGE_SHIFT; i++)
        frame_put((e & PTE_ADDR) + (i << PAGE_SHIFT));
}

static void subtree_release(u64 *e, int level)
{
    if (!is_table(*e, level)) {
        leaf_release(*e, level);
    } else {
        u64 *table = table_address(*e);
        for (u32 i = 0; i < ENTRIES; i++)
            if (table[i])
                subtree_release(&table[i], level - 1);
        frame_put(*e & PTE_ADDR);
    }
    *e = 0;
}

/* One level down: a table of entries that say the same. */
static int entry_split(u64 *e, int level)
{
    u64 old = *e, gpa = frame_alloc_zeroed();
    if (!gpa)
        return -ENOMEM;
    u64 *table = frame_address(gpa);
    if (old & PTE_P) { /* a huge page */
        for (u32 i = 0; i < ENTRIES; i++)
            table[i] = (old & ~PTE_PS) + i * LEVEL_SIZE(level - 1);
    } else if (old) {
        for (u32 i = 0; i < ENTRIES; i++)
            table[i] = old;
    }
    *e = gpa | PTE_P | PTE_W | PTE_U;
    return 0;
}

enum range_kind { RANGE_ZERO, RANGE_IMAGE, RANGE_COMMON, RANGE_CLEAR, RANGE_PROTECT, RANGE_DISCARD, RANGE_HUGE };

struct range {
    enum range_kind kind;
    u32 prot;
    u64 start;
    union {
        u64 gpa;        /* of what start maps: RANGE_IMAGE */
        const u8 *heap; /* RANGE_COMMON */
    };
};

/* Does it on a whole entry that is not a table. False: it has to be smaller. */
static bool range_leaf(const struct range *r, u64 *e, int level, u64 addr)
{
    u64 old = *e, gpa;

    switch (r->kind) {
    case RANGE_ZERO:
        leaf_release(old, level);
        *e = zero_entry(r->prot);
        return true;
    case RANGE_IMAGE:
        if (level > 1)
            return false;
        leaf_release(old, level);
        *e = leaf_entry(r->gpa + (addr - r->start), r->prot, 0);
        return true;
    case RANGE_COMMON:
        if (level > 1)
            return false;
        gpa = kernel_lookup((u64)r->heap + (addr - r->start));
        frame_get(gpa);
        leaf_release(old, level);
        *e = leaf_entry(gpa, r->prot, PTE_COMMON);
        return true;
    case RANGE_CLEAR:
        leaf_release(old, level);
        *e = 0;
        return true;
    case RANGE_PROTECT:
        if (!leaf_has_page(old)) {
            if (old)
                *e = zero_entry(r->prot) | (old & NP_HUGE);
            return true;
        }
        if (level > 1) {
            /* A huge page belongs to one address space: as long as that holds it need not be split. */
            if (!r->prot)
                return false;
            for (u32 i = 0; i < ENTRIES; i++)
                if (frame_refs((old & PTE_ADDR) + i * PAGE_SIZE) != 1)
                    return false;
        }
        gpa = old & PTE_ADDR;
        *e = leaf_entry(gpa, r->prot, old & PTE_COMMON) | (level > 1 ? PTE_PS : 0);
        return true;
    case RANGE_DISCARD:
        if (leaf_has_page(old) && is_ram(old & PTE_ADDR) && !(old & PTE_COMMON)) {
            u32 prot = leaf_prot(old);
            leaf_release(old, level);
            *e = zero_entry(prot);
        }
        return true;
    case RANGE_HUGE:
        if (level == 2 && old & NP_ZERO && !(old & PTE_P))
            *e |= NP_HUGE;
        return level <= 2;
    }
    return true;
}

static bool range_creates(const struct range *r) { return r->kind <= RANGE_COMMON; }
static bool range_replaces(const struct range *r) { return r->kind == RANGE_ZERO || r->kind == RANGE_CLEAR; }

static int range_walk(const struct range *r, u64 *table, int level, u64 addr, u64 end)
{
    const u64 size = LEVEL_SIZE(level);

    while (addr < end) {
        u64 next = min(end, round_down(addr, size) + size);
        u64 *e = &table[(addr >> LEVEL_SHIFT(level)) % ENTRIES];
        bool whole = next - addr == size;
        int err = 0;

        if (whole && level < LEVELS && range_replaces(r) && is_table(*e, level))
            subtree_release(e, level);
        if (!is_table(*e, level)) {
            if ((!*e && !range_creates(r)) || (whole && level < LEVELS && range_leaf(r, e, level, addr))) {
                addr = next;
                continue;
            }
            err = entry_split(e, level);
        }
        err = err ? err : range_walk(r, table_address(*e), level - 1, addr, next);
        if (err)
            return err;
        addr = next;
    }
    return 0;
}

static void range_flush(const u64 *pml4, u64 addr, u64 len)
{
    if (pml4 != this_cpu()->pml4)
        return;
    if (len > INVLPG_MAX * PAGE_SIZE)
        flush_all();
    else
        for (u64 a = addr; a < addr + len; a += PAGE_SIZE)
            __asm__ volatile("invlpg (%0)" ::"r"(a) : "memory");
}

/* True: there are pages in it, or tables that go with them, and a processor may know of them. */
static bool range_is_known(const u64 *table, int level, u64 addr, u64 end)
{
    const u64 size = LEVEL_SIZE(level);

    for (u64 next; addr < end; addr = next) {
        u64 e = table[(addr >> LEVEL_SHIFT(level)) % ENTRIES];
        next = min(end, round_down(addr, size) + size);
        if (!(e & PTE_P))
            continue;
        if (!is_table(e, level) || (next - addr == size && level < LEVELS) ||
            range_is_known(table_address(e), level - 1, addr, next))
            return true;
    }
    return false;
}

static int range_apply(u64 *pml4, u64 addr, u64 len, struct range r)
{
    if (cpus_online > 1 && r.kind != RANGE_HUGE && range_is_known(pml4, LEVELS, addr, addr + len))
        cpus_leave(pml4);
    r.start = addr;
    int err = range_walk(&r, pml4, LEVELS, addr, addr + len);
    range_flush(pml4, addr, len);
    return err;
}

int pgtable_zero(u64 *pml4, u64 addr, u64 len, u32 prot)
{
    return range_apply(pml4, addr, len, (struct range){.kind = RANGE_ZERO, .prot = prot});
}

int pgtable_image(u64 *pml4, u64 addr, u64 len, u32 prot, u64 offset)
{
    return range_apply(pml4, addr, len,
                       (struct range){.kind = RANGE_IMAGE, .prot = prot, .gpa = THAW_KVM_IMAGE_GPA + offset});
}

int pgtable_common(u64 *pml4, u64 addr, u64 len, u32 prot, const void *heap)
{
    return range_apply(pml4, addr, len, (struct range){.kind = RANGE_COMMON, .prot = prot, .heap = heap});
}

int pgtable_clear(u64 *pml4, u64 addr, u64 len)
{
    return range_apply(pml4, addr, len, (struct range){.kind = RANGE_CLEAR});
}

int pgtable_protect(u64 *pml4, u64 addr, u64 len, u32 prot)
{
    return range_apply(pml4, addr, len, (struct range){.kind = RANGE_PROTECT, .prot = prot});
}

int pgtable_discard(u64 *pml4, u64 addr, u64 len)
{
    return range_apply(pml4, addr, len, (struct range){.kind = RANGE_DISCARD});
}

void pgtable_advise_huge(u64 *pml4, u64 addr, u64 len)
{
    range_apply(pml4, addr, len, (struct range){.kind = RANGE_HUGE});
}

/* The lowest entry that says what addr is, with its level. */
static u64 *leaf_find(u64 *pml4, u64 addr, int *level)
{
    u64 *table = pml4;
    for (*level = LEVELS;; --*level) {
        u64 *e = &table[(addr >> LEVEL_SHIFT(*level)) % ENTRIES];
        if (!is_table(*e, *level))
            return e;
        table = table_address(*e);
    }
}

/* The entry for the page at addr alone; NULL: no memory. */
static u64 *page_entry(u64 *pml4, u64 addr)
{
    int level;
    u64 *e = leaf_find(pml4, addr, &level);
    while (level > 1) {
        if (entry_split(e, level))
            return NULL;
        e = leaf_find(pml4, addr, &level);
    }
    return e;
}

int pgtable_move(u64 *pml4, u64 from, u64 to, u64 len)
{
    int err = pgtable_clear(pml4, to, len);

    cpus_leave(pml4);
    for (u64 done = 0; done < len && !err;) {
        int level;
        u64 *e = leaf_find(pml4, from + done, &level);
        u64 size = min(len - done, LEVEL_SIZE(level) - ((from + done) & (LEVEL_SIZE(level) - 1)));
        if (!leaf_has_page(*e)) {
            if (*e)
                err = pgtable_zero(pml4, to + done, size, NP_PROT(*e));
        } else {
            u64 *target = page_entry(pml4, to + done);
            e = page_entry(pml4, from + done);
            if (!target || !e)
                return -ENOMEM;
            *target = *e;
            *e = 0;
            size = PAGE_SIZE;
        }
        done += size;
    }
    range_flush(pml4, from, len);
    return err ? err : pgtable_clear(pml4, from, len);
}

static int fault_zero(u64 *e, int level, bool huge)
{
    u32 prot = NP_PROT(*e);
    u64 gpa = huge ? frame_alloc_huge() : 0;

    if (gpa) {
        *e = leaf_entry(gpa, prot, 0) | PTE_PS;
        return 0;
    }
    if (level > 1) {
        *e &= ~NP_HUGE;
        return entry_split(e, level) ? -ENOMEM : -EAGAIN;
    }
    gpa = frame_alloc_zeroed();
    if (!gpa)
        return -ENOMEM;
    *e = leaf_entry(gpa, prot, 0);
    return 0;
}

static int fault_copy(const u64 *pml4, u64 *e)
{
    u64 old = *e & PTE_ADDR, gpa;

    if (is_ram(old) && old != zero_page_gpa && frame_refs(old) == 1) {
        *e = leaf_entry(old, leaf_prot(*e), 0); /* the others are gone */
        return 0;
    }
    gpa = old == zero_page_gpa ? frame_alloc_zeroed() : frame_alloc();
    if (!gpa)
        return -ENOMEM;
    cpus_leave(pml4); /* to nobody is the old one good any more */
    if (old != zero_page_gpa)
        memcpy(frame_address(gpa),
               is_ram(old) ? frame_address(old) : (void *)(THAW_IMAGE_ADDR + (old - THAW_KVM_IMAGE_GPA)), PAGE_SIZE);
    *e = leaf_entry(gpa, leaf_prot(*e), 0);
    frame_put(old);
    return 0;
}

int pgtable_fault(u64 *pml4, u64 addr, bool write, bool exec)
{
    int err;

    do {
        int level;
        u64 *e = leaf_find(pml4, addr, &level);
        u32 prot = leaf_prot(*e);
        if (!*e)
            return -ENXIO;
        if (!prot || (write && !(prot & PROT_WRITE)) || (exec && !(prot & PROT_EXEC)))
            return -EFAULT;
        err = 0;
        if (!(*e & PTE_P)) {
            /* Memory that is only read stays the page of zeros. */
            if (!write && level == 1)
                *e = leaf_entry(zero_page_gpa, prot, 0);
            else
                err = fault_zero(e, level, write && level == 2 && *e & NP_HUGE);
        } else if (write && *e & PTE_COW) {
            if (level > 1)
                err = entry_split(e, level) ? -ENOMEM : -EAGAIN;
            else
                err = fault_copy(pml4, e);
        }
    } while (err == -EAGAIN);
    range_flush(pml4, round_down(addr, PAGE_SIZE), PAGE_SIZE);
    return err;
}

u64 *pgtable_create(void)
{
    u64 gpa = frame_alloc_zeroed();
    if (!gpa)
        return NULL;
    u64 *pml4 = frame_address(gpa);
    for (u64 i = THAW_WINDOW_START >> 39; i < THAW_WINDOW_END >> 39; i++)
        pml4[i] = kvm_pml4[i];
    return pml4;
}

void pgtable_free(u64 *pml4)
{
    for (u64 i = 0; i < THAW_USER_END >> 39; i++)
        if (pml4[i])
            subtree_release(&pml4[i], LEVELS);
    frame_put((u64)pml4 - DIRECT_ADDR);
}

static int fork_walk(u64 *to, u64 *from, int level, u32 entries)
{
    for (u32 i = 0; i < entries; i++) {
        u64 e = from[i];
        if (is_table(e, level)) {
            u64 gpa = frame_alloc_zeroed();
            if (!gpa)
                return -ENOMEM;
            to[i] = gpa | (e & ~PTE_ADDR);
            int err = fork_walk(frame_address(gpa), table_address(e), level - 1, ENTRIES);
            if (err)
                return err;
            continue;
        }
        if (leaf_has_page(e)) {
            for (u64 k = 0; k < LEVEL_SIZE(level) >> PAGE_SHIFT; k++)
                frame_get((e & PTE_ADDR) + (k << PAGE_SHIFT));
            if (e & PTE_P && e & PTE_W && !(e & PTE_COMMON))
                from[i] = e = (e & ~(PTE_W | PTE_D)) | PTE_COW;
        }
        to[i] = e;
    }
    return 0;
}

u64 *pgtable_fork(u64 *from)
{
    u64 *to = pgtable_create();
    cpus_leave(from);
    int err = to ? fork_walk(to, from, LEVELS, THAW_USER_END >> LEVEL_SHIFT(LEVELS)) : -ENOMEM;

    if (from == this_cpu()->pml4)
        flush_all(); /* what could be written to can no longer be */
    if (!err)
        return to;
    if (to)
        pgtable_free(to);
    return NULL;
}
