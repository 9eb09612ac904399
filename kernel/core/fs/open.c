/* SPDX-License-Identifier: MIT */
/* open(2), close(2), memfd_create(2). */
#include "sys/syscall.h"
#include "vfs.h"

static s64 do_open(int dirfd, u64 user_name, u32 flags, mode_t mode)
{
    struct filename fn;
    struct file *f;
    int r = filename_get(&fn, user_name);

    if (r < 0)
        return r;
    f = file_open_at(dirfd, fn.name, flags & ~O_EXEC, mode);
    filename_put(&fn);
    if (IS_ERR(f))
        return PTR_ERR(f);
    return fd_install(f, flags & O_CLOEXEC, 0);
}

SYSCALL(open) { return do_open(AT_FDCWD, a0, (u32)a1, (mode_t)a2); }

SYSCALL(openat) { return do_open((int)a0, a1, (u32)a2, (mode_t)a3); }

SYSCALL(creat) { return do_open(AT_FDCWD, a0, O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a1); }

SYSCALL(close) { return fd_close((int)a0); }

#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

SYSCALL(close_range)
{
    u32 first = (u32)a0, last = (u32)a1, flags = (u32)a2;
    struct process *p = current->process;
    int fd;

    if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
        return -EINVAL;
    if (flags & CLOSE_RANGE_UNSHARE) {
        struct files *own = files_clone(p->files);

        if (!own)
            return -ENOMEM;
        files_put(p->files);
        p->files = own;
    }
    if (first > NR_OPEN)
        return 0;
    for (fd = (int)first; (fd = files_next_fd(p->files, fd)) >= 0 && (u32)fd <= last; fd++) {
        if (flags & CLOSE_RANGE_CLOEXEC)
            fd_set_cloexec(fd, true);
        else
            fd_close(fd);
    }
    return 0;
}

#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#define MFD_NAME_MAX 249

SYSCALL(memfd_create)
{
    static const char prefix[] = "/memfd:";
    char name[sizeof(prefix) + MFD_NAME_MAX + 1];
    u32 flags = (u32)a1;
    struct file *f;
    ssize_t n;

    if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
        return -EINVAL;
    if ((flags & MFD_EXEC) && (flags & MFD_NOEXEC_SEAL))
        return -EINVAL;
    memcpy(name, prefix, sizeof(prefix) - 1);
    n = strncpy_from_user(name + sizeof(prefix) - 1, (const char __user *)a0, MFD_NAME_MAX + 1);
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    f = tmpfs_memfd(name, O_RDWR, flags & MFD_NOEXEC_SEAL ? 0666 : 0777);
    if (IS_ERR(f))
        return PTR_ERR(f);
    f->inode->sealable = true;
    if (!(flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL)))
        f->inode->seals = F_SEAL_SEAL;
    return fd_install(f, flags & MFD_CLOEXEC, 0);
}
