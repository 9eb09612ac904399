/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the loader of snapshots. The input is a byte of flags, a header, regions of 32 bytes, the
 * processor's leaves of 28 bytes, and pages; it is laid out
 * as a file, and its sums are made right unless a flag says otherwise: a fuzzer would never come past them.
 */
#define _GNU_SOURCE
#include "snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAW 1 /* the input is the file */
#define WRONG_HEADER_SUM 2
#define WRONG_TABLE_SUM 4
#define WRONG_PAGES_SUM 8
#define KEEP_COUNTS 16 /* the header's own file_size and region_count */
#define TOO_SHORT 32

static char path[32];
static int fd = -1;

static void put(const void *data, size_t size, uint64_t at)
{
    if (pwrite(fd, data, size, (off_t)at) != (ssize_t)size)
        abort();
}

static void lay_out(unsigned flags, const uint8_t *data, size_t size)
{
    struct snapshot_header h = {0};
    size_t n = size < sizeof h ? size : sizeof h, table, leaves, pages;
    uint8_t *bytes;

    memcpy(&h, data, n);
    data += n;
    size -= n;
    table = size / sizeof(struct thaw_region);
    if (h.region_count < table)
        table = h.region_count;
    table = table > THAW_REGION_MAX ? 0 : table * sizeof(struct thaw_region);
    leaves = (size - table) / sizeof(struct cpuid_entry);
    leaves = h.cpuid_count < leaves ? h.cpuid_count : leaves;
    leaves = (leaves > CPUID_MAX ? 0 : leaves) * sizeof(struct cpuid_entry);
    pages = size - table - leaves;
    memcpy(h.magic, SNAPSHOT_MAGIC, sizeof h.magic);
    h.header_size = sizeof h;
    if (!(flags & KEEP_COUNTS)) {
        h.format = SNAPSHOT_FORMAT;
        h.region_count = (uint32_t)(table / sizeof(struct thaw_region));
        h.file_size = SNAPSHOT_PAGES_OFF + pages;
        h.cpuid_count = (uint32_t)(leaves / sizeof(struct cpuid_entry));
        h.reserved = 0;
    }
    bytes = malloc(size + 1); /* the pages' end is the end of what may be read */
    if (!bytes)
        abort();
    memcpy(bytes, data, size);
    if (!(flags & WRONG_TABLE_SUM))
        snapshot_sum(bytes, table, h.table_sum);
    snapshot_sum(bytes + table, leaves, h.cpuid_sum);
    if (!(flags & WRONG_PAGES_SUM))
        snapshot_sum(bytes + table + leaves, pages, h.pages_sum);
    if (!(flags & WRONG_HEADER_SUM))
        snapshot_sum(&h, offsetof(struct snapshot_header, header_sum), h.header_sum);
    put(&h, sizeof h, 0);
    put(bytes, table, SNAPSHOT_TABLE_OFF);
    put(bytes + table, leaves, SNAPSHOT_CPUID_OFF);
    put(bytes + table + leaves, pages, SNAPSHOT_PAGES_OFF);
    free(bytes);
    if (ftruncate(fd, flags & TOO_SHORT ? (off_t)(SNAPSHOT_PAGES_OFF / 2) : (off_t)(SNAPSHOT_PAGES_OFF + pages)) < 0)
        abort();
}

/* What a machine relies on, whichever it is. */
static void check(const struct snapshot *s)
{
    if (s->cpuid_count > CPUID_MAX || (s->cpuid_count && cpuid_check(s->cpuid, s->cpuid_count)))
        abort();
    if (s->region_count > THAW_REGION_MAX || s->populate_count > s->region_count)
        abort();
    const struct thaw_region *huge = NULL, *copy = NULL, *last = NULL;
    for (uint32_t i = 0; i < s->region_count; i++) {
        const struct thaw_region *r = &s->regions[i];
        uint64_t end;

        if (r->len == 0 || r->len % THAW_PAGE_SIZE || r->start % THAW_PAGE_SIZE || r->offset % THAW_PAGE_SIZE ||
            __builtin_add_overflow(r->start, r->len, &end) || end > THAW_WINDOW_END || r->prot > 7)
            abort();
        if ((r->kind == THAW_REGION_POPULATE) != (i >= s->region_count - s->populate_count))
            abort();
        if ((r->kind == THAW_REGION_DATA || r->kind == THAW_REGION_COPY) &&
            (r->offset < SNAPSHOT_PAGES_OFF || r->offset > s->size || r->len > s->size - r->offset))
            abort();
        if (r->kind == THAW_REGION_COPY) {
            if (!huge || r->start < huge->start || end > huge->start + huge->len ||
                (copy && r->start < copy->start + copy->len))
                abort();
            copy = r;
            continue;
        }
        if (r->kind != THAW_REGION_POPULATE && last && r->start < last->start + last->len)
            abort();
        last = r->kind == THAW_REGION_POPULATE ? last : r;
        huge = r->kind == THAW_REGION_HUGE ? r : NULL;
        copy = NULL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct thaw_error err = {0};
    struct snapshot s;
    enum snapshot_result r;

    if (size < 1)
        return -1;
    if (fd < 0) {
        fd = memfd_create("snapshot", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) < 0)
        abort();
    if (data[0] & RAW)
        put(data + 1, size - 1, 0);
    else
        lay_out(data[0], data + 1, size - 1);
    r = snapshot_open(&s, path, NULL, true, &err);
    if (r == SNAPSHOT_OK) {
        check(&s);
        snapshot_close(&s);
    } else if (!err.text[0] || strchr(err.text, '\n')) {
        abort(); /* what is wrong is said in one line */
    }
    return 0;
}
