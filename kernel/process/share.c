/* SPDX-License-Identifier: MIT */
/*
 * The kernel's memory, made common to several host processes.
 *
 * Up to the first fork the kernel's data, stacks and heap are private memory, which a restore maps straight from the
 * snapshot. Then they move, once, to the memory file that the monitor hands in: all threads are made to keep still, what
 * is in use is copied, and shared mappings of the file take the old ones' places.
 */
#include "image.h"
#include "process.h"

bool memory_shared;

/* In the boot area, which has always been shared. */
struct park {
    u32 go;     /* those who wait may go on */
    u32 parked; /* how many do */
    struct thread_info *initiator;
};
#define parking ((struct park *)(THAW_BOOT_ADDR + BOOT_PARK_OFFSET))

/* The memory file: the kernel's data, then its stacks, then the heap. */
#define STACKS_OFFSET (THAW_KERNEL_END - THAW_KERNEL_ADDR)
#define STACKS_SIZE (SHARED_SLOTS * KSTACK_SLOT)
#define HEAP_OFFSET (STACKS_OFFSET + STACKS_SIZE)

#define SCRATCH_ADDR (THAW_KSTACK_END + (256ul << 20))
#define SCRATCH_SIZE (1ul << 30)
_Static_assert(SCRATCH_ADDR + SCRATCH_SIZE <= THAW_HEAP_ADDR, "the scratch area lies in a hole of the window");

static u64 heap_size;   /* of the file's part for it */
static s64 move_result; /* set before anything has moved */

u64 shared_heap_end(void) { return THAW_HEAP_ADDR + heap_size; }
u64 shared_offset(u64 addr)
{
    return addr - machine_heap_first < HEAP_FIRST ? addr - THAW_KERNEL_ADDR : HEAP_OFFSET + (addr - THAW_HEAP_ADDR);
}

static s64 map_file(u64 addr, u64 len, u64 offset)
{
    s64 p = host_syscall(HOST_mmap, addr, len, HOST_PROT_READ | HOST_PROT_WRITE, HOST_MAP_SHARED | HOST_MAP_FIXED,
                         THAW_FD_MEMORY, offset);
    return p == (s64)addr ? 0 : p;
}

static bool page_is_zero(const u64 *p)
{
    for (u32 i = 0; i < PAGE_SIZE / 8; i++)
        if (p[i])
            return false;
    return true;
}

static s64 copy_out(u64 addr, u64 len, u64 offset)
{
    while (len) {
        u64 n = min(len, SCRATCH_SIZE);
        s64 err = map_file(SCRATCH_ADDR, n, offset);
        if (err)
            return err;
        for (u64 i = 0; i < n; i += PAGE_SIZE)
            if (!page_is_zero((const u64 *)(addr + i)))
                memcpy((void *)(SCRATCH_ADDR + i), (const void *)(addr + i), PAGE_SIZE);
        host_syscall(HOST_munmap, SCRATCH_ADDR, n, 0, 0, 0, 0);
        addr += n;
        offset += n;
        len -= n;
    }
    return 0;
}

/* On the boot area's stack, all signals blocked, every other thread parked. Nothing that is copied may change. */
static void share_copy(void)
{
    u64 data = (u64)kernel_data_start, data_len = (u64)kernel_bss_end - data;
    u64 data_offset = data - THAW_KERNEL_ADDR, heap_len = kmalloc_heap_end() - HEAP_REST;
    s64 err = 0;

    for (u32 slot = 1; slot < SHARED_SLOTS && !err; slot++) { /* the first is with the data */
        u64 ti = (u64)thread_of_slot(slot);
        if (ti)
            err = copy_out(ti, KSTACK_SIZE, STACKS_OFFSET + (ti - THAW_KSTACK_ADDR));
    }
    err = err ? err : copy_out(HEAP_REST, heap_len, HEAP_OFFSET + HEAP_FIRST);
    if (err) {
        move_result = err;
        return;
    }
    move_result = 0;
    memory_shared = true;
    err = copy_out(data, data_len, data_offset);
    /* Past here there is no way back: a half-moved kernel cannot go on. */
    err = err ? err : map_file(THAW_KSTACK_ADDR, STACKS_SIZE, STACKS_OFFSET);
    err = err ? err : map_file(THAW_HEAP_ADDR, heap_size, HEAP_OFFSET);
    err = err ? err : map_file(data, data_len, data_offset);
    if (err)
        panic("moving the kernel's memory: error %ld", (long)-err);
}

/* The handler of HOST_SIG_PARK in the thread that asked for it. */
void share_move(void);
void share_move(void) { share_run_on(THAW_BOOT_ADDR + BOOT_STACK_END, share_copy); }

/* Every other thread keeps still when this returns, until parking->go. Threads cannot come, the lock being held, but go. */
static void threads_park(void)
{
    const struct thread_info *self = thread_info();
    u32 others;

    for (u32 slot = 0; slot < NR_SLOTS; slot++) {
        const struct thread_info *ti = thread_of_slot(slot);
        if (ti && ti != self && ti->host_tid)
            host_syscall(HOST_tgkill, (u64)host_pid, (u64)ti->host_tid, HOST_SIG_PARK, 0, 0, 0);
    }
    do {
        others = 0;
        for (u32 slot = 0; slot < NR_SLOTS; slot++) {
            const struct thread_info *ti = thread_of_slot(slot);
            others += ti && ti != self;
        }
        if (__atomic_load_n(&parking->parked, __ATOMIC_SEQ_CST) >= others)
            return;
        host_syscall(HOST_sched_yield, 0, 0, 0, 0, 0, 0);
    } while (true);
}

int machine_share(void)
{
    struct thaw_call call = {.op = THAW_CALL_PROCESSES, .arg = {(u64)notify_fd, HEAP_OFFSET}};
    static bool under_way;

    if (memory_shared)
        return 0;
    memory_settle_all();
    if (notify_fd < 0 || under_way)
        return -EAGAIN;
    under_way = true;
    s64 ret = machine_monitor_call(&call, NULL, NULL, 0);
    /* The monitor answers this call with the memory file's descriptor. */
    if (ret > 0) {
        heap_size = (u64)ret - HEAP_OFFSET;
        signals_block(~0ull); /* one would end the wait for its answer */
        ret = host_syscall(HOST_memfd_create, 0, 0, 0, 0, 0, 0);
        signals_block(0);
        ret = ret == THAW_FD_MEMORY ? 0 : ret < 0 ? ret : -EIO;
    }
    under_way = false;
    if (ret)
        return ret == -ENOMEM ? -ENOMEM : -EAGAIN;
    *parking = (struct park){.initiator = thread_info()};
    threads_park();
    host_syscall(HOST_tgkill, (u64)host_pid, (u64)thread_info()->host_tid, HOST_SIG_PARK, 0, 0, 0);
    parking->initiator = NULL;
    __atomic_store_n(&parking->go, 1, __ATOMIC_SEQ_CST);
    host_syscall(HOST_futex, (u64)&parking->go, HOST_FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
    return move_result ? -ENOMEM : 0;
}
