/* SPDX-License-Identifier: MIT */
/*
 * FPU and vector state. The kernel itself uses none of it, so it stays in the registers until another thread runs or
 * somebody wants to look at it; it goes back on the way to user mode.
 */
#include "kvm.h"

#define FXSAVE_SIZE 512u
#define XSAVE_HEADER 64u
#define MXCSR_INIT 0x1f80u
#define FCW_INIT 0x37fu
#define CR4_OSXSAVE (1ull << 18)

/* struct _fpx_sw_bytes of Linux's asm/sigcontext.h: what the core's signal frames say of the image. */
#define FPX_SW_OFFSET 464
#define FP_XSTATE_MAGIC1 0x46505853u
struct fpx_sw_bytes {
    u32 magic1, extended_size;
    u64 xfeatures;
    u32 xstate_size;
};

static u32 area_size; /* of an XSAVE image of what is enabled */
static u64 xcr0;

static void *fpu_area(struct thread_info *ti) { return (u8 *)ti + round_up(sizeof(*ti), 64); }

void fpu_init(void)
{
    u32 a, b, c, d;
    u64 cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    if (!(cr4 & CR4_OSXSAVE)) { /* the monitor sets it, and XCR0, to what there is */
        area_size = FXSAVE_SIZE;
        xcr0 = 0;
        return;
    }
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    xcr0 = (u64)d << 32 | a;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0xd), "c"(0));
    area_size = b;
}

u32 fpu_pages(void) { return (u32)(page_align(round_up(sizeof(struct thread_info), 64) + area_size) / PAGE_SIZE); }

void fpu_save(struct thread_info *ti)
{
    void *p = fpu_area(ti);

    if (!ti->fpu_live)
        return;
    ti->fpu_live = false;
    if (!xcr0)
        __asm__ volatile("fxsaveq (%0)" ::"r"(p) : "memory");
    else
        __asm__ volatile("xsaveq (%0)" ::"r"(p), "a"((u32)xcr0), "d"((u32)(xcr0 >> 32)) : "memory");
}

void fpu_load(struct thread_info *ti)
{
    const void *p = fpu_area(ti);

    if (ti->fpu_live)
        return;
    ti->fpu_live = true;
    if (!xcr0)
        __asm__ volatile("fxrstorq (%0)" ::"r"(p) : "memory");
    else
        __asm__ volatile("xrstorq (%0)" ::"r"(p), "a"((u32)xcr0), "d"((u32)(xcr0 >> 32)) : "memory");
}

void fpu_reset(struct thread_info *ti)
{
    u8 *p = fpu_area(ti);
    const u16 fcw = FCW_INIT;
    const u32 mxcsr = MXCSR_INIT;

    ti->fpu_live = false;
    memset(p, 0, area_size);
    memcpy(p, &fcw, sizeof(fcw));
    memcpy(p + 24, &mxcsr, sizeof(mxcsr));
}

void fpu_copy(struct thread_info *to, struct thread_info *from)
{
    fpu_save(from);
    memcpy(fpu_area(to), fpu_area(from), area_size);
    to->fpu_live = false;
}

void *machine_fpu(size_t *size)
{
    struct thread_info *ti = thread_info();
    u8 *p = fpu_area(ti);
    u64 *features = (u64 *)(void *)(p + FXSAVE_SIZE);

    fpu_save(ti);
    *size = area_size;
    if (xcr0) {
        const struct fpx_sw_bytes sw = {FP_XSTATE_MAGIC1, area_size + sizeof(u32), xcr0, area_size};
        memcpy(p + FPX_SW_OFFSET, &sw, sizeof(sw));
    }
    /* A part in its initial state is not written by XSAVE; who looks at the image is to find it there. */
    if (xcr0 && (*features & 3) != 3) {
        const u32 mxcsr = MXCSR_INIT;
        if (!(*features & 1)) {
            const u16 fcw = FCW_INIT;
            memset(p, 0, 24);
            memset(p + 32, 0, 128);
            memcpy(p, &fcw, sizeof(fcw));
        }
        if (!(*features & 2)) {
            memset(p + 160, 0, 256);
            memcpy(p + 24, &mxcsr, sizeof(mxcsr));
        }
        *features |= 3;
    }
    return p;
}

void machine_reset_fpu(void) { fpu_reset(thread_info()); }
