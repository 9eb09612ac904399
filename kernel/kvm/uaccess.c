/* SPDX-License-Identifier: MIT */
/* User memory: mapped beside the kernel's, reached only by uaccess_asm.S. */
#include "kvm.h"

int copy_from_user(void *dst, const void *src, size_t n)
{
    if (!n)
        return 0;
    if (!is_user_range((u64)src, n) || uaccess_copy(dst, src, n))
        return -EFAULT;
    return 0;
}

int copy_to_user(void *dst, const void *src, size_t n)
{
    if (!n)
        return 0;
    if (!is_user_range((u64)dst, n) || uaccess_copy(dst, src, n))
        return -EFAULT;
    return 0;
}

int clear_user(void *dst, size_t n)
{
    if (!n)
        return 0;
    if (!is_user_range((u64)dst, n) || uaccess_clear(dst, n))
        return -EFAULT;
    return 0;
}

ssize_t strncpy_from_user(char *dst, const char *src, size_t size)
{
    size_t done = 0;
    while (done < size) {
        u64 addr = (u64)src + done;
        size_t chunk = min(size - done, PAGE_SIZE - (addr & (PAGE_SIZE - 1)));
        /* Within one page: it can be read to its end or not at all. */
        if (!is_user_range(addr, chunk) || uaccess_copy(dst + done, src + done, chunk))
            return -EFAULT;
        const char *nul = memchr(dst + done, 0, chunk);
        if (nul)
            return nul - dst;
        done += chunk;
    }
    return -ENAMETOOLONG;
}

int get_user_u32(u32 *val, const u32 *addr)
{
    if (((u64)addr & 3) || !is_user_range((u64)addr, 4) || uaccess_load_u32(val, addr))
        return -EFAULT;
    return 0;
}

int cmpxchg_user_u32(u32 *addr, u32 old, u32 new, u32 *seen)
{
    if (((u64)addr & 3) || !is_user_range((u64)addr, 4) || uaccess_cmpxchg_u32(addr, old, new, seen))
        return -EFAULT;
    return 0;
}
