/* SPDX-License-Identifier: MIT */
/*
 * Changes a snapshot and makes its checksums right again, as an attacker would who may write snapshots.
 *
 *   snapshot_resign FILE key             the key of another build
 *   snapshot_resign FILE none            changes nothing
 *   snapshot_resign FILE header SEED     random changes in the header
 *   snapshot_resign FILE table SEED      random changes in the table
 *   snapshot_resign FILE pages SEED      random changes in the pages
 *   snapshot_resign FILE cpuid LEAF INDEX REGISTER BIT   turns a feature of the processor round; REGISTER: eax to edx
 *   snapshot_resign FILE leaves SEED     random changes in the processor's leaves
 *   snapshot_resign FILE hostile N       one of the hand-made ones; exit status 2 behind the last
 */
#define _GNU_SOURCE
#include "snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t state;

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void sum(const void *data, size_t n, uint8_t out[16])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, n));
    memcpy(out, c.digest, 16);
}

static const uint64_t numbers[] = {0,
                                   1,
                                   0xfff,
                                   0x1000,
                                   0x10000,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   THAW_USER_END,
                                   THAW_BOOT_ADDR,
                                   THAW_KERNEL_ADDR,
                                   THAW_KERNEL_END,
                                   THAW_HEAP_ADDR,
                                   THAW_HEAP_END,
                                   THAW_IMAGE_ADDR,
                                   0x7ffffffff000,
                                   0xffff800000000000,
                                   0xfffffffffffff000,
                                   UINT64_MAX};

static uint64_t odd_number(uint64_t old)
{
    uint64_t n = numbers[next() % (sizeof numbers / sizeof *numbers)];

    switch (next() % 5) {
    case 0: return n;
    case 1: return old + n;
    case 2: return old ^ 1ull << next() % 64;
    case 3: return old + ((next() % 64) - 32) * 4096;
    default: return next();
    }
}

static void table_random(struct thaw_region *r, uint32_t count)
{
    if (!count)
        return;
    for (uint64_t n = 1 + next() % 4; n; n--) {
        struct thaw_region *x = &r[next() % count];
        switch (next() % 7) {
        case 0: x->start = odd_number(x->start); break;
        case 1: x->len = odd_number(x->len); break;
        case 2: x->offset = odd_number(x->offset); break;
        case 3: x->prot = (uint32_t)next() % 9; break;
        case 4: x->kind = (uint32_t)next() % 7; break;
        case 5: *x = r[next() % count]; break;
        default: x->start = r[next() % count].start; break;
        }
    }
}

static int hostile(struct snapshot_header *h, struct thaw_region *r, unsigned n)
{
    uint32_t count = h->region_count;
    struct thaw_region *first = r;

    switch (n) {
    case 0:
        h->region_count = 0;
        h->populate_count = 0;
        break;
    case 1: h->region_count = THAW_REGION_MAX + 1; break;
    case 2: h->region_count = UINT32_MAX; break;
    case 3: h->populate_count = UINT32_MAX; break;
    case 4: h->populate_count = count; break;
    case 5: h->populate_count = 0; break;
    case 6: h->resume = 0; break;
    case 7: h->resume = THAW_KERNEL_ADDR; break;
    case 8: h->resume = THAW_KERNEL_END - 8; break;
    case 9: h->resume += 8; break;
    case 10: h->resume = UINT64_MAX; break;
    case 11: h->memory_limit = 0; break;
    case 12: h->memory_limit = UINT64_MAX; break;
    case 13: h->file_size = 0; break;
    case 14: h->file_size = UINT64_MAX; break;
    case 15: h->header_size = 0; break;
    case 16: h->format = 99; break;
    case 17: first->start = 0; break;
    case 18:
        first->start = THAW_KERNEL_ADDR;
        first->len = 4096;
        first->prot = 7;
        break; /* its text */
    case 19: first->start = THAW_BOOT_ADDR; break;
    case 20:
        first->start = THAW_USER_END - 4096;
        first->len = 1ull << 40;
        break;
    case 21: first->len = UINT64_MAX & ~4095ull; break;
    case 22: first->len = 0; break;
    case 23:
        first->kind = THAW_REGION_IMAGE;
        first->offset = UINT64_MAX & ~4095ull;
        break;
    case 24:
        first->kind = THAW_REGION_DATA;
        first->offset = 0;
        break;
    case 25:
        first->kind = THAW_REGION_DATA;
        first->offset = h->file_size & ~4095ull;
        break;
    case 26: first->prot = 0xffffffff; break;
    case 27:
        for (uint32_t i = 0; i < count; i++)
            r[i].prot = 0;
        break;
    case 28:
        for (uint32_t i = 0; i < count; i++)
            r[i].kind = THAW_REGION_ZERO;
        h->populate_count = 0;
        break;
    case 29:
        for (uint32_t i = 0; i < count; i++)
            if (r[i].kind == THAW_REGION_IMAGE)
                r[i].offset = 1ull << 40;
        break;
    case 30:
        for (uint32_t i = 0; i < count; i++)
            if (r[i].kind == THAW_REGION_POPULATE) {
                r[i].start = 0x10000;
                r[i].len = 1ull << 46;
            }
        break;
    case 31:
        for (uint32_t i = 0; i < count; i++)
            if (r[i].kind == THAW_REGION_DATA)
                r[i].offset = SNAPSHOT_PAGES_OFF;
        break;
    case 32: h->created_ns = UINT64_MAX; break;
    case 33:
        for (uint32_t i = count - h->populate_count; i < THAW_REGION_MAX; i++)
            r[i] = (struct thaw_region){0x10000, 4096, 0, 3, THAW_REGION_POPULATE};
        h->populate_count += THAW_REGION_MAX - count;
        h->region_count = THAW_REGION_MAX;
        break;
    case 34:
    case 35:
    case 36:
        for (uint32_t i = 0; i < count; i++) {
            if (r[i].kind != THAW_REGION_COPY)
                continue;
            if (n == 34)
                r[i].start -= THAW_HUGE_SIZE;
            else if (n == 35)
                r[i].len = THAW_HUGE_SIZE;
            else
                r[i].offset = h->file_size & ~4095ull;
        }
        break;
    default: return -1;
    }
    return 0;
}

static uint32_t *cpuid_register(struct cpuid_entry *e, const char *name)
{
    return name[1] == 'a' ? &e->eax : name[1] == 'b' ? &e->ebx : name[1] == 'c' ? &e->ecx : &e->edx;
}

static int cpuid_turn(const struct snapshot_header *h, struct cpuid_entry *e, char **words)
{
    for (uint32_t i = 0; i < h->cpuid_count && i < CPUID_MAX; i++, e++)
        if (e->function == strtoul(words[0], NULL, 0) && e->index == strtoul(words[1], NULL, 0)) {
            *cpuid_register(e, words[2]) ^= 1u << strtoul(words[3], NULL, 0);
            return 0;
        }
    fprintf(stderr, "snapshot_resign: no such leaf\n");
    return 1;
}

static void cpuid_random(struct snapshot_header *h, struct cpuid_entry *e)
{
    static const char *const names[] = {"eax", "ebx", "ecx", "edx"};

    for (uint64_t n = 1 + next() % 4; n && h->cpuid_count && h->cpuid_count <= CPUID_MAX; n--) {
        struct cpuid_entry *x = &e[next() % h->cpuid_count];
        switch (next() % 6) {
        case 0: x->function = (uint32_t)odd_number(x->function); break;
        case 1: x->index = (uint32_t)odd_number(x->index); break;
        case 2: x->flags = (uint32_t)next() % 8; break;
        case 3: *x = e[next() % h->cpuid_count]; break;
        case 4: h->cpuid_count = (uint32_t)odd_number(h->cpuid_count); break;
        default: *cpuid_register(x, names[next() % 4]) ^= 1u << next() % 32;
        }
    }
}

int main(int argc, char **argv)
{
    struct stat st;
    const char *what = argc > 2 ? argv[2] : "";
    int fd = argc > 2 ? open(argv[1], O_RDWR) : -1;

    if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size < SNAPSHOT_PAGES_OFF) {
        fprintf(stderr, "usage: snapshot_resign FILE none|key|header SEED|table SEED|pages SEED|cpuid LEAF INDEX "
                        "REGISTER BIT|leaves SEED|hostile N\n");
        return 1;
    }
    uint8_t *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return 1;
    struct snapshot_header *h = (void *)p;
    struct thaw_region *r = (void *)(p + SNAPSHOT_TABLE_OFF);
    struct cpuid_entry *leaves = (void *)(p + SNAPSHOT_CPUID_OFF);
    state = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;

    if (!strcmp(what, "key")) {
        h->key.kernel[3] ^= 1;
    } else if (!strcmp(what, "header")) {
        uint64_t *w = (void *)p;
        for (uint64_t n = 1 + next() % 3; n; n--) {
            uint64_t i = next() % (offsetof(struct snapshot_header, table_sum) / 8);
            w[i] = odd_number(w[i]);
        }
    } else if (!strcmp(what, "table")) {
        table_random(r, h->region_count);
    } else if (!strcmp(what, "pages")) {
        uint64_t words = ((uint64_t)st.st_size - SNAPSHOT_PAGES_OFF) / 8, *w = (void *)(p + SNAPSHOT_PAGES_OFF);
        for (uint64_t n = 1 + next() % 64; n; n--) {
            uint64_t i = next() % words;
            w[i] = odd_number(w[i]);
        }
    } else if (!strcmp(what, "cpuid") && argc > 6) {
        if (cpuid_turn(h, leaves, argv + 3))
            return 1;
    } else if (!strcmp(what, "leaves")) {
        cpuid_random(h, leaves);
    } else if (!strcmp(what, "hostile")) {
        if (hostile(h, r, (unsigned)state))
            return 2;
    }
    if (h->region_count <= THAW_REGION_MAX)
        sum(r, h->region_count * sizeof *r, h->table_sum);
    if (h->cpuid_count <= CPUID_MAX)
        sum(leaves, h->cpuid_count * sizeof *leaves, h->cpuid_sum);
    sum(p + SNAPSHOT_PAGES_OFF, (size_t)st.st_size - SNAPSHOT_PAGES_OFF, h->pages_sum);
    sum(h, offsetof(struct snapshot_header, header_sum), h->header_sum);
    return 0;
}
