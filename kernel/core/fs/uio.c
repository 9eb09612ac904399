/* SPDX-License-Identifier: MIT */
#include "uio.h"

void iter_one(struct iov_iter *it, u64 base, u64 len)
{
    it->small[0] = (struct iovec){base, min(len, RW_MAX)};
    it->iov = it->small;
    it->off = 0;
    it->left = it->small[0].len;
    it->owned = NULL;
    it->kernel = false;
}

void iter_kernel(struct iov_iter *it, void *buf, size_t len)
{
    iter_one(it, (u64)(uintptr_t)buf, len);
    it->kernel = true;
}

int iter_vec(struct iov_iter *it, u64 vec, u64 count)
{
    struct iovec *iov = it->small;
    u64 total = 0;

    it->owned = NULL;
    it->kernel = false;
    if (count > IOV_MAX)
        return -EINVAL;
    if (count > IOV_SMALL) {
        it->owned = iov = kmalloc(count * sizeof(*iov));
        if (!iov)
            return -ENOMEM;
    }
    if (copy_from_user(iov, (const void __user *)vec, count * sizeof(*iov))) {
        kfree(it->owned);
        return -EFAULT;
    }
    for (u64 i = 0; i < count; i++) {
        if ((s64)iov[i].len < 0) {
            kfree(it->owned);
            return -EINVAL;
        }
        iov[i].len = min(iov[i].len, RW_MAX - total);
        total += iov[i].len;
    }
    it->iov = iov;
    it->off = 0;
    it->left = total;
    return 0;
}

void iter_end(struct iov_iter *it) { kfree(it->owned); }

/* One piece of the stream that lies in one buffer: at most n bytes. */
static u64 iter_piece(const struct iov_iter *it, u64 n) { return min(n, it->iov->len - it->off); }

static void iter_move(struct iov_iter *it, u64 n)
{
    it->off += n;
    it->left -= n;
    if (it->off == it->iov->len && it->left) {
        it->iov++;
        it->off = 0;
    }
}

int iter_put(struct iov_iter *it, const void *buf, u64 n)
{
    while (n) {
        u64 chunk = iter_piece(it, n), at = it->iov->base + it->off;

        if (it->kernel)
            memcpy((void *)(uintptr_t)at, buf, chunk);
        else if (chunk && copy_to_user((void __user *)at, buf, chunk))
            return -EFAULT;
        buf = (const char *)buf + chunk;
        n -= chunk;
        iter_move(it, chunk);
    }
    return 0;
}

int iter_take(struct iov_iter *it, void *buf, u64 n)
{
    while (n) {
        u64 chunk = iter_piece(it, n), at = it->iov->base + it->off;

        if (it->kernel)
            memcpy(buf, (const void *)(uintptr_t)at, chunk);
        else if (chunk && copy_from_user(buf, (const void __user *)at, chunk))
            return -EFAULT;
        buf = (char *)buf + chunk;
        n -= chunk;
        iter_move(it, chunk);
    }
    return 0;
}
