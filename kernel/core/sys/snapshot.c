/* SPDX-License-Identifier: MIT */
/* The snapshot call: what is saved, and what a restored sandbox makes anew. */
#include "snapshot.h"

#include "fs/vfs.h"
#include "machine.h"
#include "mm.h"
#include "request.h"
#include "task.h"
#include "timer.h"

static bool taken;

int snapshot_add_region(u64 start, u64 len, u64 offset, u32 prot, u32 kind)
{
    struct thaw_boot *boot = machine_boot();
    struct thaw_region *r = (void *)((char *)boot + boot->region_off);

    if (!len)
        return 0;
    if (boot->region_count >= THAW_REGION_MAX)
        return -E2BIG;
    r[boot->region_count++] = (struct thaw_region){start, len, offset, prot, kind};
    return 0;
}

int snapshot_list_user(void)
{
    const struct mm *mm = current->process->mm;

    for (u32 i = 0; i < mm->nr_vmas; i++) {
        const struct vma *v = &mm->vmas[i];
        bool clean = (v->flags & VMA_IMAGE) && !(v->flags & VMA_WRITTEN);
        u32 prot = v->flags & VMA_LAZY ? v->prot & ~PROT_WRITE : v->prot;
        int err = snapshot_add_region(v->start, v->end - v->start, clean ? v->image_offset : 0, prot,
                                      clean ? THAW_REGION_IMAGE : THAW_REGION_DATA);
        if (err)
            return err;
    }
    return 0;
}

/* For who asked the monitor for a snapshot; overwritten by how the sandbox ends, unless it ends well. */
static __printf(1, 2) s64 snapshot_refuse(const char *fmt, ...)
{
    struct thaw_boot *boot = machine_boot();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(boot->exit.text, sizeof(boot->exit.text), fmt, ap);
    va_end(ap);
    return -EBUSY;
}

static bool file_is_outside(const struct file *f) { return f->inode && f->inode->sb && hostfs_is(f->inode->sb); }

/* What a restored sandbox could not have: other threads' registers, other processes, files of this start's shares. */
static s64 snapshot_check(const struct process *p)
{
    struct task *t;

    list_for_each_entry (t, &task_list, all)
        if (t->process != p)
            return snapshot_refuse("another process is alive: %d (%s)", t->process->pid, t->comm);
    if (process_list.next->next != &process_list)
        return snapshot_refuse("another process has not been waited for");
    if (mm_has_pages(p->mm))
        return snapshot_refuse("memory is mapped that processes could share");
    if (p->nr_threads != 1)
        return snapshot_refuse("threads are alive besides the one that asks: %u", p->nr_threads - 1);
    for (int fd = files_next_fd(p->files, 0); fd >= 0; fd = files_next_fd(p->files, fd + 1)) {
        struct file *f = files_get_file(p->files, fd);
        bool outside = f && file_is_outside(f);

        if (f)
            file_put(f);
        if (outside)
            return snapshot_refuse("descriptor %d is a file of the host", fd);
    }
    for (u32 i = 0; i < p->mm->nr_vmas; i++)
        if (p->mm->vmas[i].file && file_is_outside(p->mm->vmas[i].file))
            return snapshot_refuse("a file of the host is mapped at %#lx", (unsigned long)p->mm->vmas[i].start);
    return 0;
}

bool snapshot_may_come(void) { return !taken && machine_boot()->flags & (THAW_BOOT_SNAPSHOT | THAW_BOOT_TRAIN); }

s64 snapshot_syscall(void)
{
    struct thaw_boot *boot = machine_boot();
    struct process *p = current->process;
    s64 ret;

    if (taken)
        return -EALREADY;
    if (!(boot->flags & THAW_BOOT_SNAPSHOT))
        return -ENOSYS;
    ret = snapshot_check(p);
    if (ret)
        return ret;
    boot->region_count = 0;
    taken = true;
    boot->stats.t_snapshot_ns = machine_timestamp();
    ret = machine_snapshot();
    if (ret == -E2BIG)
        snapshot_refuse("its memory is in more than %u pieces", THAW_REGION_MAX);
    if (ret != THAW_SNAPSHOT_RESTORED)
        return ret;

    /* A new start: nothing of the old one's secrets, clock or request is left. */
    boot = machine_boot();
    random_reseed(boot->entropy, sizeof(boot->entropy));
    memset(boot->entropy, 0, sizeof(boot->entropy));
    timer_rearm();
    ret = request_apply();
    if (ret)
        panic("the request cannot be applied to the snapshot: error %d", (int)-ret);
    boot->stats.t_user_ns = machine_timestamp();
    return THAW_SNAPSHOT_RESTORED;
}
