/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "page_cost.h"

#include "thaw_abi.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
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

static bool try_huge(struct page_cost *cost, char *page, int fd, uint64_t offset)
{
    uint64_t began = now_ns(), touched, ended;

    *(volatile char *)page = 1;
    touched = now_ns();
    ssize_t n = pread(fd, page, SIZE, (off_t)offset);
    ended = now_ns();
    cache_flush(page, THAW_HUGE_SIZE);
    madvise(page, THAW_HUGE_SIZE, MADV_DONTNEED);
    cost->huge = least(cost->huge, touched - began);
    cost->copy = least(cost->copy, (ended - touched) / PAGES);
    return n == SIZE;
}

static bool try_small(struct page_cost *cost, int fd, uint64_t offset)
{
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, (off_t)offset);

    if (p == MAP_FAILED)
        return false;
    uint64_t began = now_ns();
    madvise(p, SIZE, MADV_POPULATE_WRITE);
    for (unsigned i = 0; i < PAGES; i++)
        ((volatile char *)p)[i * THAW_PAGE_SIZE] = 1;
    cost->small = least(cost->small, (now_ns() - began) / PAGES);
    cache_flush(p, SIZE);
    munmap(p, SIZE);
    return true;
}

bool page_cost_measure(struct page_cost *cost, int fd, uint64_t offset, uint64_t size)
{
    const size_t room_size = 2 * (size_t)THAW_HUGE_SIZE;
    bool ok = true;

    *cost = (struct page_cost){UINT32_MAX, UINT32_MAX, UINT32_MAX};
    if (size < SIZE)
        return false;
    char *room = mmap(NULL, room_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *file = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, (off_t)offset);
    char *page = (char *)(((uintptr_t)room + THAW_HUGE_SIZE - 1) & ~(uintptr_t)(THAW_HUGE_SIZE - 1));
    if (room == MAP_FAILED || file == MAP_FAILED) {
        ok = false;
    } else {
        madvise(page, THAW_HUGE_SIZE, MADV_HUGEPAGE);
        for (int i = 0; ok && i < TRIES; i++) {
            cache_flush(file, SIZE);
            ok = try_huge(cost, page, fd, offset);
            cache_flush(file, SIZE);
            ok = ok && try_small(cost, fd, offset);
        }
    }
    /* Clearing 512 of them is not done in the time of a few. */
    if (cost->huge / 8 < cost->small)
        cost->huge = UINT32_MAX;
    if (room != MAP_FAILED)
        munmap(room, room_size);
    if (file != MAP_FAILED)
        munmap(file, SIZE);
    return ok;
}
