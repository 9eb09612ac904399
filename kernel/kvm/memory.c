/* SPDX-License-Identifier: MIT */
/* Address spaces: what machine.h says of them, on page tables. */
#include "kvm.h"

#include "mm.h"

static u64 gpa_of(const u64 *pml4) { return (u64)pml4 - DIRECT_ADDR; }

void memory_load(u64 *pml4)
{
    this_cpu()->pml4 = pml4;
    __asm__ volatile("mov %0, %%cr3" ::"r"(pml4 == kvm_pml4 ? kernel_gpa(kvm_pml4) : gpa_of(pml4)) : "memory");
}

/* An address space's tables come with its first mapping. */
static u64 *tables(struct mm *mm)
{
    if (!mm->machine) {
        mm->machine = pgtable_create();
        if (mm->machine && current && current->process->mm == mm)
            memory_load(mm->machine);
    }
    return mm->machine;
}

void memory_switch(struct task *t)
{
    struct mm *mm = t ? t->process->mm : NULL;
    u64 *pml4 = mm && mm->machine ? mm->machine : kvm_pml4;
    if (pml4 != this_cpu()->pml4)
        memory_load(pml4);
}

int machine_map_anon(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    u64 *t = tables(mm);
    return t ? pgtable_zero(t, addr, len, prot) : -ENOMEM;
}

int machine_map_image(struct mm *mm, u64 addr, u64 len, u32 prot, u64 offset)
{
    u64 *t = tables(mm);
    return t ? pgtable_image(t, addr, len, prot, offset) : -ENOMEM;
}

int machine_map_pages(struct mm *mm, u64 addr, u64 len, u32 prot, void *pages)
{
    u64 *t = tables(mm);
    return t ? pgtable_common(t, addr, len, prot, pages) : -ENOMEM;
}

/* The kernel's half is the same in all address spaces. */
int machine_share(void) { return 0; }

int machine_exec(struct mm *mm, struct mm *old)
{
    if (old && old->machine) {
        pgtable_clear(old->machine, THAW_USER_START, THAW_USER_END - THAW_USER_START);
        mm->machine = old->machine;
        old->machine = NULL;
        return 0;
    }
    mm->machine = pgtable_create();
    if (!mm->machine)
        return -ENOMEM;
    memory_load(mm->machine);
    return 0;
}

void machine_mm_free(struct mm *mm)
{
    if (!mm->machine)
        return;
    if (mm->machine == this_cpu()->pml4)
        memory_load(kvm_pml4);
    for (const struct cpu *c = cpus; c < cpus + cpus_online; c++)
        BUG_ON(c->pml4 == mm->machine); /* it has a thread in it that the core knows nothing of */
    pgtable_free(mm->machine);
    mm->machine = NULL;
}

int machine_unmap(struct mm *mm, u64 addr, u64 len) { return mm->machine ? pgtable_clear(mm->machine, addr, len) : 0; }

int machine_protect(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    u64 *t = tables(mm);
    return t ? pgtable_protect(t, addr, len, prot) : -ENOMEM;
}

void machine_code_changes(struct mm *mm, u64 addr, u64 len) {} /* code is as the program has it */

int machine_remap(struct mm *mm, u64 old, u64 old_len, u64 new_addr, u64 new_len)
{
    u64 *t = tables(mm), keep = min(old_len, new_len);
    int err = t ? pgtable_move(t, old, new_addr, keep) : -ENOMEM;
    return err || old_len == keep ? err : pgtable_clear(t, old + keep, old_len - keep);
}

int machine_discard(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    return mm->machine ? pgtable_discard(mm->machine, addr, len) : 0;
}

void machine_advise_huge(struct mm *mm, u64 addr, u64 len)
{
    if (mm->machine)
        pgtable_advise_huge(mm->machine, addr, len);
}

int memory_fault(u64 addr, bool write, bool exec)
{
    struct mm *mm = current ? current->process->mm : NULL;
    return mm && mm->machine ? pgtable_fault(mm->machine, addr, write, exec) : -ENXIO;
}

const u64 machine_heap_first = THAW_HEAP_ADDR;

int machine_heap_grow(u64 addr, u64 len)
{
    u64 done = 0;

    for (; done < len; done += PAGE_SIZE) {
        u64 gpa = frame_alloc_zeroed();
        if (!gpa || kernel_map(addr + done, gpa, PTE_W | PTE_NX)) {
            frame_put(gpa);
            break;
        }
    }
    if (done == len)
        return 0;
    while (done)
        frame_put(kernel_unmap(addr + (done -= PAGE_SIZE)));
    return -ENOMEM;
}

const void *machine_image(void) { return boot->image_size ? (const void *)THAW_IMAGE_ADDR : NULL; }
