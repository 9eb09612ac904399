/* SPDX-License-Identifier: MIT */
/* read, write and their kin; lseek, sendfile, copy_file_range, and the calls that ask for bytes to reach a disk. */
#include "inotify.h"
#include "sys/syscall.h"
#include "uio.h"
#include "vfs.h"

#define SMALL 1024u
#define SIGXFSZ 25

#define RWF_NOWAIT 8u
#define RWF_APPEND 16u
#define RWF_KNOWN 31u

/* ---- the bounce buffer: one is kept, so that it need not be zeroed each time ---- */

static void *bounce_spare;

void *bounce_get(void)
{
    void *buf = bounce_spare;

    bounce_spare = NULL;
    return buf ? buf : page_alloc(BOUNCE_SIZE / PAGE_SIZE);
}

void bounce_put(void *buf)
{
    if (!bounce_spare)
        bounce_spare = buf;
    else
        page_free(buf, BOUNCE_SIZE / PAGE_SIZE);
}

/* ---- reading and writing ---- */

static bool more_ready(struct file *f, u32 event)
{
    return S_ISREG(f->inode->mode) || !f->op->poll || (f->op->poll(f, NULL) & event);
}

static s64 rw_read(struct file *f, struct iov_iter *it, loff_t *pos, void *buf, u64 size)
{
    s64 done = 0;

    do {
        u64 want = min(it->left, size);
        loff_t at = *pos;
        ssize_t n = f->op->read(f, buf, want, &at);

        if (n < 0)
            return done ? done : n;
        if (iter_put(it, buf, (u64)n))
            return done ? done : -EFAULT;
        *pos = at;
        done += n;
        if ((u64)n < want)
            break;
    } while (it->left && more_ready(f, POLLIN));
    return done;
}

static s64 rw_write(struct file *f, struct iov_iter *it, loff_t *pos, void *buf, u64 size)
{
    s64 done = 0;

    do {
        u64 want = min(it->left, size), sent = 0;
        ssize_t n;

        if (iter_take(it, buf, want))
            return done ? done : -EFAULT;
        do {
            n = f->op->write(f, (char *)buf + sent, want - sent, pos);
            if (n < 0)
                return done ? done : n;
            sent += (u64)n;
            done += n;
        } while (n > 0 && sent < want && S_ISREG(f->inode->mode));
        if (sent < want)
            break;
    } while (it->left);
    return done;
}

static s64 rw_buffered(struct file *f, struct iov_iter *it, loff_t *pos, bool write)
{
    s64 (*rw)(struct file *, struct iov_iter *, loff_t *, void *, u64) = write ? rw_write : rw_read;
    void *buf;
    s64 r;

    if (it->left <= SMALL) {
        char small[SMALL];

        return rw(f, it, pos, small, SMALL);
    }
    buf = bounce_get();
    if (!buf)
        return -ENOMEM;
    r = rw(f, it, pos, buf, BOUNCE_SIZE);
    bounce_put(buf);
    return r;
}

/* RLIMIT_FSIZE: how much of n may be written at pos. */
static s64 write_limit(u64 pos, u64 n)
{
    u64 limit = current->process->rlimit[RLIMIT_FSIZE].cur;

    if (likely(limit == RLIM_INFINITY) || n == 0)
        return (s64)n;
    if (pos >= limit) {
        signal_send_task(current, SIGXFSZ, NULL);
        return -EFBIG;
    }
    return (s64)min(n, limit - pos);
}

static s64 file_rw(struct file *f, struct iov_iter *it, loff_t *pos, bool write, bool append)
{
    bool regular = S_ISREG(f->inode->mode);
    s64 r;

    if (write ? !file_writable(f) : !file_readable(f))
        return -EBADF;
    if (!write && S_ISDIR(f->inode->mode))
        return -EISDIR;
    if (write ? !f->op->write : !f->op->read)
        return -EINVAL;
    if (f->op->rw_iter)
        return f->op->rw_iter(f, it, write);
    if (regular && it->left == 0)
        return 0;
    if (regular && write) {
        s64 n;

        if (append || (f->flags & O_APPEND)) {
            int r = inode_refresh(f->inode);

            if (r < 0)
                return r;
            *pos = (loff_t)f->inode->size;
        }
        n = inode_seal_check(f->inode, (u64)*pos + it->left);
        if (n == 0)
            n = write_limit((u64)*pos, it->left);
        if (n < 0)
            return n;
        it->left = (u64)n;
    }
    r = rw_buffered(f, it, pos, write);
    if (r > 0)
        inotify_dentry(f->path.dentry, write ? IN_MODIFY : IN_ACCESS);
    return r;
}

static s64 fd_rw(int fd, struct iov_iter *it, bool write)
{
    struct file *f = fd_get(fd);
    s64 r;

    if (!f)
        return -EBADF;
    r = file_rw(f, it, &f->pos, write, false);
    file_put(f);
    return r;
}

static s64 fd_prw(int fd, struct iov_iter *it, u64 off, bool write, bool append)
{
    struct file *f;
    loff_t pos = (loff_t)off;
    s64 r;

    if (pos < 0)
        return -EINVAL;
    f = fd_get(fd);
    if (!f)
        return -EBADF;
    r = file_seekable(f) ? file_rw(f, it, &pos, write, append) : -ESPIPE;
    file_put(f);
    return r;
}

SYSCALL(read)
{
    struct iov_iter it;

    iter_one(&it, a1, a2);
    return fd_rw((int)a0, &it, false);
}

SYSCALL(write)
{
    struct iov_iter it;

    iter_one(&it, a1, a2);
    return fd_rw((int)a0, &it, true);
}

SYSCALL(pread64)
{
    struct iov_iter it;

    iter_one(&it, a1, a2);
    return fd_prw((int)a0, &it, a3, false, false);
}

SYSCALL(pwrite64)
{
    struct iov_iter it;

    iter_one(&it, a1, a2);
    return fd_prw((int)a0, &it, a3, true, false);
}

static bool fd_exists(int fd)
{
    struct file *f = fd_get(fd);

    file_put(f);
    return f;
}

static s64 fd_rwv(int fd, u64 vec, u64 count, bool write)
{
    struct iov_iter it;
    s64 r;

    if (!fd_exists(fd))
        return -EBADF;
    r = iter_vec(&it, vec, count);
    if (r < 0)
        return r;
    r = fd_rw(fd, &it, write);
    iter_end(&it);
    return r;
}

static s64 fd_prwv(int fd, u64 vec, u64 count, u64 off, u32 flags, bool write)
{
    struct iov_iter it;
    bool append = write && (flags & RWF_APPEND);
    s64 r;

    if (flags & ~RWF_KNOWN || (!write && (flags & RWF_APPEND)))
        return -EOPNOTSUPP;
    if (!fd_exists(fd))
        return -EBADF;
    r = iter_vec(&it, vec, count);
    if (r < 0)
        return r;
    if ((s64)off == -1 && append) {
        struct file *f = fd_get(fd);

        r = f ? file_rw(f, &it, &f->pos, write, true) : -EBADF;
        file_put(f);
    } else {
        r = fd_prw(fd, &it, off, write, append);
    }
    iter_end(&it);
    return r;
}

SYSCALL(readv) { return fd_rwv((int)a0, a1, a2, false); }

SYSCALL(writev) { return fd_rwv((int)a0, a1, a2, true); }

SYSCALL(preadv) { return fd_prwv((int)a0, a1, a2, a3, 0, false); }

SYSCALL(pwritev) { return fd_prwv((int)a0, a1, a2, a3, 0, true); }

/* a4 is the upper half of the offset for 32-bit callers only. */
SYSCALL(preadv2)
{
    if ((s64)a3 == -1) {
        if (a5 & ~(u64)(RWF_KNOWN & ~RWF_APPEND))
            return -EOPNOTSUPP;
        return fd_rwv((int)a0, a1, a2, false);
    }
    return fd_prwv((int)a0, a1, a2, a3, (u32)a5, false);
}

SYSCALL(pwritev2)
{
    if ((s64)a3 == -1 && !(a5 & RWF_APPEND)) {
        if (a5 & ~(u64)RWF_KNOWN)
            return -EOPNOTSUPP;
        return fd_rwv((int)a0, a1, a2, true);
    }
    return fd_prwv((int)a0, a1, a2, a3, (u32)a5, true);
}

SYSCALL(lseek)
{
    struct file *f = fd_get((int)a0);
    s64 r;

    if (!f)
        return -EBADF;
    if (a2 > 4)
        r = -EINVAL;
    else if (f->op->llseek)
        r = f->op->llseek(f, (loff_t)a1, (int)a2);
    else
        r = file_seekable(f) ? generic_llseek(f, (loff_t)a1, (int)a2) : -ESPIPE;
    file_put(f);
    return r;
}

/* ---- from file to file ---- */

/* Bytes moved, or -errno if none were. in_pos and out_pos move by what arrived. */
static s64 file_splice(struct file *in, loff_t *in_pos, struct file *out, loff_t *out_pos, u64 count)
{
    void *buf = bounce_get();
    s64 done = 0;

    if (!buf)
        return -ENOMEM;
    while (count) {
        loff_t at = *in_pos;
        ssize_t n = in->op->read(in, buf, min(count, (u64)BOUNCE_SIZE), &at), sent = 0, m;

        if (n <= 0) {
            done = done ? done : n;
            break;
        }
        do {
            m = out->op->write(out, (char *)buf + sent, (size_t)(n - sent), out_pos);
            if (m > 0)
                sent += m;
        } while (m > 0 && sent < n);
        *in_pos += sent;
        done += sent;
        count -= (u64)sent;
        if (sent < n) {
            if (!done)
                done = m;
            break;
        }
    }
    bounce_put(buf);
    return done;
}

static s64 sendfile_to(struct file *out, struct file *in, u64 user_off, u64 count)
{
    loff_t pos = in->pos, *out_pos = &out->pos;
    s64 r;

    if (!file_readable(in) || !file_writable(out))
        return -EBADF;
    if (user_off) {
        if (copy_from_user(&pos, (const void __user *)user_off, sizeof(pos)))
            return -EFAULT;
        if (pos < 0)
            return -EINVAL;
        if (!file_seekable(in))
            return -ESPIPE;
    }
    if (S_ISDIR(in->inode->mode) || !in->op->read || !out->op->write || !file_seekable(in))
        return -EINVAL;
    if (out->flags & O_APPEND)
        return -EINVAL;
    count = min(count, RW_MAX);
    if (S_ISREG(out->inode->mode)) {
        r = write_limit((u64)out->pos, count);
        if (r < 0)
            return r;
        count = (u64)r;
    }
    r = file_splice(in, &pos, out, out_pos, count);
    if (r < 0)
        return r;
    if (!user_off)
        in->pos = pos;
    else if (copy_to_user((void __user *)user_off, &pos, sizeof(pos)))
        return -EFAULT;
    return r;
}

SYSCALL(sendfile)
{
    struct file *in = fd_get((int)a1), *out = fd_get((int)a0);
    s64 r = in && out ? sendfile_to(out, in, a2, a3) : -EBADF;

    file_put(in);
    file_put(out);
    return r;
}

static int splice_offset(u64 user, struct file *f, loff_t *pos)
{
    *pos = f->pos;
    if (!user)
        return 0;
    if (copy_from_user(pos, (const void __user *)user, sizeof(*pos)))
        return -EFAULT;
    return *pos < 0 ? -EINVAL : 0;
}

static s64 copy_range(struct file *in, u64 user_in, struct file *out, u64 user_out, u64 count, u32 flags)
{
    loff_t from, to, end;
    s64 r;

    if (splice_offset(user_in, in, &from) || splice_offset(user_out, out, &to))
        return -EFAULT;
    if (flags)
        return -EINVAL;
    if (S_ISDIR(in->inode->mode) || S_ISDIR(out->inode->mode))
        return -EISDIR;
    if (!S_ISREG(in->inode->mode) || !S_ISREG(out->inode->mode))
        return -EINVAL;
    if (!file_readable(in) || !file_writable(out) || (out->flags & O_APPEND))
        return -EBADF;
    if (!in->op->read || !out->op->write || from < 0 || to < 0)
        return -EINVAL;
    if (check_add(from, (loff_t)min(count, (u64)INT64_MAX), &end) || check_add(to, end - from, &end))
        return -EOVERFLOW;
    count = min(count, RW_MAX);
    if (inode_refresh(in->inode) < 0)
        return -EIO;
    count = (u64)from >= in->inode->size ? 0 : min(count, in->inode->size - (u64)from);
    if (in->inode == out->inode && from < to + (loff_t)count && to < from + (loff_t)count)
        return -EINVAL;
    r = write_limit((u64)to, count);
    if (r <= 0)
        return r;
    r = file_splice(in, &from, out, &to, (u64)r);
    if (r < 0)
        return r;
    if (!user_in)
        in->pos = from;
    else if (copy_to_user((void __user *)user_in, &from, sizeof(from)))
        return -EFAULT;
    if (!user_out)
        out->pos = to;
    else if (copy_to_user((void __user *)user_out, &to, sizeof(to)))
        return -EFAULT;
    return r;
}

SYSCALL(copy_file_range)
{
    struct file *in = fd_get((int)a0), *out = fd_get((int)a2);
    s64 r = in && out ? copy_range(in, a1, out, a3, a4, (u32)a5) : -EBADF;

    file_put(in);
    file_put(out);
    return r;
}

/* ---- to the disk; read ahead ---- */

static s64 fd_sync(int fd)
{
    struct file *f = fd_get(fd);
    s64 r;

    if (!f)
        return -EBADF;
    if (f->op->fsync)
        r = f->op->fsync(f);
    else
        r = S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode) ? 0 : -EINVAL;
    file_put(f);
    return r;
}

SYSCALL(fsync) { return fd_sync((int)a0); }

SYSCALL(fdatasync) { return fd_sync((int)a0); }

SYSCALL(sync) { return 0; }

SYSCALL(syncfs) { return fd_exists((int)a0) ? 0 : -EBADF; }

SYSCALL(sync_file_range)
{
    struct file *f = fd_get((int)a0);
    s64 r = 0;

    if (!f)
        return -EBADF;
    if (a3 & ~7ull || (s64)a1 < 0 || (s64)(a1 + a2) < 0)
        r = -EINVAL;
    else if (!S_ISREG(f->inode->mode) && !S_ISDIR(f->inode->mode))
        r = -ESPIPE;
    file_put(f);
    return r;
}

SYSCALL(fadvise64)
{
    struct file *f = fd_get((int)a0);
    s64 r = 0;

    if (!f)
        return -EBADF;
    if (S_ISFIFO(f->inode->mode))
        r = -ESPIPE;
    else if ((s64)a2 < 0 || a3 > 5)
        r = -EINVAL;
    file_put(f);
    return r;
}

SYSCALL(readahead)
{
    struct file *f = fd_get((int)a0);
    s64 r = 0;

    if (!f)
        return -EBADF;
    if (!file_readable(f))
        r = -EBADF;
    else if (!S_ISREG(f->inode->mode))
        r = -EINVAL;
    file_put(f);
    return r;
}
