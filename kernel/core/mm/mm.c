/* SPDX-License-Identifier: MIT */
/* Address spaces. The vmas are a sorted array: few hundred entries, searched by halving, moved by memmove. */
#include "mm.h"

#include "fs.h"
#include "task.h"

/* Anonymous memory above this size is charged piece by piece, when it is written. */
#define LAZY_MIN COMMIT_CHUNK
#define FAULT_CHUNK (256ul << 10) /* of a shared mapping, what one fault brings in */
#define O_RDWR 2u

/* A record of a mapping comes to be, or goes: what it holds of its file. */
static void vma_get(const struct vma *v)
{
    if (!v->file)
        return;
    file_get(v->file);
    if (v->flags & VMA_PAGES)
        v->file->op->mapped(v->file, 1);
}

static void vma_put(const struct vma *v)
{
    if (!v->file)
        return;
    if (v->flags & VMA_PAGES)
        v->file->op->mapped(v->file, -1);
    file_put(v->file);
}

static bool file_has_pages(struct file *f) { return f->op->mapped && f->op->mapped(f, 0); }

struct mm *mm_create(void)
{
    struct mm *mm = kmalloc(sizeof(*mm));
    if (!mm)
        return NULL;
    mm->refs = 1;
    mm->top = THAW_USER_END;
    mm->mmap_base = MMAP_BASE(mm->top);
    return mm;
}

struct mm *mm_fork(const struct mm *old)
{
    struct mm *mm = kmalloc(sizeof(*mm));

    if (!mm)
        return NULL;
    *mm = *old;
    mm->refs = 1;
    mm->machine = NULL;
    mm->cap_vmas = max(old->nr_vmas, 1u);
    mm->vmas = kmalloc(mm->cap_vmas * sizeof(*mm->vmas));
    if (!mm->vmas) {
        kfree(mm);
        return NULL;
    }
    memcpy(mm->vmas, old->vmas, old->nr_vmas * sizeof(*mm->vmas));
    for (u32 i = 0; i < mm->nr_vmas; i++)
        vma_get(&mm->vmas[i]);
    return mm;
}

void mm_get(struct mm *mm) { mm->refs++; }

void mm_put(struct mm *mm)
{
    if (--mm->refs)
        return;
    for (u32 i = 0; i < mm->nr_vmas; i++)
        vma_put(&mm->vmas[i]);
    machine_mm_free(mm);
    kfree(mm->vmas);
    kfree(mm);
}

bool mm_has_pages(const struct mm *mm)
{
    for (u32 i = 0; i < mm->nr_vmas; i++)
        if (mm->vmas[i].flags & VMA_PAGES)
            return true;
    return false;
}

/* Index of the first vma that ends above addr. */
static u32 vma_index(const struct mm *mm, u64 addr)
{
    u32 lo = 0, hi = mm->nr_vmas;
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;
        if (mm->vmas[mid].end > addr)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

struct vma *mm_find_vma(struct mm *mm, u64 addr)
{
    u32 i = vma_index(mm, addr);
    return i < mm->nr_vmas ? &mm->vmas[i] : NULL;
}

static bool vma_reserve(struct mm *mm, u32 more)
{
    u32 want = mm->nr_vmas + more;
    if (want <= mm->cap_vmas)
        return true;
    if (want > NR_VMAS)
        return false;
    u32 cap = max(want, mm->cap_vmas ? mm->cap_vmas * 2 : 32u);
    struct vma *v = krealloc(mm->vmas, mm->cap_vmas * sizeof(*v), cap * sizeof(*v));
    if (!v)
        return false;
    mm->vmas = v;
    mm->cap_vmas = cap;
    return true;
}

static void vma_insert_at(struct mm *mm, u32 i, const struct vma *v)
{
    memmove(&mm->vmas[i + 1], &mm->vmas[i], (mm->nr_vmas - i) * sizeof(*v));
    mm->vmas[i] = *v;
    mm->nr_vmas++;
}

static void vma_remove_at(struct mm *mm, u32 i)
{
    mm->nr_vmas--;
    memmove(&mm->vmas[i], &mm->vmas[i + 1], (mm->nr_vmas - i) * sizeof(mm->vmas[0]));
}

/* Cuts vma i at addr, which lies inside it. The caller has reserved room. */
static void vma_split(struct mm *mm, u32 i, u64 addr)
{
    struct vma right = mm->vmas[i];
    u64 skip = addr - right.start;
    right.start = addr;
    right.pgoff += skip;
    right.image_offset += skip;
    vma_get(&right);
    mm->vmas[i].end = addr;
    vma_insert_at(mm, i + 1, &right);
}

static bool vma_can_merge(const struct vma *a, const struct vma *b)
{
    if (a->end != b->start || a->prot != b->prot || a->flags != b->flags || a->file != b->file)
        return false;
    if (a->file && a->pgoff + (a->end - a->start) != b->pgoff)
        return false;
    return !(a->flags & VMA_IMAGE) || a->image_offset + (a->end - a->start) == b->image_offset;
}

static void vma_merge(struct mm *mm, u32 i) /* with its right neighbour, if they fit */
{
    /* The heap stays a mapping of its own in /proc/PID/maps. */
    if (i + 1 >= mm->nr_vmas || !vma_can_merge(&mm->vmas[i], &mm->vmas[i + 1]) ||
        mm->vmas[i + 1].start == mm->start_brk)
        return;
    mm->vmas[i].end = mm->vmas[i + 1].end;
    vma_put(&mm->vmas[i + 1]);
    vma_remove_at(mm, i + 1);
}

static void vma_insert(struct mm *mm, const struct vma *v)
{
    u32 i = vma_index(mm, v->start);
    vma_insert_at(mm, i, v);
    mm->total_vm += v->end - v->start;
    vma_merge(mm, i);
    if (i)
        vma_merge(mm, i - 1);
}

/* Drops the records of [start, end); room for one more vma is reserved. */
static void vma_erase(struct mm *mm, u64 start, u64 end)
{
    u32 i = vma_index(mm, start);
    if (i < mm->nr_vmas && mm->vmas[i].start < start) {
        vma_split(mm, i, start);
        i++;
    }
    while (i < mm->nr_vmas && mm->vmas[i].start < end) {
        if (mm->vmas[i].end > end)
            vma_split(mm, i, end);
        mm->total_vm -= mm->vmas[i].end - mm->vmas[i].start;
        vma_put(&mm->vmas[i]);
        vma_remove_at(mm, i);
    }
}

static bool range_ok(u64 addr, u64 len)
{
    u64 end;
    return !(addr & (PAGE_SIZE - 1)) && addr >= THAW_USER_START && !check_add(addr, len, &end) && end <= THAW_USER_END;
}

static bool range_free(struct mm *mm, u64 addr, u64 len)
{
    struct vma *v = mm_find_vma(mm, addr);
    return !v || v->start >= addr + len;
}

/* Holds something of the machine's own, which the program must leave alone. */
static bool range_pinned(struct mm *mm, u64 addr, u64 len)
{
    for (u32 i = vma_index(mm, addr); i < mm->nr_vmas && mm->vmas[i].start < addr + len; i++)
        if (mm->vmas[i].flags & VMA_PINNED)
            return true;
    return false;
}

/* The highest gap of len bytes below top; 0: none. */
static u64 find_gap_below(struct mm *mm, u64 len, u64 top)
{
    for (u32 i = vma_index(mm, top - 1); i + 1 > 0; i--) {
        if (i < mm->nr_vmas) {
            const struct vma *v = &mm->vmas[i];
            if (v->start < top) {
                if (v->end <= top && top - v->end >= len)
                    return top - len;
                top = v->start;
            }
        }
        if (i == 0)
            break;
    }
    return top >= THAW_USER_START + len ? top - len : 0;
}

static u64 find_gap(struct mm *mm, u64 len)
{
    u64 addr = find_gap_below(mm, len, mm->mmap_base);

    return addr || mm->top == THAW_USER_END ? addr : find_gap_below(mm, len, MMAP_BASE(THAW_USER_END));
}

void mm_out_of_memory(void)
{
    current->process->oom = true;
    process_exit_group(9);
}

static int out_of_memory(void)
{
    mm_out_of_memory();
    return -ENOMEM;
}

static u64 vma_chunk(const struct vma *v) { return v->flags & VMA_THREAD_STACK ? COMMIT_STACK : COMMIT_CHUNK; }

static bool vma_is_lazy(u32 prot, u32 flags, const struct file *file, u64 len)
{
    return (prot & PROT_WRITE) && !file && !(flags & (VMA_IMAGE | VMA_STACK)) && len > LAZY_MIN;
}

/* Private bytes of a file that cannot be mapped from the image. */
static int copy_in(struct file *file, u64 addr, u64 len, u64 off)
{
    size_t chunk = min(len, 64ul << 10);
    void *buf = page_alloc(chunk / PAGE_SIZE);
    int err = buf ? 0 : -ENOMEM;

    while (len && !err) {
        ssize_t n = file_pread(file, buf, min(len, chunk), off);
        if (n <= 0) {
            err = (int)n;
            break;
        }
        err = copy_to_user((void *)addr, buf, (size_t)n);
        addr += (u64)n;
        off += (u64)n;
        len -= (u64)n;
    }
    if (buf)
        page_free(buf, chunk / PAGE_SIZE);
    return err;
}

/* Maps what of v lies within the file's size; *copy is what the caller still has to fill from the file. */
static int map_file(struct mm *mm, struct vma *v, u64 size, u64 *copy)
{
    u64 len = v->end - v->start;
    u64 in_file = size > v->pgoff ? min(page_align(size - v->pgoff), len) : 0;
    int err = 0;

    *copy = 0;
    if ((v->flags & VMA_SHARED) && file_has_pages(v->file)) {
        v->flags |= VMA_PAGES;
        return machine_map_anon(mm, v->start, len, PROT_NONE);
    }
    if (in_file < len) /* behind the file's end nothing can be reached */
        err = machine_map_anon(mm, v->start + in_file, len - in_file, PROT_NONE);
    if (err || !in_file)
        return err;
    if (v->file->op->map_image && v->file->op->map_image(v->file, v->pgoff, in_file, &v->image_offset)) {
        v->flags |= VMA_IMAGE;
        return machine_map_image(mm, v->start, in_file, v->prot, v->image_offset);
    }
    if ((v->flags & VMA_SHARED) && (v->prot & PROT_WRITE))
        return -ENODEV; /* of a host share: there is no page cache that both sides share */
    v->flags |= VMA_WRITTEN;
    *copy = in_file;
    return machine_map_anon(mm, v->start, in_file, PROT_READ | PROT_WRITE);
}

static s64 map_any(u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 off)
{
    struct mm *mm = current->process->mm;
    bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
    struct kstat st;
    u64 copy = 0;
    int err;

    if (!shared && (flags & MAP_TYPE) != MAP_PRIVATE)
        return -EINVAL;
    if (file && (err = file_stat(file, &st)) != 0)
        return err;
    if (!len || (off & (PAGE_SIZE - 1)) || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | 0x01000000u | 0x02000000u)))
        return -EINVAL;
    if (len > THAW_USER_END)
        return -ENOMEM;
    len = page_align(len);
    prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (addr & (PAGE_SIZE - 1))
            return -EINVAL;
        if (!range_ok(addr, len))
            return addr < THAW_USER_START ? -EPERM : -ENOMEM;
        if ((flags & MAP_FIXED_NOREPLACE) && !range_free(mm, addr, len))
            return -EEXIST;
        if (range_pinned(mm, addr, len))
            return -ENOMEM;
    } else {
        addr = page_align(addr);
        if (!addr || !range_ok(addr, len) || !range_free(mm, addr, len))
            addr = find_gap(mm, len);
        if (!addr)
            return -ENOMEM;
    }
    /* More than there is at all is refused, as Linux's heuristic overcommit does; anything less is only counted when
     * it is used, and then it is the OOM killer's. */
    if (!file && (prot & PROT_WRITE) && !(flags & MAP_NORESERVE) && len > machine_boot()->memory_limit)
        return -ENOMEM;
    if (!vma_reserve(mm, 3))
        return -ENOMEM;

    struct vma v = {.start = addr, .end = addr + len, .prot = prot, .file = file, .pgoff = file ? off : 0};
    if (shared)
        v.flags |= VMA_SHARED;
    if (prot & PROT_WRITE)
        v.flags |= VMA_WRITTEN;
    if (flags & MAP_FIXED)
        vma_erase(mm, addr, addr + len);
    if (file) {
        err = map_file(mm, &v, (u64)st.st_size, &copy);
    } else {
        if (flags & MAP_STACK)
            v.flags |= VMA_THREAD_STACK;
        if (vma_is_lazy(prot, v.flags, NULL, len))
            v.flags |= VMA_LAZY;
        err = machine_map_anon(mm, addr, len, v.flags & VMA_LAZY ? prot & ~PROT_WRITE : prot);
        if (err == -ENOMEM)
            err = out_of_memory();
    }
    if (err) {
        machine_unmap(mm, addr, len);
        return err;
    }
    vma_get(&v);
    vma_insert(mm, &v);
    if (copy) { /* may wait for the monitor: the mapping is on record by now */
        err = copy_in(file, addr, copy, off);
        err = err ? err : machine_protect(mm, addr, copy, prot);
        if (err) {
            mm_munmap(mm, addr, len);
            return err;
        }
    }
    return (s64)addr;
}

/* Memory that processes are to share is a file without a name, as in Linux. */
static s64 map_shared_anon(u64 addr, u64 len, u32 prot, u32 flags)
{
    struct file *f = tmpfs_memfd("/dev/zero", O_RDWR, 0600);
    s64 ret;

    if (IS_ERR(f))
        return PTR_ERR(f);
    ret = file_truncate(f, len > THAW_USER_END ? 0 : page_align(len));
    if (!ret)
        ret = map_any(addr, len, prot, flags, f, 0);
    file_put(f);
    return ret;
}

s64 mm_mmap(u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 off)
{
    bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;

    if (!shared || (file && !file_has_pages(file)))
        return map_any(addr, len, prot, flags, file, off);
    /* Pages that are mapped more than once have to lie in memory that can be: first, since others may run meanwhile.
     * Where there is none there are no other processes either. */
    int err = machine_share();
    if (err && file)
        return -ENODEV;
    if (!file && !err && len && (prot & PROT_WRITE) && !(flags & MAP_NORESERVE) && len > machine_boot()->memory_limit)
        return -ENOMEM;
    return file || err ? map_any(addr, len, prot, flags, file, off) : map_shared_anon(addr, len, prot, flags);
}

int mm_munmap(struct mm *mm, u64 addr, u64 len)
{
    if (!len || (addr & (PAGE_SIZE - 1)))
        return -EINVAL;
    len = page_align(len);
    if (!len || !range_ok(addr, len))
        return -EINVAL;
    if (range_pinned(mm, addr, len) || !vma_reserve(mm, 2))
        return -ENOMEM;
    vma_erase(mm, addr, addr + len);
    return machine_unmap(mm, addr, len);
}

int mm_mprotect(struct mm *mm, u64 addr, u64 len, u32 prot)
{
    u64 end;
    int err = 0;

    prot &= ~(0x01000000u | 0x02000000u); /* PROT_GROWSDOWN, PROT_GROWSUP */
    if ((addr & (PAGE_SIZE - 1)) || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)))
        return -EINVAL;
    if (!len)
        return 0;
    len = page_align(len);
    if (!len || !range_ok(addr, len))
        return -ENOMEM;
    end = addr + len;
    if (range_pinned(mm, addr, len) || !vma_reserve(mm, 2))
        return -ENOMEM;

    u32 i = vma_index(mm, addr);
    u64 pos = addr;
    if (i >= mm->nr_vmas || mm->vmas[i].start > addr)
        return -ENOMEM;
    u32 first = i;
    while (pos < end && !err) {
        if (i >= mm->nr_vmas || mm->vmas[i].start > pos) {
            err = -ENOMEM; /* a hole: what came before it is changed, as Linux does */
            break;
        }
        if (mm->vmas[i].start < pos) {
            vma_split(mm, i, pos);
            i++;
        }
        if (mm->vmas[i].end > end)
            vma_split(mm, i, end);
        struct vma *v = &mm->vmas[i];
        u64 vlen = v->end - v->start;
        u32 flags = v->flags & ~VMA_LAZY;
        if (prot & PROT_WRITE)
            flags |= VMA_WRITTEN;
        if (vma_is_lazy(prot, flags, v->file, vlen))
            flags |= VMA_LAZY;
        if (v->prot & PROT_EXEC && prot != v->prot)
            machine_code_changes(mm, v->start, vlen);
        if ((flags & (VMA_SHARED | VMA_PAGES | VMA_IMAGE)) == VMA_SHARED && v->file && (prot & PROT_WRITE))
            err = -EACCES;          /* a copy */
        else if (flags & VMA_PAGES) /* from now on by faults */
            err = machine_map_anon(mm, v->start, vlen, PROT_NONE);
        else
            err = machine_protect(mm, v->start, vlen, flags & VMA_LAZY ? prot & ~PROT_WRITE : prot);
        if (err == -ENOMEM && prot & PROT_WRITE)
            err = out_of_memory();
        if (!err) {
            v->prot = prot;
            v->flags = flags;
        }
        pos = v->end;
        i++;
    }
    for (u32 k = min(i, mm->nr_vmas); k-- > (first ? first - 1 : 0);)
        vma_merge(mm, k);
    return err;
}

/* Pages of the file around addr, of a mapping that processes share. */
static bool fault_pages(struct mm *mm, const struct vma *v, u64 addr, bool write)
{
    struct kstat st;
    u64 start = max(v->start, round_down(addr, FAULT_CHUNK)),
        end = min(v->end, round_down(addr, FAULT_CHUNK) + FAULT_CHUNK);

    if (!(v->prot & (write ? PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC)) || file_stat(v->file, &st))
        return false;
    u64 size = page_align((u64)st.st_size), in_file = size > v->pgoff ? min(size - v->pgoff, v->end - v->start) : 0;
    end = min(end, v->start + in_file);
    if (addr >= end)
        return false;
    for (u64 pos = start; pos < end;) {
        char *page = v->file->op->page(v->file, (v->pgoff + (pos - v->start)) >> PAGE_SHIFT), *first = page;
        if (IS_ERR(page)) {
            if (pos > addr)
                return true;
            if (pos < round_down(addr, PAGE_SIZE)) { /* not what was asked for: see to that alone */
                pos = round_down(addr, PAGE_SIZE);
                continue;
            }
            out_of_memory();
            return true;
        }
        /* As many as lie side by side go in at once. */
        u64 run = pos;
        for (pos += PAGE_SIZE; pos < end; pos += PAGE_SIZE) {
            char *next = v->file->op->page(v->file, (v->pgoff + (pos - v->start)) >> PAGE_SHIFT);
            if (next != page + PAGE_SIZE)
                break;
            page = next;
        }
        if (machine_map_pages(mm, run, pos - run, v->prot, first))
            return false;
    }
    return true;
}

bool mm_fault_beyond_file(u64 addr)
{
    struct vma *v = mm_find_vma(current->process->mm, addr);
    struct kstat st;

    if (!v || v->start > addr || !v->file || v->prot == PROT_NONE || file_stat(v->file, &st))
        return false;
    return v->pgoff + (addr - v->start) >= page_align((u64)st.st_size);
}

/* A fault at addr: true if the access can be tried again, or if the process is being killed for want of memory. */
bool mm_fault(u64 addr, bool write)
{
    struct process *p = current->process;
    struct mm *mm = p->mm;
    struct vma *v = mm ? mm_find_vma(mm, addr) : NULL;

    if (v && v->start <= addr && (v->flags & VMA_PAGES))
        return fault_pages(mm, v, addr, write);
    if (!v || v->start > addr || !write || !(v->prot & PROT_WRITE) || !(v->flags & VMA_LAZY))
        return false;
    u64 chunk = vma_chunk(v);
    u64 start = max(v->start, round_down(addr, chunk));
    u64 end = min(v->end, round_down(addr, chunk) + chunk);
    if (machine_protect(mm, start, end - start, v->prot)) {
        out_of_memory();
        return true;
    }
    if (end - start == COMMIT_CHUNK)
        machine_advise_huge(mm, start, end - start);
    return true;
}

bool kernel_fault_fixable(u64 addr, bool write) { return mm_fault(addr, write) && !current->process->exiting; }

/* ---- brk, mremap ---- */

s64 mm_brk(u64 brk)
{
    struct mm *mm = current->process->mm;
    u64 old = page_align(mm->brk), new = page_align(brk);

    if (brk < mm->start_brk || new < brk || new > THAW_USER_END)
        return (s64)mm->brk;
    if (new < old) {
        if (mm_munmap(mm, new, old - new))
            return (s64)mm->brk;
    } else if (new > old) {
        if (!range_free(mm, old, new - old + PAGE_SIZE) ||
            mm_mmap(old, new - old, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0) < 0)
            return (s64)mm->brk;
    }
    mm->brk = brk;
    return (s64)brk;
}

static bool remap_pieces(struct mm *mm, u64 old, u64 new_addr, u64 len, u64 chunk)
{
    /* The host keeps one mapping per run of equal protection; those of lazy memory change at chunk borders only. */
    while (len) {
        u64 piece = min(len, chunk - (old & (chunk - 1)));
        if (machine_remap(mm, old, piece, new_addr, piece))
            return false;
        old += piece;
        new_addr += piece;
        len -= piece;
    }
    return true;
}

static s64 remap_move(struct mm *mm, u64 old, u64 old_len, u64 new_len, u64 new_addr)
{
    struct vma v = *mm_find_vma(mm, old);
    u64 keep = min(old_len, new_len), skip = old - v.start;

    if (!vma_reserve(mm, 4))
        return -ENOMEM;
    if (v.prot & PROT_EXEC)
        machine_code_changes(mm, old, old_len);
    vma_erase(mm, new_addr, new_addr + new_len);
    if (v.flags & VMA_PAGES) {
        int err = machine_map_anon(mm, new_addr, new_len, PROT_NONE);
        if (err)
            return err;
    } else if (new_len > keep) {
        int err =
            machine_map_anon(mm, new_addr + keep, new_len - keep, v.flags & VMA_LAZY ? v.prot & ~PROT_WRITE : v.prot);
        if (err)
            return err;
    }
    if (v.flags & VMA_PAGES) {
        /* by faults */
    } else if (v.flags & VMA_LAZY ? !remap_pieces(mm, old, new_addr, keep, vma_chunk(&v))
                                  : machine_remap(mm, old, keep, new_addr, keep) != 0)
        return -ENOMEM;
    v.start = new_addr;
    v.end = new_addr + new_len;
    v.pgoff = v.file ? v.pgoff + skip : 0;
    v.image_offset += v.flags & VMA_IMAGE ? skip : 0;
    vma_get(&v);
    vma_erase(mm, old, old + old_len);
    machine_unmap(mm, old, old_len);
    vma_insert(mm, &v);
    return (s64)new_addr;
}

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u

s64 mm_mremap(u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr)
{
    struct mm *mm = current->process->mm;
    bool fixed = flags & MREMAP_FIXED;

    if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) || (fixed && !(flags & MREMAP_MAYMOVE)) || (old & (PAGE_SIZE - 1)))
        return -EINVAL;
    old_len = page_align(old_len);
    new_len = page_align(new_len);
    if (!new_len || new_len > THAW_USER_END || !old_len || !range_ok(old, old_len))
        return -EINVAL;
    struct vma *v = mm_find_vma(mm, old);
    if (!v || v->start > old || v->end < old + old_len)
        return -EFAULT;
    if ((v->flags & VMA_PINNED) || (fixed && range_ok(new_addr, new_len) && range_pinned(mm, new_addr, new_len)))
        return -ENOMEM;
    if (v->file && !(v->flags & VMA_PAGES) && new_len > old_len)
        return -EINVAL; /* growing a file's mapping: nobody's habit, and not supported */
    if (fixed) {
        if ((new_addr & (PAGE_SIZE - 1)) || !range_ok(new_addr, new_len) ||
            (new_addr < old + old_len && old < new_addr + new_len))
            return -EINVAL;
        return remap_move(mm, old, old_len, new_len, new_addr);
    }
    if (new_len == old_len)
        return (s64)old;
    if (new_len < old_len) {
        int err = mm_munmap(mm, old + new_len, old_len - new_len);
        return err ? err : (s64)old;
    }
    if (v->end == old + old_len && range_ok(old, new_len) && range_free(mm, v->end, new_len - old_len)) {
        struct vma more = *v;
        more.start = v->end;
        more.end = old + new_len;
        if (!vma_reserve(mm, 1))
            return -ENOMEM;
        int err = machine_map_anon(mm, more.start, more.end - more.start,
                                   more.flags & VMA_PAGES  ? PROT_NONE
                                   : more.flags & VMA_LAZY ? more.prot & ~PROT_WRITE
                                                           : more.prot);
        if (err)
            return err;
        more.pgoff = more.file ? v->pgoff + old_len + (old - v->start) : 0;
        vma_get(&more);
        vma_insert(mm, &more);
        return (s64)old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    new_addr = find_gap(mm, new_len);
    return new_addr ? remap_move(mm, old, old_len, new_len, new_addr) : -ENOMEM;
}

/* ---- madvise ---- */

#define MADV_DONTNEED 4

/* The image's bytes instead of what was written to them. Behind the file's end there is nothing to bring back. */
static int image_again(struct mm *mm, const struct vma *v, u64 addr, u64 len)
{
    struct kstat st;
    u64 off = v->pgoff + (addr - v->start);
    int err = file_stat(v->file, &st);

    if (err || (u64)st.st_size <= off)
        return err;
    return machine_map_image(mm, addr, min(len, page_align((u64)st.st_size - off)), v->prot,
                             v->image_offset + (addr - v->start));
}

int mm_madvise(u64 addr, u64 len, int advice)
{
    struct mm *mm = current->process->mm;

    if (addr & (PAGE_SIZE - 1))
        return -EINVAL;
    len = page_align(len);
    if (!len)
        return 0;
    if (!range_ok(addr, len))
        return -ENOMEM;
    if (advice < 0 || (advice > 25 && advice != 100 && advice != 101) || (advice > 4 && advice < 8))
        return -EINVAL;
    for (u64 pos = addr; pos < addr + len;) {
        struct vma *v = mm_find_vma(mm, pos);
        if (!v || v->start > pos)
            return -ENOMEM;
        u64 end = min(v->end, addr + len);
        if (advice == MADV_DONTNEED && !(v->flags & (VMA_SHARED | VMA_PINNED))) {
            if (v->file && !(v->flags & VMA_IMAGE)) {
                /* a copy of a file: the next reader must find the file's bytes again */
                int err = machine_protect(mm, pos, end - pos, PROT_READ | PROT_WRITE);
                err = err ? err : copy_in(v->file, pos, end - pos, v->pgoff + (pos - v->start));
                err = err ? err : machine_protect(mm, pos, end - pos, v->prot);
                if (err)
                    return err;
            } else if (v->flags & VMA_IMAGE) {
                int err = image_again(mm, v, pos, end - pos);
                if (err)
                    return err;
            } else {
                int err = machine_discard(mm, pos, end - pos, v->prot);
                if (err)
                    return err;
            }
        }
        pos = end;
    }
    return 0;
}
