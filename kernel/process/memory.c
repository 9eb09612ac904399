/* SPDX-License-Identifier: MIT */
/* Address spaces: the host's mmap and its kin do the work. RLIMIT_DATA, set by the monitor, is the memory limit. */
#include "process.h"

#include "mm.h"
#include "uio.h"

#define MAP_HERE (HOST_MAP_PRIVATE | HOST_MAP_FIXED)

static int host_prot(u32 prot)
{
    return (prot & PROT_READ ? HOST_PROT_READ : 0) | (prot & PROT_WRITE ? HOST_PROT_WRITE : 0) |
           (prot & PROT_EXEC ? HOST_PROT_EXEC : 0);
}

static int check(s64 ret) { return ret < 0 && ret > -4096 ? (int)ret : 0; }

/*
 * Regions of a snapshot that a restored start left for later: those without a hint that the training run touched them.
 * Each is mapped as a whole by the first fault in it, or right before something is done to a part of it. They are marked
 * in the boot area's list, which is in order of address.
 */
#define DEFERRED 1u /* in a region's start, which is page-aligned otherwise */

static int map_region(u64 start, const struct thaw_region *r);

static int settle(struct thaw_region *r)
{
    r->start &= ~(u64)DEFERRED;
    boot->deferred--;
    return map_region(r->start, r);
}

static struct thaw_region *regions(void) { return (void *)((char *)boot + boot->region_off); }

bool memory_fault(u64 addr)
{
    struct thaw_region *r = regions();

    if (!boot->deferred)
        return false;
    for (u32 i = 0; i < boot->region_count; i++)
        if (r[i].start & DEFERRED && addr >= r[i].start - DEFERRED && addr - (r[i].start - DEFERRED) < r[i].len) {
            if (settle(&r[i]))
                mm_out_of_memory();
            return true;
        }
    return false;
}

/* Before something is done to [addr, addr + len). gone: what was mapped there is not looked at again. */
static int settle_range(u64 addr, u64 len, bool gone)
{
    struct thaw_region *r = regions();
    int err = 0;

    if (!boot->deferred)
        return 0;
    for (u32 i = 0; i < boot->region_count && !err; i++) {
        u64 start = r[i].start - DEFERRED;
        if (!(r[i].start & DEFERRED) || start >= addr + len || addr >= start + r[i].len)
            continue;
        if (gone && start >= addr && r[i].len <= len - (start - addr)) {
            r[i].start = start;
            boot->deferred--;
        } else {
            err = settle(&r[i]);
        }
    }
    return err;
}

void memory_settle_all(void)
{
    int err = settle_range(THAW_USER_START, THAW_USER_END - THAW_USER_START, false);
    if (err)
        panic("restore of memory: error %d", -err);
}

static int map_anon(u64 addr, u64 len, u32 prot)
{
    return check(host_syscall(HOST_mmap, addr, len, (u64)host_prot(prot), MAP_HERE | HOST_MAP_ANONYMOUS, (u64)-1, 0));
}

static void advise_huge(u64 addr, u64 len) { host_syscall(HOST_madvise, addr, len, HOST_MADV_HUGEPAGE, 0, 0, 0); }

static int map_file(u64 addr, u64 len, u32 prot, int fd, u64 offset)
{
    return check(host_syscall(HOST_mmap, addr, len, (u64)host_prot(prot), MAP_HERE, (u64)fd, offset));
}

int machine_map_anon(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    int err = settle_range(addr, len, true);
    return err ? err : map_anon(addr, len, prot);
}

int machine_map_image(struct mm *mm, u64 addr, u64 len, u32 prot, u64 offset)
{
    int err = settle_range(addr, len, true);
    return err ? err : map_file(addr, len, prot, THAW_FD_IMAGE, offset);
}

int machine_unmap(struct mm *mm, u64 addr, u64 len)
{
    int err = settle_range(addr, len, true);
    return err ? err : check(host_syscall(HOST_munmap, addr, len, 0, 0, 0, 0));
}

int machine_protect(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    int err = settle_range(addr, len, false);
    return err ? err : check(host_syscall(HOST_mprotect, addr, len, (u64)host_prot(prot), 0, 0, 0));
}

int machine_remap(struct mm *mm, u64 old, u64 old_len, u64 new_addr, u64 new_len)
{
    const u64 flags = HOST_MREMAP_MAYMOVE | HOST_MREMAP_FIXED;
    int err = settle_range(old, old_len, false);
    err = err ? err : settle_range(new_addr, new_len, true);
    if (err)
        return err;
    err = check(host_syscall(HOST_mremap, old, old_len, new_len, flags, new_addr, 0));

    if (err != -EFAULT || old_len != new_len)
        return err;
    /* More than one mapping for the host: some pages hold rewritten calls (direct.c). */
    err = 0;
    for (u64 i = 0; i < old_len && !err; i += PAGE_SIZE)
        err = check(host_syscall(HOST_mremap, old + i, PAGE_SIZE, PAGE_SIZE, flags, new_addr + i, 0));
    return err;
}

int machine_discard(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    const struct thaw_region *r = regions(), *end = r + (boot->flags & THAW_BOOT_RESTORE ? boot->region_count : 0);
    int err = settle_range(addr, len, false);

    err = err ? err : check(host_syscall(HOST_madvise, addr, len, HOST_MADV_DONTNEED, 0, 0, 0));
    /* What came from the snapshot's file would come from there again. */
    for (; r < end && r->start < addr + len && !err; r++)
        if (r->kind == THAW_REGION_DATA && r->start + r->len > addr) {
            u64 from = max(r->start, addr);
            err = map_anon(from, min(r->start + r->len, addr + len) - from, prot);
        }
    return err;
}

void machine_advise_huge(struct mm *mm, u64 addr, u64 len)
{
    if (!settle_range(addr, len, false))
        advise_huge(addr, len);
}

int machine_map_pages(struct mm *mm, u64 addr, u64 len, u32 prot, void *pages)
{
    BUG_ON(!memory_shared); /* and so nothing is deferred */
    return check(host_syscall(HOST_mmap, addr, len, (u64)host_prot(prot), HOST_MAP_SHARED | HOST_MAP_FIXED,
                              THAW_FD_MEMORY, shared_offset((u64)pages)));
}

/* With the kernel's data, so that what a restored sandbox writes to lies together (kernel.lds). */
static char heap_first[HEAP_FIRST] __attribute__((aligned(4096), section(".bss.heap")));
const u64 machine_heap_first = (u64)heap_first;

int machine_heap_grow(u64 addr, u64 len)
{
    if (addr == machine_heap_first)
        return len <= sizeof(heap_first) ? 0 : -ENOMEM;
    if (memory_shared) /* it is mapped already, as far as it may ever go */
        return len <= shared_heap_end() - addr ? 0 : -ENOMEM;
    return map_anon(addr, len, PROT_READ | PROT_WRITE);
}

u64 memory_image(void) { return boot->image_size <= THAW_IMAGE_NEAR_MAX ? THAW_IMAGE_NEAR_ADDR : THAW_IMAGE_ADDR; }

const void *machine_image(void) { return boot->image_size ? (const void *)memory_image() : NULL; }

static s64 unmap_between(u64 from, u64 to)
{
    return to > from ? host_syscall(HOST_munmap, from, to - from, 0, 0, 0, 0) : 0;
}

/*
 * What the monitor's child left behind goes: all but the boot area, the kernel's file and the host's vDSO. A restore is
 * going to map regions in place of what was executed, so that this only goes where they leave it: the page tables stay.
 */
void memory_init(bool restore)
{
    u64 vdso = boot->vdso.start ? boot->vdso.start : THAW_WINDOW_END;
    u64 vdso_end = boot->vdso.start ? boot->vdso.end : THAW_WINDOW_END;
    s64 err = restore && boot->program[0][1] ? 0 : unmap_between(0, THAW_BOOT_ADDR);

    err = err ? err : unmap_between(THAW_BOOT_ADDR + THAW_BOOT_AREA, (u64)kernel_start);
    err = err ? err : unmap_between((u64)kernel_data_start, vdso);
    err = err ? err : unmap_between(vdso_end, THAW_HOST_END);
    if (err)
        panic("munmap of the monitor's memory: error %ld", (long)-err);
    if (boot->image_size) {
        s64 p = host_syscall(HOST_mmap, memory_image(), page_align(boot->image_size), HOST_PROT_READ,
                             HOST_MAP_SHARED | HOST_MAP_FIXED, THAW_FD_IMAGE, 0);
        if (p != (s64)memory_image())
            panic("mmap of the image: error %ld", (long)-p);
    }
}

static void discard(u64 addr, u64 len) { host_syscall(HOST_madvise, addr, len, HOST_MADV_DONTNEED, 0, 0, 0); }

void memory_trim(void)
{
    if (!memory_shared)
        kmalloc_unused(discard);
}

/* A cold boot: the kernel's own writable memory. */
void memory_fresh(void)
{
    u64 len = (u64)(kernel_bss_end - kernel_data_start);

    if (map_anon((u64)kernel_data_start, len, PROT_READ | PROT_WRITE))
        panic("no memory for the kernel's data");
    memcpy(kernel_data_copy, kernel_data_load, (size_t)(kernel_data_end - kernel_data_copy));
}

/* Regions that one call of the host can do: a call costs more than what it does for one of them. */
#define VECTOR_MAX 64

/* Reads COPY regions that follow each other in the file; how many, or -errno. */
static s64 restore_copy(const struct thaw_region *r, u32 left)
{
    struct iovec v[VECTOR_MAX];
    u64 len = 0, done = 0;
    u32 n = 0;

    for (; n < min(left, (u32)VECTOR_MAX) && r[n].kind == THAW_REGION_COPY && r[n].offset == r->offset + len; n++) {
        v[n] = (struct iovec){r[n].start, r[n].len};
        len += r[n].len;
    }
    for (u32 i = 0; done < len;) {
        s64 got = host_syscall(HOST_preadv, THAW_FD_SNAPSHOT, (u64)&v[i], n - i, r->offset + done, 0, 0);
        if (got <= 0)
            return got ? got : -EIO;
        done += (u64)got;
        for (; i < n && (u64)got >= v[i].len; i++)
            got -= (s64)v[i].len;
        if (i < n) {
            v[i].base += (u64)got;
            v[i].len -= (u64)got;
        }
    }
    return n;
}

/* Hints of one kind that follow each other; how many. A host that does not know of them takes its faults one by one. */
static u32 restore_populate(const struct thaw_region *r, u32 left)
{
    const u64 advice = r->prot & PROT_WRITE ? HOST_MADV_POPULATE_WRITE : HOST_MADV_POPULATE_READ;
    struct iovec v[VECTOR_MAX];
    u64 len = 0;
    u32 n = 0;

    for (; n < min(left, (u32)VECTOR_MAX) && r[n].kind == THAW_REGION_POPULATE && r[n].prot == r->prot; n++) {
        v[n] = (struct iovec){r[n].start, r[n].len};
        len += r[n].len;
    }
    /* Since Linux 6.14 for oneself, with any advice. */
    s64 done = n > 1 ? host_syscall(HOST_process_madvise, HOST_PIDFD_SELF, (u64)v, n, advice, 0, 0) : -EINVAL;
    if (done < 0)
        for (u32 i = 0; i < n; i++)
            host_syscall(HOST_madvise, v[i].base, v[i].len, advice, 0, 0, 0);
    return n;
}

/* Should the host have to read a file, after it was started anew say, then by huge pages of its page cache: smaller
 * regions lie in the same ones as a rule, and each call costs. */
#define READ_HUGE_MIN (1u << 20)

/* ZERO, IMAGE, DATA or HUGE. */
static int map_region(u64 start, const struct thaw_region *r)
{
    const bool data = r->kind == THAW_REGION_DATA, image = r->kind == THAW_REGION_IMAGE;
    int err = data || image ? map_file(start, r->len, r->prot, data ? THAW_FD_SNAPSHOT : THAW_FD_IMAGE, r->offset)
                            : map_anon(start, r->len, r->prot);

    if (!err &&
        (r->kind == THAW_REGION_HUGE || (data && r->len >= READ_HUGE_MIN) || (image && r->len >= THAW_HUGE_SIZE)))
        advise_huge(start, r->len);
    return err;
}

/* Hints of one kind, in order of address. */
struct hints {
    const struct thaw_region *at, *end;
};

static struct hints hints_find(const struct thaw_region *r, const struct thaw_region *end, u32 write)
{
    struct hints h;

    while (r < end && (r->kind != THAW_REGION_POPULATE || (r->prot & PROT_WRITE) != write))
        r++;
    for (h.at = r; r < end && r->kind == THAW_REGION_POPULATE && (r->prot & PROT_WRITE) == write; r++)
        ;
    h.end = r;
    return h;
}

/* Regions are asked about in order of address. */
static bool hints_touch(struct hints *h, const struct thaw_region *r)
{
    while (h->at < h->end && h->at->start + h->at->len <= r->start)
        h->at++;
    return h->at < h->end && h->at->start < r->start + r->len;
}

/* What is left of the executed program between the regions that were mapped goes. */
static void program_forget(void)
{
    const struct thaw_region *r = regions(), *end = r + boot->region_count;

    for (u32 i = 0; i < 2; i++) {
        u64 at = boot->program[i][0], stop = boot->program[i][1];
        s64 err = 0;
        for (const struct thaw_region *p = r; p < end && p->start < stop && p->kind != THAW_REGION_POPULATE; p++) {
            if (p->start & DEFERRED || p->kind == THAW_REGION_COPY || p->start + p->len <= at)
                continue;
            err = err ? err : unmap_between(at, p->start);
            at = p->start + p->len;
        }
        err = err ? err : unmap_between(at, stop);
        if (err)
            panic("munmap of the monitor's memory: error %ld", (long)-err);
    }
}

/* The regions come from a snapshot that the monitor has checked: none overlaps another or lies where it must not. */
void memory_restore(void)
{
    struct thaw_region *r = regions(), *end = r + boot->region_count;
    struct hints written = hints_find(r, end, PROT_WRITE), read = hints_find(r, end, 0);
    const bool trained = written.at < written.end || read.at < read.end;

    for (u32 n; r < end; r += n) {
        s64 ret = 0;
        n = 1;
        switch (r->kind) {
        case THAW_REGION_ZERO:
        case THAW_REGION_IMAGE:
        case THAW_REGION_DATA:
            if (trained && is_user_range(r->start, r->len) && !hints_touch(&written, r) && !hints_touch(&read, r)) {
                r->start |= DEFERRED;
                boot->deferred++;
                break;
            }
            __attribute__((fallthrough));
        case THAW_REGION_HUGE: ret = map_region(r->start, r); break;
        case THAW_REGION_COPY:
            ret = restore_copy(r, (u32)(end - r));
            if (ret > 0) {
                n = (u32)ret;
                ret = 0;
            }
            break;
        default: n = restore_populate(r, (u32)(end - r));
        }
        if (ret)
            panic("restore of memory at %#lx, %lu bytes: error %ld", (unsigned long)r->start, (unsigned long)r->len,
                  (long)-ret);
    }
    program_forget();
}
