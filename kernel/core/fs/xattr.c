/* SPDX-License-Identifier: MIT */
/* Extended attributes: no file system here has any. What a tmpfs built without them says: xattr(7). */
#include "sys/syscall.h"
#include "vfs.h"

#define XATTR_NAME_MAX 255

/* The file has to exist, and the name to be one. error: what then comes of it. */
static s64 xattr_path(u64 user_path, u32 lookup, u64 user_name, bool write, s64 error)
{
    char name[XATTR_NAME_MAX + 2];
    struct path p;
    ssize_t n;
    s64 r;

    if (user_name) {
        n = strncpy_from_user(name, (const char __user *)user_name, sizeof(name));
        if (n == 0 || n == -ENAMETOOLONG)
            return -ERANGE;
        if (n < 0)
            return n;
    }
    r = user_path_at(AT_FDCWD, user_path, lookup, &p);
    if (r < 0)
        return r;
    r = write && path_rdonly(&p) ? -EROFS : error;
    path_put(&p);
    return r;
}

static s64 xattr_fd(int fd, u64 user_name, bool write, s64 error)
{
    char name[XATTR_NAME_MAX + 2];
    struct file *f = fd_get(fd);
    ssize_t n;
    s64 r = error;

    if (!f)
        return -EBADF;
    if (write && path_rdonly(&f->path))
        r = -EROFS;
    file_put(f);
    if (user_name) {
        n = strncpy_from_user(name, (const char __user *)user_name, sizeof(name));
        if (n == 0 || n == -ENAMETOOLONG)
            return -ERANGE;
        if (n < 0)
            return n;
    }
    return r;
}

SYSCALL(setxattr) { return a4 & ~3ull ? -EINVAL : xattr_path(a0, LOOKUP_FOLLOW, a1, true, -EOPNOTSUPP); }

SYSCALL(lsetxattr) { return a4 & ~3ull ? -EINVAL : xattr_path(a0, 0, a1, true, -EOPNOTSUPP); }

SYSCALL(fsetxattr) { return a4 & ~3ull ? -EINVAL : xattr_fd((int)a0, a1, true, -EOPNOTSUPP); }

SYSCALL(getxattr) { return xattr_path(a0, LOOKUP_FOLLOW, a1, false, -EOPNOTSUPP); }

SYSCALL(lgetxattr) { return xattr_path(a0, 0, a1, false, -EOPNOTSUPP); }

SYSCALL(fgetxattr) { return xattr_fd((int)a0, a1, false, -EOPNOTSUPP); }

SYSCALL(listxattr) { return xattr_path(a0, LOOKUP_FOLLOW, 0, false, 0); }

SYSCALL(llistxattr) { return xattr_path(a0, 0, 0, false, 0); }

SYSCALL(flistxattr) { return xattr_fd((int)a0, 0, false, 0); }

SYSCALL(removexattr) { return xattr_path(a0, LOOKUP_FOLLOW, a1, true, -EOPNOTSUPP); }

SYSCALL(lremovexattr) { return xattr_path(a0, 0, a1, true, -EOPNOTSUPP); }

SYSCALL(fremovexattr) { return xattr_fd((int)a0, a1, true, -EOPNOTSUPP); }
