/* SPDX-License-Identifier: MIT */
/* The snapshot call: what is saved, and what a restored sandbox makes anew. */
#include "snapshot.h"

#include "fs.h"
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

static int snapshot_list_user(struct mm *mm)
{
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

s64 snapshot_syscall(void)
{
    struct thaw_boot *boot = machine_boot();
    struct process *p = current->process;
    int ret;

    if (taken)
        return -EALREADY;
    if (!(boot->flags & THAW_BOOT_SNAPSHOT))
        return -ENOSYS;
    /* Other threads, other processes (also such that only wait to be waited for), memory that others could share. */
    if (p->nr_threads != 1 || process_list.next->next != &process_list || mm_has_pages(p->mm))
        return -EBUSY;
    boot->region_count = 0;
    ret = snapshot_list_user(p->mm);
    if (ret)
        return ret;
    taken = true;
    boot->stats.t_snapshot_ns = machine_timestamp();
    ret = machine_snapshot();
    if (ret != THAW_SNAPSHOT_RESTORED)
        return ret;

    /* A new start: nothing of the old one's secrets, clock or request is left. */
    boot = machine_boot();
    random_reseed(boot->entropy, sizeof(boot->entropy));
    memset(boot->entropy, 0, sizeof(boot->entropy));
    timer_rearm();
    ret = request_apply();
    if (ret)
        panic("the request cannot be applied to the snapshot: error %d", -ret);
    boot->stats.t_user_ns = machine_timestamp();
    return THAW_SNAPSHOT_RESTORED;
}
