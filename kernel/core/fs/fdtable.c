/* SPDX-License-Identifier: MIT */
/* Descriptor tables. */
#include "vfs.h"

#define FILES_MIN 64u

struct files {
    u32 refs;
    u32 cap;   /* slots, a multiple of 64 */
    u32 first; /* no free slot below */
    struct file **fd;
    u64 *cloexec; /* a bit a slot */
};

static int files_grow(struct files *files, u32 cap)
{
    struct file **fd;
    u64 *cloexec;

    cap = max(round_up(cap, 64u), FILES_MIN);
    if (cap <= files->cap)
        return 0;
    fd = krealloc(files->fd, files->cap * sizeof(*fd), cap * sizeof(*fd));
    if (!fd)
        return -ENOMEM;
    files->fd = fd;
    cloexec = krealloc(files->cloexec, files->cap / 8, cap / 8);
    if (!cloexec)
        return -ENOMEM; /* cap unchanged: the longer array does no harm */
    files->cloexec = cloexec;
    memset(fd + files->cap, 0, (cap - files->cap) * sizeof(*fd));
    memset(cloexec + files->cap / 64, 0, (cap - files->cap) / 8);
    files->cap = cap;
    return 0;
}

struct files *files_create(void)
{
    struct files *files = kmalloc(sizeof(*files));

    if (!files)
        return NULL;
    files->refs = 1;
    if (files_grow(files, FILES_MIN) < 0) {
        kfree(files->fd);
        kfree(files);
        return NULL;
    }
    return files;
}

struct files *files_clone(struct files *old)
{
    struct files *files = files_create();

    if (!files)
        return NULL;
    if (files_grow(files, old->cap) < 0) {
        files_put(files);
        return NULL;
    }
    for (u32 i = 0; i < old->cap; i++)
        files->fd[i] = old->fd[i] ? file_get(old->fd[i]) : NULL;
    memcpy(files->cloexec, old->cloexec, old->cap / 8);
    files->first = old->first;
    return files;
}

int files_unshare(struct files **files)
{
    struct files *own;

    if ((*files)->refs == 1)
        return 0;
    own = files_clone(*files);
    if (!own)
        return -ENOMEM;
    files_put(*files);
    *files = own;
    return 0;
}

void files_get(struct files *files) { files->refs++; }

static bool cloexec_test(const struct files *files, u32 fd) { return files->cloexec[fd / 64] >> (fd % 64) & 1; }

static void cloexec_set(struct files *files, u32 fd, bool on)
{
    u64 bit = 1ull << (fd % 64);

    if (on)
        files->cloexec[fd / 64] |= bit;
    else
        files->cloexec[fd / 64] &= ~bit;
}

/* Takes the file out of its slot and drops it. */
static void files_close(struct files *files, u32 fd)
{
    struct file *f = files->fd[fd];

    files->fd[fd] = NULL;
    cloexec_set(files, fd, false);
    files->first = min(files->first, fd);
    locks_release_posix(f, files);
    file_put(f);
}

void files_put(struct files *files)
{
    if (!files || --files->refs)
        return;
    for (u32 i = 0; i < files->cap; i++)
        if (files->fd[i])
            files_close(files, i);
    kfree(files->fd);
    kfree(files->cloexec);
    kfree(files);
}

void files_close_on_exec(struct files *files)
{
    for (u32 i = 0; i < files->cap; i++)
        if (files->fd[i] && cloexec_test(files, i))
            files_close(files, i);
}

static struct files *files_current(void)
{
    struct task *t = current;

    return t && t->process ? t->process->files : NULL;
}

static struct file *files_slot(const struct files *files, int fd)
{
    return files && fd >= 0 && (u32)fd < files->cap ? files->fd[fd] : NULL;
}

struct file *files_get_file(struct files *files, int fd)
{
    struct file *f = files_slot(files, fd);

    return f ? file_get(f) : NULL;
}

int files_next_fd(struct files *files, int fd)
{
    for (u32 i = fd < 0 ? 0 : (u32)fd; files && i < files->cap; i++)
        if (files->fd[i])
            return (int)i;
    return -1;
}

u32 files_count_slots(struct files *files) { return files ? files->cap : 0; }

struct file *fd_get_raw(int fd) { return files_get_file(files_current(), fd); }

struct file *fd_get(int fd)
{
    struct file *f = files_slot(files_current(), fd);

    return f && !(f->flags & O_PATH) ? file_get(f) : NULL;
}

u64 fd_limit(void) { return min(current->process->rlimit[RLIMIT_NOFILE].cur, (u64)NR_OPEN); }

int fd_install(struct file *f, bool cloexec, int lowest)
{
    struct files *files = files_current();
    u32 fd = max((u32)lowest, files->first);
    int r;

    while (fd < files->cap && files->fd[fd])
        fd++;
    r = fd >= fd_limit() ? -EMFILE : files_grow(files, fd < files->cap ? fd : max(fd + 1, files->cap * 2));
    if (r < 0) {
        file_put(f);
        return r;
    }
    if ((u32)lowest <= files->first)
        files->first = fd + 1;
    files->fd[fd] = f;
    cloexec_set(files, fd, cloexec);
    return (int)fd;
}

int fd_install_at(struct file *f, bool cloexec, int fd)
{
    struct files *files = files_current();
    int r = fd < 0 || (u64)fd >= fd_limit() ? -EBADF : files_grow(files, (u32)fd + 1);

    if (r < 0) {
        file_put(f);
        return r;
    }
    if (files->fd[fd])
        files_close(files, (u32)fd);
    files->fd[fd] = f;
    cloexec_set(files, (u32)fd, cloexec);
    return fd;
}

int fd_close(int fd)
{
    struct files *files = files_current();

    if (!files_slot(files, fd))
        return -EBADF;
    files_close(files, (u32)fd);
    return 0;
}

int fd_get_cloexec(int fd)
{
    struct files *files = files_current();

    return files_slot(files, fd) ? cloexec_test(files, (u32)fd) : -EBADF;
}

int fd_set_cloexec(int fd, bool on)
{
    struct files *files = files_current();

    if (!files_slot(files, fd))
        return -EBADF;
    cloexec_set(files, (u32)fd, on);
    return 0;
}
