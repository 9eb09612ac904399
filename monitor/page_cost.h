/* SPDX-License-Identifier: MIT */
/*
 * What pages of memory cost on this host. A virtual machine whose hypervisor fills its page tables on each first touch
 * pays many times as much for a small page as bare metal does, and for a huge one hardly more.
 */
#ifndef MONITOR_PAGE_COST_H
#define MONITOR_PAGE_COST_H

#include <stdbool.h>
#include <stdint.h>

/* Who touches a page of a file gets the rest of such an aligned block that is in the page cache along with it: Linux's
 * fault_around_bytes, unless somebody has changed it. */
#define PAGE_READ_BLOCK (64u << 10)

/* Nanoseconds, with what it costs to give each back. */
struct page_cost {
    uint32_t small; /* a page of a private mapping of a file, brought in by one call with others, and written to */
    uint32_t read;  /* PAGE_READ_BLOCK of such a mapping, read from */
    uint32_t table; /* a page table for them */
    uint32_t huge;  /* a huge page, touched; UINT32_MAX: there are none */
    uint32_t copy;  /* reading a small page's worth of a file into it */
};

/*
 * From some milliseconds of trying with fd's size bytes from offset (page-aligned), which are in the page cache. False: it
 * cannot be found out, because there is too little of it, say.
 */
bool page_cost_measure(struct page_cost *cost, int fd, uint64_t offset, uint64_t size);

#endif
