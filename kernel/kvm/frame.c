/* SPDX-License-Identifier: MIT */
/*
 * Physical memory, page by page. Pages are used from the lowest up, so that a snapshot is small and what has never been
 * used is known, and known to be zero. Freed pages go on a list and are taken from there first.
 *
 * For each page that was ever used there is a struct frame, in an array at VMEMMAP_ADDR that grows as memory is used.
 */
#include "kvm.h"

#define FRAMES_PER_PAGE (PAGE_SIZE / sizeof(struct frame))
#define RESERVE 128u /* pages kept back for the kernel's own tables, so that a process can be ended in good order */
#define HUGE_FRAMES 512u

struct frame {
    u32 refs; /* of a free one: FREE and the next free one's number */
};
#define FREE 0x80000000u

static u32 fresh;              /* no page from here on has been used; numbers count from THAW_KVM_RAM_GPA */
static u32 total;              /* pages there are */
static u32 described;          /* pages that have a struct frame */
static u32 free_list, nr_free; /* 0: none; page 0 is the kernel's */

static struct frame *frame_of(u32 n) { return &((struct frame *)VMEMMAP_ADDR)[n]; }
static u64 frame_gpa(u32 n) { return THAW_KVM_RAM_GPA + ((u64)n << PAGE_SHIFT); }

static u32 frame_number(u64 gpa)
{
    u64 n = (gpa - THAW_KVM_RAM_GPA) >> PAGE_SHIFT;
    BUG_ON(gpa < THAW_KVM_RAM_GPA || n >= fresh);
    return (u32)n;
}

/* Describes pages up to and with n. Takes pages for that, which are never given back and need no description. */
static bool frames_describe(u32 n)
{
    while (described <= n) {
        if (fresh >= total)
            return false;
        u64 gpa = frame_gpa(fresh++);
        if (kernel_map(VMEMMAP_ADDR + described * sizeof(struct frame), gpa, PTE_W | PTE_NX))
            return false;
        described += FRAMES_PER_PAGE;
    }
    return true;
}

void frame_init(void)
{
    total = (u32)(kvm_page()->ram_size >> PAGE_SHIFT);
    fresh = (u32)((u64)(kernel_bss_end - kernel_start) >> PAGE_SHIFT);
}

void frame_resume(void)
{
    total = (u32)(kvm_page()->ram_size >> PAGE_SHIFT);
    if (total < fresh)
        panic("the snapshot needs more memory: %u MiB", fresh / 256 + 1);
}

/* For good, without a description: page tables of the kernel, this file's. */
u64 frame_alloc_kernel(void) { return fresh < total ? frame_gpa(fresh++) : 0; }

static u64 alloc(bool *zeroed)
{
    u32 n = free_list;

    if (total - fresh + nr_free <= RESERVE)
        return 0;
    *zeroed = !n;
    if (n) {
        free_list = frame_of(n)->refs & ~FREE;
        nr_free--;
    } else {
        if (!frames_describe(fresh))
            return 0;
        n = fresh++;
        if (!frames_describe(n)) /* describing has moved on */
            return 0;
    }
    frame_of(n)->refs = 1;
    return frame_gpa(n);
}

u64 frame_alloc(void)
{
    bool zeroed;
    return alloc(&zeroed);
}

u64 frame_alloc_zeroed(void)
{
    bool zeroed;
    u64 gpa = alloc(&zeroed);
    if (gpa && !zeroed)
        memset(frame_address(gpa), 0, PAGE_SIZE);
    return gpa;
}

static void frame_free(u32 n)
{
    frame_of(n)->refs = FREE | free_list;
    free_list = n;
    nr_free++;
}

u64 frame_alloc_huge(void)
{
    /* The descriptions come first, so that they do not lie in the middle of it. */
    u32 end = round_up(fresh, HUGE_FRAMES) + HUGE_FRAMES;

    if (end + RESERVE >= total || !frames_describe(end) || round_up(fresh, HUGE_FRAMES) + HUGE_FRAMES > end)
        return 0;
    while (fresh % HUGE_FRAMES)
        frame_free(fresh++);
    for (u32 i = 0; i < HUGE_FRAMES; i++)
        frame_of(fresh + i)->refs = 1;
    fresh += HUGE_FRAMES;
    return frame_gpa(fresh - HUGE_FRAMES);
}

void frame_get(u64 gpa)
{
    if (is_ram(gpa) && gpa != zero_page_gpa)
        frame_of(frame_number(gpa))->refs++;
}

void frame_put(u64 gpa)
{
    if (!is_ram(gpa) || gpa == zero_page_gpa)
        return;
    u32 n = frame_number(gpa);
    struct frame *f = frame_of(n);
    BUG_ON(!f->refs || f->refs & FREE);
    if (!--f->refs)
        frame_free(n);
}

u32 frame_refs(u64 gpa) { return frame_of(frame_number(gpa))->refs; }

u64 frame_end(void) { return frame_gpa(fresh); }

void frame_scrub(void)
{
    for (u32 n = free_list; n; n = frame_of(n)->refs & ~FREE)
        memset(frame_address(frame_gpa(n)), 0, PAGE_SIZE);
}
