/* SPDX-License-Identifier: MIT */
/* What the files of the VFS share among themselves and show to no file system. */
#ifndef CORE_VFS_H
#define CORE_VFS_H

#include "fs_impl.h"
#include "proc/task.h"

#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EACCESS 0x200u
#define AT_REMOVEDIR 0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define AT_NO_AUTOMOUNT 0x800u
#define AT_EMPTY_PATH 0x1000u
#define AT_STATX_SYNC_TYPE 0x6000u

#define O_ASYNC 020000

/* ---- dentry.c ---- */
/* A name that was found or made in a directory. Takes over inode, also when it fails. ERR_PTR. */
struct dentry *dentry_enter(struct dentry *parent, const char *name, size_t len, struct inode *inode);
/* One that no lookup finds: roots (parent NULL), O_TMPFILE, anonymous files. Takes over inode, also on NULL. */
struct dentry *dentry_alloc_hidden(struct dentry *parent, const char *name, struct inode *inode);
/* Looks name up, in the cache first. ERR_PTR; a reference. Mounts are not crossed. */
struct dentry *dentry_lookup(struct dentry *parent, const char *name, size_t len);
/* The name is gone: no lookup finds it any more. */
void dentry_unlink(struct dentry *d);
void dentry_rename(struct dentry *d, struct dentry *parent, const char *name, size_t len);
void dentry_exchange(struct dentry *a, struct dentry *b);
bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor); /* or the same */
void dentry_shrink(struct super_block *sb); /* drops unused names, of every super block with NULL */

/* ---- permission.c: 0, -EACCES or -EPERM for the calling process ---- */
#define MAY_EXEC 1u
#define MAY_WRITE 2u
#define MAY_READ 4u
int inode_permission(const struct inode *inode, u32 mask);
/* The same for a user and a group, its supplementary ones beside. */
int inode_permission_of(const struct inode *inode, u32 mask, u32 uid, u32 gid);
bool inode_owned(const struct inode *inode); /* or the caller may act as if */
int may_create(const struct inode *dir);
int may_delete(const struct inode *dir, const struct inode *victim);
/* ATTR_MODE, ATTR_UID and ATTR_GID of which; takes from attr's mode what the caller may not set. */
int may_setattr(const struct inode *inode, struct inode *attr, u32 which);

/* ---- namei.c ---- */

/* A name given by user mode, copied in. */
struct filename {
    char *name;
    char small[208];
};
int filename_get(struct filename *fn, u64 uptr);
void filename_put(struct filename *fn);

#define LOOKUP_EMPTY 4u /* "" means the descriptor itself */
int path_lookup_at(int dirfd, const char *name, u32 flags, struct path *res);
int user_path_at(int dirfd, u64 uptr, u32 flags, struct path *res);
bool path_is_mountpoint(const struct path *p); /* or the root of a mount */
bool path_rdonly(const struct path *p);

/* A walk that stops before the last component, for calls that make or remove it. */
enum { LAST_NORM, LAST_ROOT, LAST_DOT, LAST_DOTDOT };
struct walk {
    struct path path; /* the directory reached */
    const char *rest; /* of the name */
    char *buf;        /* that rest points into once a link was followed */
    u32 links;
    const char *last;
    u32 last_len;
    int last_type;
    bool last_slash; /* slashes follow it */
};
int walk_begin(struct walk *w, int dirfd, const char *name);
int walk_parent(struct walk *w);
/* The last component in w->path (mounts crossed), or -errno. */
int walk_last(struct walk *w, struct path *res);
/* Goes on from the symbolic link (reference consumed) that the last component turned out to be. */
int walk_follow(struct walk *w, struct path *link);
void walk_end(struct walk *w);

/* ---- mount.c ---- */
struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);
struct mount *mount_find(const struct path *p); /* the one that sits there, no reference, or NULL */
void vfs_root_path(struct path *res);           /* with references; empty before vfs_init */

/* ---- dirs.c, for the kernel's own use; walks from the current task's cwd ---- */
int vfs_make(const char *name, mode_t mode); /* mode with type; no umask */
int vfs_make_device(const char *name, mode_t mode, u64 rdev);
int vfs_remove(const char *name, bool directory);

/* ---- file.c ---- */
/* Opens what path names; *path is consumed only on success. created: made by this very call. */
struct file *file_open_path(const struct path *path, u32 flags, bool created);
struct file *file_open_at(int dirfd, const char *name, u32 flags, mode_t mode);
static inline bool file_readable(const struct file *f)
{
    return !(f->flags & O_PATH) && ((f->flags & O_ACCMODE) == O_RDONLY || (f->flags & O_ACCMODE) == O_RDWR);
}
static inline bool file_writable(const struct file *f)
{
    return !(f->flags & O_PATH) && ((f->flags & O_ACCMODE) == O_WRONLY || (f->flags & O_ACCMODE) == O_RDWR);
}
/* Has a position: lseek and pread may be used. */
bool file_seekable(const struct file *f);
int inode_refresh(struct inode *inode); /* getattr if there is one */
int inode_setattr(const struct path *p, struct inode *attr, u32 which);
int inode_truncate(struct inode *inode, u64 size);
/* Do the seals of memfd_create(2) allow writing up to end? 0 or -EPERM. */
int inode_seal_check(const struct inode *inode, u64 end);
#define F_SEAL_SEAL 1u
#define F_SEAL_SHRINK 2u
#define F_SEAL_GROW 4u
#define F_SEAL_WRITE 8u
#define F_SEAL_FUTURE_WRITE 16u

/* ---- fdtable.c ---- */
struct file *fd_get_raw(int fd);                         /* O_PATH files as well */
int fd_install_at(struct file *f, bool cloexec, int fd); /* dup2; takes over the reference */
int fd_get_cloexec(int fd);                              /* or -EBADF */
int fd_set_cloexec(int fd, bool on);
u64 fd_limit(void);

/* ---- read_write.c ---- */
#define BOUNCE_SIZE (64ul << 10)
void *bounce_get(void); /* BOUNCE_SIZE bytes between user mode and file systems, not zeroed; NULL: no memory */
void bounce_put(void *buf);

/* ---- pipe.c, for splice; nonblock: -EAGAIN rather than wait ---- */
bool file_is_pipe(const struct file *f);
s64 pipe_wait_data(struct file *f, bool nonblock); /* bytes that are there, 0: no writer any more */
s64 pipe_wait_room(struct file *f, bool nonblock); /* bytes that fit in, at least one; -EPIPE with its signal */
u32 pipe_peek(struct file *f, void *buf, u32 n);   /* copies of the first bytes, which stay */
s64 pipe_take(struct file *f, void *buf, u64 n, bool nonblock);
void pipe_untake(struct file *f, const void *buf, u32 n); /* back to the front */

/* ---- locks.c ---- */
s64 locks_fcntl(struct file *f, u32 cmd, u64 arg);
void locks_release_posix(struct file *f, struct files *owner);
void locks_release_file(struct file *f); /* the last reference is gone */

/* ---- tmpfs.c, for the overlay ---- */
#define RENAME_WHITEOUT 4u
int tmpfs_whiteout(struct inode *dir, const char *name, size_t len); /* hides the name, removing what is there */
bool tmpfs_is_whiteout(struct inode *dir, const char *name, size_t len);
bool tmpfs_has(struct inode *dir, const char *name, size_t len); /* as a file or as a whiteout */
/* Every name, whiteouts (inode NULL) too. */
int tmpfs_for_each(struct inode *dir, int (*fn)(void *arg, const char *name, size_t len, struct inode *inode),
                   void *arg);
/* The overlay's note on an upper inode. */
struct tmpfs_note {
    struct inode *overlay; /* the overlay's inode on it, while it lives */
    u64 origin;            /* inode number before it was copied up; 0: made here */
    bool opaque;           /* a directory that hides the lower one of its name */
};
struct tmpfs_note *tmpfs_note(struct inode *inode);

#endif
