/* SPDX-License-Identifier: MIT */
/* Between the virtual file system and the file systems below it. Linux's structures, cut down. */
#ifndef CORE_FS_IMPL_H
#define CORE_FS_IMPL_H

#include "fs.h"

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISUID 04000
#define S_ISGID 02000
#define S_ISVTX 01000
#define S_ISLNK(m) (((m)&S_IFMT) == S_IFLNK)
#define S_ISREG(m) (((m)&S_IFMT) == S_IFREG)
#define S_ISDIR(m) (((m)&S_IFMT) == S_IFDIR)
#define S_ISCHR(m) (((m)&S_IFMT) == S_IFCHR)
#define S_ISFIFO(m) (((m)&S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m)&S_IFMT) == S_IFSOCK)

/* open(2) flags of x86-64. */
#define O_ACCMODE 03
#define O_RDONLY 00
#define O_WRONLY 01
#define O_RDWR 02
#define O_CREAT 0100
#define O_EXCL 0200
#define O_NOCTTY 0400
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_DSYNC 010000
#define O_DIRECT 040000
#define O_LARGEFILE 0100000
#define O_DIRECTORY 0200000
#define O_NOFOLLOW 0400000
#define O_NOATIME 01000000
#define O_CLOEXEC 02000000
#define O_PATH 010000000
#define O_TMPFILE (020000000 | O_DIRECTORY)

struct super_operations {
    int (*statfs)(struct super_block *sb, struct thaw_statfs *st);
    void (*evict_inode)(struct inode *inode); /* last reference gone: free private */
    void (*put_super)(struct super_block *sb);
};

struct super_block {
    u32 refs;
    u64 dev;
    u64 magic;        /* statfs f_type */
    u32 flags;        /* SB_* */
    const char *type; /* "erofs", "tmpfs", ... as /proc/mounts names it */
    const struct super_operations *op;
    struct dentry *root;
    u32 unused_names; /* dentries that nobody holds */
    void *private;
};
#define SB_RDONLY 1u
#define SB_NOCACHE 2u /* dentries are looked up anew each time (proc, host) */

struct inode_operations {
    /* Finds name (not NUL-terminated) in dir: *res with a reference, or -ENOENT, ... */
    int (*lookup)(struct inode *dir, const char *name, size_t len, struct inode **res);
    /* mode has the type: S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR. The name does not exist yet. */
    int (*create)(struct inode *dir, const char *name, size_t len, mode_t mode, u64 rdev, struct inode **res);
    int (*symlink)(struct inode *dir, const char *name, size_t len, const char *target, struct inode **res);
    int (*link)(struct inode *dir, const char *name, size_t len, struct inode *target);
    int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *victim);
    int (*rmdir)(struct inode *dir, const char *name, size_t len, struct inode *victim);
    /* target: what new_name is now, or NULL. flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2 (else -EINVAL). */
    int (*rename)(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *victim,
                  struct inode *new_dir, const char *new_name, size_t new_len, struct inode *target, u32 flags);
    ssize_t (*readlink)(struct inode *inode, char *buf, size_t size);
    /* /proc/self/fd/N and its kin: where the link leads, without a name. NULL for ordinary links. */
    int (*follow)(struct inode *inode, struct path *res);
    int (*getattr)(struct inode *inode); /* refreshes the fields below before stat(2); NULL: they are right */
    int (*truncate)(struct inode *inode, u64 size);
    /* Which of attr to set: ATTR_*; fields of attr hold the values. */
    int (*setattr)(struct inode *inode, const struct inode *attr, u32 which);
    /* Sets up a file that is being opened (f->op, f->private); NULL: f->op = inode->fop. */
    int (*open)(struct inode *inode, struct file *f);
    /* O_TMPFILE: a regular file without a name; NULL: -EOPNOTSUPP. */
    int (*tmpfile)(struct inode *dir, mode_t mode, struct inode **res);
};
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u
#define ATTR_MODE 1u
#define ATTR_UID 2u
#define ATTR_GID 4u
#define ATTR_ATIME 8u
#define ATTR_MTIME 16u

struct inode {
    u32 refs;
    u64 ino;
    mode_t mode;
    u32 uid, gid, nlink;
    u64 size, blocks; /* bytes; units of 512 */
    u64 rdev;
    u64 atime, mtime, ctime; /* ns since the epoch */
    const struct inode_operations *op;
    const struct file_operations *fop;
    struct super_block *sb;
    struct list_head flocks; /* flock and POSIX locks */
    bool sealable;           /* memfd_create(2) with MFD_ALLOW_SEALING */
    u32 seals;               /* F_SEAL_* */
    void *private;           /* of the file system */
    void *special;           /* of a FIFO, a socket or a device opened through this inode */
};

/* A name in the tree. Parents are referenced by children, so that ".." and getcwd always work. */
struct dentry {
    u32 refs;
    struct dentry *parent; /* itself at the root of a file system */
    struct inode *inode;   /* never NULL: absent names have no dentry */
    struct list_head children, sibling;
    bool unlinked;
    char *name;
    /* dentry.c's own */
    bool hashed;
    u32 hash, mounted; /* mounted: mounts that sit on it */
    u32 len;           /* of name */
    struct dentry *hash_next;
    struct list_head lru; /* while nobody holds it */
};

struct mount {
    u32 refs;
    struct list_head all;
    struct super_block *sb;
    struct path mountpoint; /* where it is mounted; mnt NULL at the root of all */
    u32 flags;              /* MNT_RDONLY */
    int share;              /* request's share number, or -1 */
    u32 id;                 /* as /proc/self/mountinfo numbers them */
    char *source;
};
#define MNT_RDONLY 1u

struct inode *inode_alloc(struct super_block *sb); /* one reference, the caller's, else all zero, ino to be set */
struct inode *inode_get(struct inode *inode);
void inode_put(struct inode *inode);
u64 now_realtime(void);
u64 dev_alloc(void); /* anonymous device numbers for super blocks */

/*
 * For the makers of super blocks: super_alloc gives one reference, a device number and an empty rest;
 * super_set_root takes over the reference to root, also when it fails. super_put of the last reference drops
 * the dentries, then calls put_super, then frees.
 */
struct super_block *super_alloc(const char *type, u64 magic, const struct super_operations *op);
int super_set_root(struct super_block *sb, struct inode *root);
struct super_block *super_get(struct super_block *sb);
void super_put(struct super_block *sb);

/* ---- names and places ---- */
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d); /* NULL allowed */
void path_get(const struct path *p);
void path_put(struct path *p); /* and forgets it; an empty path is allowed */
/* The absolute path, with " (deleted)" behind it when the name is gone; length or -ENAMETOOLONG. */
ssize_t path_string(const struct path *p, char *buf, size_t size);
/* Walks name from the current task's cwd; *res with references. flags: LOOKUP_*. */
#define LOOKUP_FOLLOW 1u    /* a symbolic link at the end is followed */
#define LOOKUP_DIRECTORY 2u /* the end has to be a directory */
int path_lookup(const char *name, u32 flags, struct path *res);
/* cwd and root of fs, with references. */
void fs_get_paths(struct fs *fs, struct path *cwd, struct path *root);
mode_t fs_get_umask(struct fs *fs);

/* ---- for /proc ---- */
/* The file at descriptor fd of any process, with a reference (also O_PATH ones), or NULL. */
struct file *files_get_file(struct files *files, int fd);
/* The lowest descriptor in use that is >= fd, or -1. */
int files_next_fd(struct files *files, int fd);
u32 files_count_slots(struct files *files); /* FDSize of /proc/self/status */
/* Every mount in order, as /proc/mounts shows them, until fn returns false. */
struct mount_info {
    u32 id, parent_id;
    u64 dev;
    const char *source, *root, *target, *type, *options;
};
void vfs_for_each_mount(bool (*fn)(void *arg, const struct mount_info *info), void *arg);
/* Every POSIX and flock lock, as a line of /proc/locks. */
void locks_for_each(bool (*fn)(void *arg, const char *line), void *arg);

/* ---- entries that other files provide ---- */
/* select.c: called by file_put for a file that epoll instances still watch: takes every item off f->epoll_links. */
void epoll_file_gone(struct file *f);
int fifo_open(struct inode *inode, struct file *f); /* pipe.c: an open of a S_IFIFO inode; f->op, f->private */
/* devfs.c: a file on the caller's descriptor n (0, 1 or 2), as descriptors 0 to 2 of the first process. ERR_PTR. */
struct file *console_open(int n);

/* Each makes a super block whose root dentry is set, or ERR_PTR. */
struct super_block *erofs_mount(const void *image, u64 size);
struct super_block *tmpfs_mount(mode_t root_mode, u64 max_bytes);
struct super_block *overlay_mount(struct super_block *lower,
                                  struct super_block *upper); /* upper: an empty tmpfs; takes over both */
struct super_block *proc_mount(void);
/* Whom a directory /proc/PID is about; NULL: the inode is another, or its process has gone. */
struct process *proc_pid_process(const struct inode *inode);
struct super_block *sysfs_mount(void); /* for /sys, if the root has or may get such a directory */
struct super_block *dev_mount(void);   /* /dev: a tmpfs filled with device nodes */
struct super_block *hostfs_mount(int share, bool rdonly);
bool hostfs_is(const struct super_block *sb);

/* For iterate: "." at *pos 0 and ".." at *pos 1, *pos moved behind them; false: the actor took no more. */
bool dir_emit_dots(struct file *f, struct dir_context *ctx, u64 *pos);
/* lseek(2) by f->inode->size, what a NULL llseek of a regular file or a directory does. */
loff_t generic_llseek(struct file *f, loff_t off, int whence);

/* Anonymous files: pipes, eventfd, epoll. name is what readlink of /proc/self/fd/N shows ("pipe:[7]"). ERR_PTR. */
/* The file owns private from now on (op->release frees it), but not when file_anon fails. */
struct file *file_anon(const char *name, const struct file_operations *op, void *private, u32 flags, mode_t mode);
/* The same; its name is the kind with the inode's number behind it: "pipe:[7]". */
struct file *file_anon_numbered(const char *kind, const struct file_operations *op, void *private, u32 flags,
                                mode_t mode);

/* Device numbers to operations, for opens of S_IFCHR inodes. */
int chrdev_open(struct inode *inode, struct file *f);
#define MKDEV(ma, mi) (((u64)(ma) << 8) | (mi)) /* small numbers only */

#endif
