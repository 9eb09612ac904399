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

int machine_map_anon(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    return check(host_syscall(HOST_mmap, addr, len, (u64)host_prot(prot), MAP_HERE | HOST_MAP_ANONYMOUS, (u64)-1, 0));
}

int machine_map_image(struct mm *mm, u64 addr, u64 len, u32 prot, u64 offset)
{
    return check(host_syscall(HOST_mmap, addr, len, (u64)host_prot(prot), MAP_HERE, THAW_FD_IMAGE, offset));
}

int machine_unmap(struct mm *mm, u64 addr, u64 len) { return check(host_syscall(HOST_munmap, addr, len, 0, 0, 0, 0)); }

int machine_protect(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    return check(host_syscall(HOST_mprotect, addr, len, (u64)host_prot(prot), 0, 0, 0));
}

int machine_remap(struct mm *mm, u64 old, u64 old_len, u64 new_addr, u64 new_len)
{
    const u64 flags = HOST_MREMAP_MAYMOVE | HOST_MREMAP_FIXED;
    int err = check(host_syscall(HOST_mremap, old, old_len, new_len, flags, new_addr, 0));

    if (err != -EFAULT || old_len != new_len)
        return err;
    /* More than one mapping for the host: some pages hold rewritten calls (direct.c). */
    err = 0;
    for (u64 i = 0; i < old_len && !err; i += PAGE_SIZE)
        err = check(host_syscall(HOST_mremap, old + i, PAGE_SIZE, PAGE_SIZE, flags, new_addr + i, 0));
    return err;
}

int machine_discard(struct mm *mm, u64 addr, u64 len)
{
    return check(host_syscall(HOST_madvise, addr, len, HOST_MADV_DONTNEED, 0, 0, 0));
}

void machine_advise_huge(struct mm *mm, u64 addr, u64 len)
{
    host_syscall(HOST_madvise, addr, len, HOST_MADV_HUGEPAGE, 0, 0, 0);
}

int machine_map_pages(struct mm *mm, u64 addr, u64 len, u32 prot, void *pages)
{
    BUG_ON(!memory_shared);
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
    return machine_map_anon(NULL, addr, len, PROT_READ | PROT_WRITE);
}

const void *machine_image(void) { return boot->image_size ? (const void *)THAW_IMAGE_ADDR : NULL; }

static s64 unmap_between(u64 from, u64 to)
{
    return to > from ? host_syscall(HOST_munmap, from, to - from, 0, 0, 0, 0) : 0;
}

/* What the monitor's child left behind goes: all but the boot area, the kernel's file and the host's vDSO. */
void memory_init(void)
{
    u64 vdso = boot->vdso.start ? boot->vdso.start : THAW_WINDOW_END;
    u64 vdso_end = boot->vdso.start ? boot->vdso.end : THAW_WINDOW_END;
    s64 err = unmap_between(0, THAW_BOOT_ADDR);

    err = err ? err : unmap_between(THAW_BOOT_ADDR + THAW_BOOT_AREA, (u64)kernel_start);
    err = err ? err : unmap_between((u64)kernel_data_start, vdso);
    err = err ? err : unmap_between(vdso_end, THAW_HOST_END);
    if (err)
        panic("munmap of the monitor's memory: error %ld", (long)-err);
    if (boot->image_size) {
        s64 p = host_syscall(HOST_mmap, THAW_IMAGE_ADDR, page_align(boot->image_size), HOST_PROT_READ,
                             HOST_MAP_SHARED | HOST_MAP_FIXED, THAW_FD_IMAGE, 0);
        if (p != (s64)THAW_IMAGE_ADDR)
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

    if (machine_map_anon(NULL, (u64)kernel_data_start, len, PROT_READ | PROT_WRITE))
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

/* Should the host have to read a snapshot's file, after it was started anew say, then by huge pages of its page cache. */
#define READ_HUGE_MIN (64u << 10)

/* The regions come from a snapshot that the monitor has checked: none overlaps another or lies where it must not. */
void memory_restore(void)
{
    const struct thaw_region *r = (const void *)((const char *)boot + boot->region_off);

    for (u32 i = 0, n; i < boot->region_count; i += n, r += n) {
        s64 ret;
        n = 1;
        switch (r->kind) {
        case THAW_REGION_ZERO: ret = machine_map_anon(NULL, r->start, r->len, r->prot); break;
        case THAW_REGION_IMAGE:
            ret = machine_map_image(NULL, r->start, r->len, r->prot, r->offset);
            /* Should the pages have to be read first, then as huge ones. */
            if (r->len >= THAW_HUGE_SIZE)
                machine_advise_huge(NULL, r->start, r->len);
            break;
        case THAW_REGION_DATA:
            ret = check(host_syscall(HOST_mmap, r->start, r->len, (u64)host_prot(r->prot), MAP_HERE, THAW_FD_SNAPSHOT,
                                     r->offset));
            if (!ret && r->len >= READ_HUGE_MIN)
                machine_advise_huge(NULL, r->start, r->len);
            break;
        case THAW_REGION_HUGE:
            ret = machine_map_anon(NULL, r->start, r->len, r->prot);
            machine_advise_huge(NULL, r->start, r->len);
            break;
        case THAW_REGION_COPY:
            ret = restore_copy(r, boot->region_count - i);
            if (ret > 0) {
                n = (u32)ret;
                ret = 0;
            }
            break;
        default: n = restore_populate(r, boot->region_count - i); ret = 0;
        }
        if (ret)
            panic("restore of memory at %#lx, %lu bytes: error %ld", (unsigned long)r->start, (unsigned long)r->len,
                  (long)-ret);
    }
}
