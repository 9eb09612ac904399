/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "page_cost.h"

#include "thaw_abi.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define CACHE_LINE 64u
#define PAGES 64u
#define SIZE (PAGES * THAW_PAGE_SIZE)
/* The least of some: the first time a virtual machine uses memory its host has to find it, which takes milliseconds. */
#define TRIES 8

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Between two starts other programs run: what is used again is not in the processor's caches any more. */
static void cache_flush(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i += CACHE_LINE)
        __builtin_ia32_clflush(p + i);
    __builtin_ia32_mfence();
}

static uint32_t least(uint32_t a, uint64_t ns) { return ns < a ? (uint32_t)ns : a; }

/* Each is given back again, which costs a start at its end. */
static bool try_huge(struct page_cost *cost, char *page, int fd, uint64_t offset)
{
    uint64_t began = now_ns(), touched, copied;

    *(volatile char *)page = 1;
    touched = now_ns();
    ssize_t n = pread(fd, page, SIZE, (off_t)offset);
    copied = now_ns();
    cache_flush(page, THAW_HUGE_SIZE);
    uint64_t flushed = now_ns();
    madvise(page, THAW_HUGE_SIZE, MADV_DONTNEED);
    cost->huge = least(cost->huge, now_ns() - flushed + touched - began);
    cost->copy = least(cost->copy, (copied - touched) / PAGES);
    return n == SIZE;
}

/* Nanoseconds that the file's first pages cost at a place with no page table yet: all of size written to, or one in each
 * PAGE_READ_BLOCK read, brought in as a restore does. UINT32_MAX: no memory. */
static uint32_t try_small(char *place, int fd, uint64_t offset, size_t size, bool write)
{
    const size_t step = write ? THAW_PAGE_SIZE : PAGE_READ_BLOCK;
    char *p = mmap(place, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)offset);

    if (p == MAP_FAILED)
        return UINT32_MAX;
    uint64_t began = now_ns();
    if (write)
        madvise(p, size, MADV_POPULATE_WRITE);
    for (size_t i = 0; i < size; i += step) {
        if (write) {
            ((volatile char *)p)[i] = 1;
        } else {
            madvise(p + i, THAW_PAGE_SIZE, MADV_POPULATE_READ);
            (void)((volatile char *)p)[i];
        }
    }
    uint64_t touched = now_ns();
    if (write)
        cache_flush(p, size);
    uint64_t flushed = now_ns();
    /* All of it, so that the table goes as well. */
    if (mmap(place, THAW_HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return UINT32_MAX;
    return least(UINT32_MAX - 1, now_ns() - flushed + touched - began);
}

static uint32_t minus(uint32_t a, uint32_t b) { return a > b ? a - b : 0; }

bool page_cost_measure(struct page_cost *cost, int fd, uint64_t offset, uint64_t size)
{
    const size_t room_size = 3 * (size_t)THAW_HUGE_SIZE;
    uint32_t one = UINT32_MAX, all = UINT32_MAX, read = UINT32_MAX;
    bool ok = true;

    *cost = (struct page_cost){.huge = UINT32_MAX, .copy = UINT32_MAX};
    if (size < SIZE)
        return false;
    char *room = mmap(NULL, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *file = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, (off_t)offset);
    char *page = (char *)(((uintptr_t)room + THAW_HUGE_SIZE - 1) & ~(uintptr_t)(THAW_HUGE_SIZE - 1));
    char *place = page + THAW_HUGE_SIZE;
    if (room == MAP_FAILED || file == MAP_FAILED || mprotect(page, THAW_HUGE_SIZE, PROT_READ | PROT_WRITE)) {
        ok = false;
    } else {
        madvise(page, THAW_HUGE_SIZE, MADV_HUGEPAGE);
        for (int i = 0; ok && i < TRIES; i++) {
            cache_flush(file, SIZE);
            ok = try_huge(cost, page, fd, offset);
            cache_flush(file, SIZE);
            one = least(one, try_small(place, fd, offset, THAW_PAGE_SIZE, true));
            cache_flush(file, SIZE);
            all = least(all, try_small(place, fd, offset, SIZE, true));
            read = least(read, try_small(place, fd, offset, SIZE, false));
        }
        ok = ok && one < UINT32_MAX && all < UINT32_MAX && read < UINT32_MAX;
    }
    cost->small = minus(all, one) / (PAGES - 1);
    cost->table = minus(one, cost->small);
    cost->read = minus(read, cost->table) / (SIZE / PAGE_READ_BLOCK);
    /* Clearing 512 of them is not done in the time of a few. */
    if (cost->huge / 8 < cost->small)
        cost->huge = UINT32_MAX;
    if (room != MAP_FAILED)
        munmap(room, room_size);
    if (file != MAP_FAILED)
        munmap(file, SIZE);
    return ok;
}
