/* SPDX-License-Identifier: MIT */
/*
 * The virtual file system, as in Linux: super blocks, inodes, dentries, mounts, open files, descriptor tables.
 * Everything is under the big kernel lock. Objects are reference-counted: xxx_get, xxx_put.
 */
#ifndef CORE_FS_H
#define CORE_FS_H

#include "kernel.h"
#include "wait.h"

struct inode;
struct dentry;
struct file;
struct mount;
struct super_block;
struct iov_iter;

/* stat(2) of x86-64. */
struct kstat {
    u64 st_dev, st_ino, st_nlink;
    u32 st_mode, st_uid, st_gid, pad0;
    u64 st_rdev;
    s64 st_size, st_blksize, st_blocks;
    u64 st_atime, st_atime_nsec, st_mtime, st_mtime_nsec, st_ctime, st_ctime_nsec;
    s64 unused[3];
};

struct path {
    struct mount *mnt;
    struct dentry *dentry;
};

/* poll(2)'s events. */
#define POLLIN 0x001u
#define POLLPRI 0x002u
#define POLLOUT 0x004u
#define POLLERR 0x008u
#define POLLHUP 0x010u
#define POLLNVAL 0x020u
#define POLLRDNORM 0x040u
#define POLLWRNORM 0x100u
#define POLLRDHUP 0x2000u

/* Given to poll operations, which call poll_wait() for each queue that may change their answer. */
struct poll_table;
void poll_wait(struct file *f, struct wait_queue *wq, struct poll_table *pt); /* pt NULL: nothing to do */

/* Called for each directory entry, "." and ".." included; false: did not take it, stop the iteration. next_pos is
 * the position behind the entry; f->pos is set from it by the caller of iterate. */
struct dir_context {
    bool (*actor)(struct dir_context *ctx, const char *name, size_t len, u64 next_pos, u64 ino, u8 dt_type);
};

struct file_operations {
    /* buf is a kernel buffer. *pos is the position, to be moved; pipes and the like ignore it. */
    ssize_t (*read)(struct file *f, void *buf, size_t n, loff_t *pos);
    ssize_t (*write)(struct file *f, const void *buf, size_t n, loff_t *pos);
    /* Files of messages: instead of read and write where a call brings its own buffers, all of them at once. */
    s64 (*rw_iter)(struct file *f, struct iov_iter *it, bool write);
    loff_t (*llseek)(struct file *f, loff_t off,
                     int whence); /* NULL: generic; file systems without positions: -ESPIPE */
    int (*iterate)(struct file *f, struct dir_context *ctx); /* from f->pos on */
    u32 (*poll)(struct file *f, struct poll_table *pt);      /* NULL: always POLLIN|POLLOUT */
    long (*ioctl)(struct file *f, u32 cmd, u64 arg);         /* arg: user pointer or value */
    int (*fsync)(struct file *f);
    void (*release)(struct file *f); /* last reference gone */
    /* Where the file's bytes [off, off+len) lie in the root image, for mapping; false: they have to be copied.
     * off is page-aligned. */
    bool (*map_image)(struct file *f, u64 off, u64 len, u64 *image_offset);
    /* Mappings that share the file's pages. page: the one at index, in the kernel's heap, made if it is not there;
     * ERR_PTR. mapped: one comes (1) or goes (-1); while there is any no page goes back to the heap; 0 asks whether
     * there can be one. NULL, both: no such mappings. */
    void *(*page)(struct file *f, u64 index);
    bool (*mapped)(struct file *f, int change);
    int (*fallocate)(struct file *f, u32 mode, u64 off, u64 len); /* NULL: -EOPNOTSUPP */
};

struct file {
    u32 refs;
    u32 flags; /* O_* as opened, changed by fcntl */
    loff_t pos;
    struct path path;
    struct inode *inode; /* of path.dentry, or of its own for pipes and the like */
    const struct file_operations *op;
    void *private;
    s32 owner;                    /* F_SETOWN: who gets SIGURG; a process, negative: a group, 0: nobody */
    struct list_head epoll_links; /* epoll items that watch this file */
};

struct file *file_get(struct file *f);
/* How many there are: /proc/sys/fs. */
u32 file_count(void);
u32 inode_count(void);
void file_put(struct file *f);

/* Opens a path for the kernel's own use (execve, mounts), relative to the current task's cwd. ERR_PTR. */
struct file *file_open(const char *path, u32 flags, mode_t mode);
/* Reads at off into a kernel buffer; bytes or -errno; short only at the end. */
ssize_t file_pread(struct file *f, void *buf, size_t n, u64 off);
int file_stat(struct file *f, struct kstat *st);
/* Absolute path of an open file into buf; its length or -errno. */
ssize_t file_path(struct file *f, char *buf, size_t size);
int file_truncate(struct file *f, u64 size); /* 0 or -errno */
/* A file without a name, as memfd_create(2) makes it; name as in /proc/PID/maps. ERR_PTR. */
struct file *tmpfs_memfd(const char *name, u32 flags, mode_t mode);
/* With O_RDONLY, for execve(2): a regular file that may be executed, whether or not it may be read. */
#define O_EXEC 040u
int file_may_exec(struct file *f);

/* ---- descriptor tables ---- */
struct files;
struct files *files_create(void);
struct files *files_clone(struct files *old); /* fork */
void files_get(struct files *fs);
void files_put(struct files *fs);
int files_unshare(struct files **files); /* execve: replaces a table that others use by a copy; 0 or -ENOMEM */
void files_close_on_exec(struct files *fs);
struct file *fd_get(int fd); /* with a reference; NULL: EBADF */
int fd_install(struct file *f, bool cloexec,
               int lowest); /* takes over the reference, also when it fails; descriptor or -EMFILE */
int fd_close(int fd);

/* ---- cwd, root, umask ---- */
struct fs;
struct fs *fs_create(void);
struct fs *fs_clone(struct fs *old);
void fs_get(struct fs *fs);
void fs_put(struct fs *fs);
/* For the start and the restore of the sandbox. */
int fs_set_cwd(const char *path); /* chdir of the current process */
void fs_set_umask(mode_t mask);

/* ---- start-up: fs/mount.c ---- */

/* Mounts the root (EROFS image or share 0 under a tmpfs overlay), /proc, /dev, /tmp, /dev/shm. */
int vfs_init(const struct thaw_boot *boot);
/* Makes the request's host shares visible at their paths (directories are made as needed); called at a cold
 * start and again, with the new request, after a restore (shares of the old request are unmounted first). */
int vfs_mount_shares(const struct thaw_request *req);
/* Descriptors 0, 1 and 2 of a first process. After a restore files that are open on the old ones follow. */
int vfs_open_console(void);

#endif
