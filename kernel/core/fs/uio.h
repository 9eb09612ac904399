/* SPDX-License-Identifier: MIT */
/* Buffers that a call brings, one or many, as a stream. */
#ifndef CORE_UIO_H
#define CORE_UIO_H

#include "kernel.h"
#include "machine.h"

#define RW_MAX 0x7ffff000ull /* bytes in one call, as Linux */
#define IOV_MAX 1024u
#define IOV_SMALL 8u

struct iovec {
    u64 base, len;
};

struct iov_iter {
    const struct iovec *iov;
    u64 off;  /* into *iov */
    u64 left; /* in all */
    struct iovec *owned;
    bool kernel; /* the kernel's memory, not user mode's */
    struct iovec small[IOV_SMALL];
};

/* One buffer of user mode's; of the kernel's. */
void iter_one(struct iov_iter *it, u64 base, u64 len);
void iter_kernel(struct iov_iter *it, void *buf, size_t len);
/* The count iovecs at user address vec: 0, -EFAULT, -EINVAL, -ENOMEM. After 0 iter_end() is due. readv(2). */
int iter_vec(struct iov_iter *it, u64 vec, u64 count);
void iter_end(struct iov_iter *it);
/* Moves n bytes, at most it->left, from buf into the stream, or from the stream to buf: 0 or -EFAULT. */
int iter_put(struct iov_iter *it, const void *buf, u64 n);
int iter_take(struct iov_iter *it, void *buf, u64 n);

#endif
