/* SPDX-License-Identifier: MIT */
/* Working directory, root and umask of a process. */
#include "sys/syscall.h"
#include "vfs.h"

struct fs {
    u32 refs;
    struct path cwd, root;
    mode_t umask;
};

struct fs *fs_create(void)
{
    struct fs *fs = kmalloc(sizeof(*fs));

    if (!fs)
        return NULL;
    fs->refs = 1;
    fs->umask = 022;
    vfs_root_path(&fs->cwd);
    vfs_root_path(&fs->root);
    return fs;
}

struct fs *fs_clone(struct fs *old)
{
    struct fs *fs = kmalloc(sizeof(*fs));

    if (!fs)
        return NULL;
    *fs = *old;
    fs->refs = 1;
    path_get(&fs->cwd);
    path_get(&fs->root);
    return fs;
}

void fs_get(struct fs *fs) { fs->refs++; }

void fs_put(struct fs *fs)
{
    if (!fs || --fs->refs)
        return;
    path_put(&fs->cwd);
    path_put(&fs->root);
    kfree(fs);
}

/* fs NULL, or made before there was a root: everything begins at the root. */
void fs_get_paths(struct fs *fs, struct path *cwd, struct path *root)
{
    if (cwd) {
        if (fs && fs->cwd.dentry) {
            *cwd = fs->cwd;
            path_get(cwd);
        } else {
            vfs_root_path(cwd);
        }
    }
    if (root) {
        if (fs && fs->root.dentry) {
            *root = fs->root;
            path_get(root);
        } else {
            vfs_root_path(root);
        }
    }
}

mode_t fs_get_umask(struct fs *fs) { return fs ? fs->umask : 0; }

void fs_set_umask(mode_t mask) { current->process->fs->umask = mask & 0777; }

static int fs_chdir(struct path *p) /* consumes p */
{
    struct fs *fs = current->process->fs;

    if (!S_ISDIR(p->dentry->inode->mode)) {
        path_put(p);
        return -ENOTDIR;
    }
    path_put(&fs->cwd);
    fs->cwd = *p;
    return 0;
}

int fs_set_cwd(const char *path)
{
    struct path p;
    int r = path_lookup(path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

    return r < 0 ? r : fs_chdir(&p);
}

SYSCALL(chdir)
{
    struct path p;
    int r = user_path_at(AT_FDCWD, a0, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

    return r < 0 ? r : fs_chdir(&p);
}

SYSCALL(fchdir)
{
    struct file *f = fd_get_raw((int)a0);
    struct path p;

    if (!f)
        return -EBADF;
    p = f->path;
    path_get(&p);
    file_put(f);
    return fs_chdir(&p);
}

/* A second root inside the sandbox is of no use to anybody, and a source of mistakes. */
SYSCALL(chroot)
{
    struct path p;
    int r = user_path_at(AT_FDCWD, a0, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

    if (r < 0)
        return r;
    path_put(&p);
    return -EPERM;
}

SYSCALL(getcwd)
{
    struct fs *fs = current->process->fs;
    char small[256], *buf = small;
    ssize_t n;
    s64 r;

    if (!fs->cwd.dentry || fs->cwd.dentry->unlinked)
        return -ENOENT;
    n = path_string(&fs->cwd, buf, sizeof(small));
    if (n == -ENAMETOOLONG) {
        buf = kmalloc(PATH_MAX);
        if (!buf)
            return -ENOMEM;
        n = path_string(&fs->cwd, buf, PATH_MAX);
    }
    if (n < 0)
        r = n;
    else if ((u64)n + 1 > a1)
        r = -ERANGE;
    else
        r = copy_to_user((void __user *)a0, buf, (size_t)n + 1) ? -EFAULT : n + 1;
    if (buf != small)
        kfree(buf);
    return r;
}

SYSCALL(umask)
{
    struct fs *fs = current->process->fs;
    mode_t old = fs->umask;

    fs_set_umask((mode_t)a0);
    return old;
}
