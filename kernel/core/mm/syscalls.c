/* SPDX-License-Identifier: MIT */
/* mmap(2) and its kin: thin entries. */
#include "syscall.h"

#include "fs.h"
#include "mm.h"
#include "task.h"

#define O_ACCMODE 3u
#define S_IFMT 0170000u
#define S_IFREG 0100000u
#define O_WRONLY 1u
#define O_RDWR 2u

SYSCALL(mmap)
{
    struct file *f = NULL;
    s64 ret;

    if (!(a3 & MAP_ANONYMOUS)) {
        f = fd_get((int)a4);
        if (!f)
            return -EBADF;
        ret = (f->flags & O_ACCMODE) == O_WRONLY ? -EACCES : 0;
        if (!ret && (a3 & MAP_TYPE) != MAP_PRIVATE && (a2 & PROT_WRITE) && (f->flags & O_ACCMODE) != O_RDWR)
            ret = -EACCES;
        struct kstat st;
        if (!ret)
            ret = file_stat(f, &st);
        if (!ret && (st.st_mode & S_IFMT) != S_IFREG)
            ret = -ENODEV;
        if (ret) {
            file_put(f);
            return ret;
        }
    }
    ret = mm_mmap(a0, a1, (u32)a2, (u32)a3, f, a5);
    if (f)
        file_put(f);
    return ret;
}

SYSCALL(munmap) { return UNUSED6, mm_munmap(current->process->mm, a0, a1); }
SYSCALL(mprotect) { return UNUSED6, mm_mprotect(current->process->mm, a0, a1, (u32)a2); }
SYSCALL(brk) { return UNUSED6, mm_brk(a0); }
SYSCALL(mremap) { return UNUSED6, mm_mremap(a0, a1, a2, (u32)a3, a4); }
SYSCALL(madvise) { return UNUSED6, mm_madvise(a0, a1, (int)a2); }

/* True if every page of the range is mapped. */
static bool range_mapped(u64 addr, u64 len)
{
    u64 end = addr + page_align(len);
    while (addr < end) {
        struct vma *v = mm_find_vma(current->process->mm, addr);
        if (!v || v->start > addr)
            return false;
        addr = v->end;
    }
    return true;
}

SYSCALL(msync)
{
    UNUSED6;
    if ((a0 & (PAGE_SIZE - 1)) || (a2 & ~7ull) || (a2 & 5) == 5)
        return -EINVAL;
    return range_mapped(a0, a1) ? 0 : -ENOMEM;
}

SYSCALL(mlock) { return UNUSED6, range_mapped(round_down(a0, PAGE_SIZE), a1) ? 0 : -ENOMEM; }
SYSCALL(mlock2) { return sys_mlock(a0, a1, a2, a3, a4, a5); }
SYSCALL(munlock) { return sys_mlock(a0, a1, a2, a3, a4, a5); }
SYSCALL(mlockall) { return UNUSED6, 0; }
SYSCALL(munlockall) { return UNUSED6, 0; }

/* Everything that is mapped counts as resident: the host's paging is not shown. */
SYSCALL(mincore)
{
    static u8 ones[PAGE_SIZE];
    UNUSED6;
    if (a0 & (PAGE_SIZE - 1))
        return -EINVAL;
    if (!range_mapped(a0, a1))
        return -ENOMEM;
    memset(ones, 1, sizeof(ones));
    for (u64 n = page_align(a1) / PAGE_SIZE, done = 0; done < n; done += PAGE_SIZE)
        if (copy_to_user((void *)(a2 + done), ones, min(n - done, PAGE_SIZE)))
            return -EFAULT;
    return 0;
}
