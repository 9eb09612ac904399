/* SPDX-License-Identifier: MIT */
/*
 * Makes a snapshot of a sandbox that waits in its snapshot call: the kernel has listed its
 * memory in the boot area, the contents are read through /proc/PID/mem. The file is complete, synced and checked by a
 * training run, which shows what a restored start writes to, before it gets its name.
 */
#define _GNU_SOURCE
#include "machine.h"
#include "page_cost.h"
#include "request.h"
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The file is written in aligned pieces of this: file systems that can keep such in large pages, which are cheaper to map
 * and to read, go by the size of a write. */
#define PIECE (4u << 20)
/* Where so many blocks are only read, and so many of 512 pages saved in any case, all lie as in a huge page of the file. */
#define WHOLE_WORTH 4u
#define WHOLE_SAVED 384u
#define WHOLE_MAX 64u
#define OFFSET_LATER 1u /* of a region whose memory is not written yet */
/* A gap of zero pages shorter than this stays in the file (as a hole): one mapping is cheaper than two. */
#define ZERO_GAP 16u
/* Pages of the training run with no more others between them become one hint. Each page written to is a copy. */
#define HOT_GAP 0u
#define HOT_READ_GAP 4u
#define TRAINING_SECONDS 20
/* A huge page is worth its copy if what it saves would cost more (page_cost.h), which takes HUGE_LEAST pages written at the
 * least; where costs are not known, from HUGE_WORTH on. Each is memory of the sandbox's own, so there are few and they have
 * to pay, unless somebody has said what the sandboxes are to be good at. */
#define HUGE_LEAST 16u
#define HUGE_WORTH 32u
#define HUGE_WORTH_GIVEN 16u
#define HUGE_COUNT 2u
#define HUGE_COUNT_GIVEN THAW_HUGE_MAX

struct take {
    int fd;
    const struct machine *machine;
    int mem;       /* /proc/PID/mem */
    uint64_t bias; /* from a region's address to the one there */
    struct thaw_region in[THAW_REGION_MAX], out[THAW_REGION_MAX];
    uint32_t in_count, out_count;
    uint64_t off; /* end of the file so far, with what is in piece */
    size_t piece_len;
    uint8_t *piece;               /* PIECE bytes: the end of the file that is not written yet */
    uint64_t resume;              /* read once: the kernel could change it */
    uint64_t huge[THAW_HUGE_MAX]; /* addresses of what is to be huge pages, ascending */
    uint32_t huge_count;
    uint64_t whole[WHOLE_MAX]; /* of what is saved as the whole of a huge page, ascending */
    uint32_t whole_count;
    struct thaw_region hint[THAW_REGION_MAX];
    uint32_t hint_count;
    XXH3_state_t *sum;
    uint8_t *buf;
    struct snapshot_header header;
};

struct trained {
    struct take *take;
    bool done;
    uint64_t bias; /* as that of struct take, of the training run's process */
    uint32_t huge_max, huge_worth;
    uint64_t at; /* the huge page that is being counted, and its pages written */
    uint32_t pages;
    struct {
        uint64_t at;
        uint32_t pages;
    } best[THAW_HUGE_MAX]; /* those with the most, of those that can be huge pages; pages 0: none */
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Memory of the same kind that begins where the other ends. */
static bool region_adjoins(const struct thaw_region *last, const struct thaw_region *r)
{
    return last->kind == r->kind && last->prot == r->prot && last->start + last->len == r->start;
}

/* What the kernel told apart and a mapping does not. */
static bool region_continues(const struct thaw_region *last, const struct thaw_region *r)
{
    return region_adjoins(last, r) && r->kind <= THAW_REGION_DATA &&
           (r->kind == THAW_REGION_ZERO || last->offset + last->len == r->offset);
}

static int take_add(struct take *t, struct thaw_region r)
{
    struct thaw_region *last = t->out_count ? &t->out[t->out_count - 1] : NULL;

    if (last && region_continues(last, &r)) {
        last->len += r.len;
        return 0;
    }
    if (t->out_count >= THAW_REGION_MAX)
        return -E2BIG;
    t->out[t->out_count++] = r;
    return 0;
}

static bool is_zero(const uint8_t *p)
{
    const uint64_t *w = (const uint64_t *)(const void *)p;
    for (size_t i = 0; i < THAW_PAGE_SIZE / 8; i++)
        if (w[i])
            return false;
    return true;
}

static int take_flush(struct take *t)
{
    const uint8_t *p = t->piece;

    while (t->piece_len) {
        ssize_t w = pwrite(t->fd, p, t->piece_len, (off_t)(t->off - t->piece_len));
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return w < 0 ? -errno : -EIO;
        p += w;
        t->piece_len -= (size_t)w;
    }
    return 0;
}

static int take_write(struct take *t, const uint8_t *p, size_t n)
{
    XXH3_128bits_update(t->sum, p, n);
    while (n) {
        size_t room = PIECE - t->off % PIECE, k = n < room ? n : room;
        memcpy(t->piece + t->piece_len, p, k);
        t->piece_len += k;
        t->off += k;
        p += k;
        n -= k;
        int err = k == room ? take_flush(t) : 0;
        if (err)
            return err;
    }
    return 0;
}

static int take_read(struct take *t, uint64_t addr, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = pread(t->mem, t->buf + done, n - done, (off_t)(addr + t->bias + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -EIO;
        done += (size_t)r;
    }
    return 0;
}

/* Pages of one kind that follow each other, of which the last, zeros in number, are zero and not written yet. */
struct run {
    struct thaw_region r;
    uint64_t zeros;
};

static int run_end(struct take *t, struct run *run)
{
    struct thaw_region r = run->r, tail = r;
    int err = 0;

    if (r.kind == THAW_REGION_DATA) {
        r.len -= run->zeros * THAW_PAGE_SIZE;
        tail = (struct thaw_region){r.start + r.len, run->zeros * THAW_PAGE_SIZE, 0, r.prot, THAW_REGION_ZERO};
        err = r.len ? take_add(t, r) : 0;
    }
    *run = (struct run){0};
    return err || !tail.len ? err : take_add(t, tail);
}

static int take_zeros(struct take *t, uint64_t pages)
{
    static const uint8_t zero[THAW_PAGE_SIZE];
    int err = 0;

    for (; pages && !err; pages--)
        err = take_write(t, zero, sizeof(zero));
    return err;
}

/* Splits a region into runs that are zero and runs that are saved. */
static int take_data(struct take *t, const struct thaw_region *r)
{
    struct run run = {0};
    int err = 0;

    for (uint64_t done = 0, n; done < r->len && !err; done += n) {
        n = r->len - done < THAW_HUGE_SIZE ? r->len - done : THAW_HUGE_SIZE;
        err = take_read(t, r->start + done, n);
        for (size_t i = 0; i < n && !err; i += THAW_PAGE_SIZE) {
            uint64_t addr = r->start + done + i;
            if (is_zero(t->buf + i)) {
                if (!run.r.len)
                    run.r = (struct thaw_region){addr, 0, 0, r->prot, THAW_REGION_ZERO};
                run.r.len += THAW_PAGE_SIZE;
                run.zeros += run.r.kind == THAW_REGION_DATA;
                continue;
            }
            if (run.r.kind == THAW_REGION_ZERO || run.zeros >= ZERO_GAP)
                err = run_end(t, &run);
            if (!run.r.len)
                run.r = (struct thaw_region){addr, 0, t->off, r->prot, THAW_REGION_DATA};
            err = err ? err : take_zeros(t, run.zeros);
            run.zeros = 0;
            run.r.len += THAW_PAGE_SIZE;
            err = err ? err : take_write(t, t->buf + i, THAW_PAGE_SIZE);
        }
    }
    return err || !run.r.len ? err : run_end(t, &run);
}

/* The part of r that lies in [from, to). */
static struct thaw_region region_cut(struct thaw_region r, uint64_t from, uint64_t to)
{
    uint64_t start = r.start > from ? r.start : from, end = r.start + r.len < to ? r.start + r.len : to;

    if (r.kind == THAW_REGION_IMAGE)
        r.offset += start - r.start;
    r.start = start;
    r.len = end > start ? end - start : 0;
    return r;
}

static int take_region(struct take *t, const struct thaw_region *r)
{
    if (!r->len)
        return 0;
    return r->kind == THAW_REGION_DATA ? take_data(t, r) : take_add(t, *r);
}

static int take_huge(struct take *t, uint64_t start)
{
    struct thaw_region r = {start, THAW_HUGE_SIZE, 0, PROT_READ | PROT_WRITE, THAW_REGION_HUGE}, copy = {0};
    int err = take_add(t, r);

    err = err ? err : take_read(t, start, THAW_HUGE_SIZE);
    for (size_t i = 0; i < THAW_HUGE_SIZE && !err; i += THAW_PAGE_SIZE) {
        if (is_zero(t->buf + i))
            continue;
        if (copy.len && copy.start + copy.len != start + i) {
            err = take_add(t, copy);
            copy.len = 0;
        }
        if (!copy.len)
            copy = (struct thaw_region){start + i, 0, t->off, r.prot, THAW_REGION_COPY};
        copy.len += THAW_PAGE_SIZE;
        err = err ? err : take_write(t, t->buf + i, THAW_PAGE_SIZE);
    }
    return err || !copy.len ? err : take_add(t, copy);
}

/* The first of count ascending places of huge pages that does not end before addr, or UINT64_MAX. */
static uint64_t place_from(const uint64_t *place, uint32_t count, uint64_t addr)
{
    for (uint32_t i = 0; i < count; i++)
        if (place[i] + THAW_HUGE_SIZE > addr)
            return place[i];
    return UINT64_MAX;
}

/* The memory of whole places lies behind all the rest, in the file too at multiples of a huge page. */
static int take_whole(struct take *t)
{
    uint32_t n = 0;
    int err = 0;

    for (uint32_t i = 0; i < t->out_count && !err; i++) {
        struct thaw_region r = t->out[i], *last = n ? &t->out[n - 1] : NULL;
        if (r.kind == THAW_REGION_DATA && r.offset == OFFSET_LATER) {
            err = take_zeros(t, (THAW_HUGE_SIZE - t->off % THAW_HUGE_SIZE) % THAW_HUGE_SIZE / THAW_PAGE_SIZE);
            r.offset = t->off;
            err = err ? err : take_read(t, r.start, THAW_HUGE_SIZE);
            err = err ? err : take_write(t, t->buf, THAW_HUGE_SIZE);
        }
        if (last && region_continues(last, &r))
            last->len += r.len;
        else
            t->out[n++] = r;
    }
    t->out_count = n;
    return err;
}

static int take_pages(struct take *t)
{
    uint64_t taken = 0; /* up to here by the last place of a huge page */
    int err = 0;

    t->off = SNAPSHOT_PAGES_OFF;
    t->piece_len = 0;
    t->out_count = 0;
    XXH3_128bits_reset(t->sum);
    if (ftruncate(t->fd, SNAPSHOT_PAGES_OFF))
        return -errno;
    for (uint32_t i = 0; i < t->in_count; i++) {
        uint64_t end = t->in[i].start + t->in[i].len;
        for (uint64_t at = t->in[i].start > taken ? t->in[i].start : taken; at < end;) {
            uint64_t huge = place_from(t->huge, t->huge_count, at), whole = place_from(t->whole, t->whole_count, at);
            uint64_t place = huge < whole ? huge : whole;
            struct thaw_region before = region_cut(t->in[i], at, place);
            err = take_region(t, &before);
            if (!err && place < end) {
                struct thaw_region r = {place, THAW_HUGE_SIZE, OFFSET_LATER, t->in[i].prot, THAW_REGION_DATA};
                err = place == huge ? take_huge(t, huge) : take_add(t, r);
                taken = place + THAW_HUGE_SIZE;
            }
            if (err)
                return err;
            at = place < end ? taken : end;
        }
    }
    err = take_whole(t);
    return err ? err : take_flush(t);
}

static int take_finish(struct take *t, const struct sandbox *sb)
{
    struct snapshot_header *h = &t->header;
    XXH128_canonical_t c;

    memset(h, 0, sizeof(*h));
    memcpy(h->magic, SNAPSHOT_MAGIC, 8);
    h->format = SNAPSHOT_FORMAT;
    h->header_size = sizeof(*h);
    h->key = *sb->config->key;
    h->file_size = t->off;
    h->resume = t->resume;
    h->memory_limit = sb->config->memory_limit;
    h->created_ns = now_ns(CLOCK_REALTIME);
    /* The table is the regions, then the hints. */
    if (t->hint_count > THAW_REGION_MAX - t->out_count)
        t->hint_count = THAW_REGION_MAX - t->out_count;
    memcpy(t->out + t->out_count, t->hint, t->hint_count * sizeof(t->hint[0]));
    uint32_t count = t->out_count + t->hint_count;
    h->region_count = count;
    h->populate_count = t->hint_count;
    snapshot_sum(t->out, count * sizeof(t->out[0]), h->table_sum);
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(t->sum));
    memcpy(h->pages_sum, c.digest, 16);
    const struct cpuid *cpuid = sb->config->cpuid;
    size_t leaves = cpuid ? cpuid->count * sizeof cpuid->entry[0] : 0;
    if (cpuid) {
        h->cpuid_count = cpuid->count;
        snapshot_sum(cpuid->entry, leaves, h->cpuid_sum);
    }
    snapshot_sum(h, offsetof(struct snapshot_header, header_sum), h->header_sum);
    size_t n = count * sizeof(t->out[0]);
    if (cpuid && pwrite(t->fd, cpuid->entry, leaves, SNAPSHOT_CPUID_OFF) != (ssize_t)leaves)
        return errno ? -errno : -EIO;
    if (pwrite(t->fd, t->out, n, SNAPSHOT_TABLE_OFF) != (ssize_t)n ||
        pwrite(t->fd, h, sizeof(*h), 0) != (ssize_t)sizeof(*h))
        return errno ? -errno : -EIO;
    return 0;
}

/* ---- the training run ---- */

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FILE (1ull << 61) /* still the file's: read, not written */

/* Whether [start, start + THAW_HUGE_SIZE) is memory without a hole that is read and written. */
static bool can_be_huge(const struct take *t, uint64_t start)
{
    uint64_t at = start;

    for (uint32_t i = 0; i < t->in_count && at < start + THAW_HUGE_SIZE; i++) {
        const struct thaw_region *r = &t->in[i];
        if (r->start + r->len <= at)
            continue;
        if (r->start > at || r->kind != THAW_REGION_DATA || r->prot != (PROT_READ | PROT_WRITE))
            return false;
        at = r->start + r->len;
    }
    return at >= start + THAW_HUGE_SIZE;
}

static void trained_count(struct trained *t, uint64_t addr)
{
    uint64_t at = addr & ~(uint64_t)(THAW_HUGE_SIZE - 1);

    t->pages = at == t->at ? t->pages + 1 : 1;
    t->at = at;
    if (t->pages < HUGE_LEAST)
        return;
    uint32_t least = 0;
    for (uint32_t i = 0; i < t->huge_max; i++) {
        if (t->best[i].pages && t->best[i].at == at) {
            t->best[i].pages = t->pages;
            return;
        }
        least = t->best[i].pages < t->best[least].pages ? i : least;
    }
    if (t->pages > t->best[least].pages && can_be_huge(t->take, at)) {
        t->best[least].at = at;
        t->best[least].pages = t->pages;
    }
}

static void hint_add(struct take *t, const struct thaw_region *hot)
{
    if (hot->len && t->hint_count < THAW_REGION_MAX)
        t->hint[t->hint_count++] = *hot;
}

static bool hint_writes(const struct take *t, uint64_t addr)
{
    for (uint32_t i = 0; i < t->hint_count; i++)
        if (t->hint[i].prot & PROT_WRITE && addr - t->hint[i].start < t->hint[i].len)
            return true;
    return false;
}

static bool hint_writes_any(const struct take *t, uint64_t place)
{
    for (uint32_t i = 0; i < t->hint_count; i++)
        if (t->hint[i].prot & PROT_WRITE && region_cut(t->hint[i], place, place + THAW_HUGE_SIZE).len)
            return true;
    return false;
}

/*
 * Of pages that are read one of each block that is not written to, with which the others come. A stretch so long that the
 * host may have it in huge pages stays whole.
 */
static void hint_add_run(struct take *t, const struct thaw_region *hot)
{
    uint64_t end = hot->start + hot->len, next;

    if (hot->prot & PROT_WRITE || hot->len >= THAW_HUGE_SIZE) {
        hint_add(t, hot);
        return;
    }
    for (uint64_t at = hot->start; at < end; at = next) {
        next = (at / PAGE_READ_BLOCK + 1) * PAGE_READ_BLOCK;
        next = next < end ? next : end;
        while (at < next && hint_writes(t, at))
            at += THAW_PAGE_SIZE;
        if (at < next)
            hint_add(t, &(struct thaw_region){at, THAW_PAGE_SIZE, 0, PROT_READ, THAW_REGION_POPULATE});
    }
}

/*
 * Hints for the pages of r that the run wrote to, or (write false) that it has mapped at all: see proc(5), pagemap.
 * Counts pages written by huge page, and keeps the best.
 */
static void trained_region(struct take *t, int pagemap, const struct thaw_region r, bool write, struct trained *trained)
{
    const uint64_t gap = (write ? HOT_GAP : HOT_READ_GAP) * (uint64_t)THAW_PAGE_SIZE;
    struct thaw_region hot = {0};
    uint64_t entry[512];

    for (uint64_t done = 0; done < r.len;) {
        size_t n = (r.len - done) / THAW_PAGE_SIZE;
        n = n < 512 ? n : 512;
        ssize_t got = pread(pagemap, entry, n * 8, (off_t)((r.start + trained->bias + done) / THAW_PAGE_SIZE * 8));
        if (got != (ssize_t)(n * 8))
            break;
        for (size_t k = 0; k < n; k++) {
            uint64_t addr = r.start + done + k * THAW_PAGE_SIZE;
            if (!(entry[k] & PAGEMAP_PRESENT) || (write && entry[k] & PAGEMAP_FILE))
                continue;
            if (write)
                trained_count(trained, addr);
            if (hot.len && addr - (hot.start + hot.len) <= gap) {
                hot.len = addr + THAW_PAGE_SIZE - hot.start;
                continue;
            }
            hint_add_run(t, &hot);
            hot = (struct thaw_region){addr, THAW_PAGE_SIZE, 0, write ? PROT_READ | PROT_WRITE : PROT_READ,
                                       THAW_REGION_POPULATE};
        }
        done += n * THAW_PAGE_SIZE;
    }
    hint_add_run(t, &hot);
}

/* Pages of [start, start + THAW_HUGE_SIZE) that a restore would copy. */
static uint32_t huge_copied(const struct take *t, uint64_t start)
{
    uint32_t pages = 0;

    for (uint32_t i = 0; i < t->out_count; i++)
        if (t->out[i].kind == THAW_REGION_DATA)
            pages += (uint32_t)(region_cut(t->out[i], start, start + THAW_HUGE_SIZE).len / THAW_PAGE_SIZE);
    return pages;
}

/* Whether what the huge page at start saves, pages written in it among that, is as many eighths of its price at least. */
static bool huge_pays(const struct take *t, const struct page_cost *cost, uint64_t start, uint64_t pages,
                      uint64_t eighths)
{
    uint64_t saved = cost->table + pages * cost->small;
    uint64_t price = cost->huge + (uint64_t)huge_copied(t, start) * cost->copy;

    for (uint32_t i = 0; i < t->hint_count; i++)
        if (!(t->hint[i].prot & PROT_WRITE) && t->hint[i].start - start < THAW_HUGE_SIZE)
            saved += cost->read;
    return saved * 8 >= price * eighths;
}

/*
 * The trained huge pages that pay, in order of address. Where the training program is a guess they have to by an eighth;
 * where it is the user's they may cost twice what they save in it, since other runs of its kind will write to more.
 */
static void huge_choose(struct take *t, const struct trained *trained)
{
    struct page_cost cost;
    /* The memory of a virtual machine of ours is mapped by KVM besides, which is not measured here. */
    bool known = t->machine == &machine_process &&
                 page_cost_measure(&cost, t->fd, SNAPSHOT_PAGES_OFF, t->off - SNAPSHOT_PAGES_OFF);
    uint64_t eighths = trained->huge_worth == HUGE_WORTH ? 9 : 4;

    for (uint32_t i = 0; i < trained->huge_max; i++) {
        uint64_t at = trained->best[i].at, pages = trained->best[i].pages;
        if (pages < (known ? HUGE_LEAST : trained->huge_worth))
            continue;
        if (known && !huge_pays(t, &cost, at, pages, eighths))
            continue;
        uint32_t n = t->huge_count++;
        for (; n && t->huge[n - 1] > at; n--)
            t->huge[n] = t->huge[n - 1];
        t->huge[n] = at;
    }
}

/* Whether so many of the pages in buf are saved in any case that all may be. */
static bool is_dense(const uint8_t *buf)
{
    uint32_t saved = 0;

    for (size_t i = 0; i < THAW_HUGE_SIZE; i += THAW_PAGE_SIZE)
        saved += !is_zero(buf + i);
    return saved >= WHOLE_SAVED;
}

/* Whether all of it is saved, and of one region. */
static bool can_be_whole(const struct take *t, uint64_t at)
{
    for (uint32_t i = 0; i < t->in_count; i++)
        if (t->in[i].kind == THAW_REGION_DATA && region_cut(t->in[i], at, at + THAW_HUGE_SIZE).len == THAW_HUGE_SIZE)
            return true;
    return false;
}

static int whole_try(struct take *t, uint64_t at)
{
    if (t->whole_count == WHOLE_MAX || (t->whole_count && t->whole[t->whole_count - 1] >= at) || !can_be_whole(t, at) ||
        hint_writes_any(t, at) || place_from(t->huge, t->huge_count, at) == at)
        return 0;
    int err = take_read(t, at, THAW_HUGE_SIZE);
    if (!err && is_dense(t->buf))
        t->whole[t->whole_count++] = at;
    return err;
}

/*
 * Memory that the run has read in many places and written to in none. What lies in the file as it does in memory, in a huge
 * page, needs no page table and one fault if the host's page cache has it so.
 */
static int whole_choose(struct take *t)
{
    uint64_t at = 0;
    uint32_t blocks = 0;
    int err = 0;

    for (uint32_t i = 0; i < t->hint_count && !err; i++) {
        const struct thaw_region *h = &t->hint[i];
        uint64_t place = h->start & ~(uint64_t)(THAW_HUGE_SIZE - 1), end = h->start + h->len;
        if (h->prot & PROT_WRITE)
            continue;
        if (h->len < THAW_HUGE_SIZE) {
            blocks = place == at ? blocks + 1 : 1;
            at = place;
            err = blocks == WHOLE_WORTH ? whole_try(t, at) : 0;
            continue;
        }
        for (place += place < h->start ? THAW_HUGE_SIZE : 0; !err && place + THAW_HUGE_SIZE <= end;
             place += THAW_HUGE_SIZE)
            err = whole_try(t, place);
    }
    return err;
}

/* What is in the huge page needs no hint. */
static void hints_cut(struct take *t, uint64_t huge)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->hint_count; i++) {
        struct thaw_region before = region_cut(t->hint[i], 0, huge);
        struct thaw_region after = region_cut(t->hint[i], huge + THAW_HUGE_SIZE, UINT64_MAX);
        /* One that crosses the whole of it cannot be: the gap between two pages of a hint is shorter. */
        if (before.len || after.len)
            t->hint[n++] = before.len ? before : after;
    }
    t->hint_count = n;
}

int64_t snapshot_trained(struct sandbox *sb, const struct thaw_call *call)
{
    struct take *t = sb->trained ? sb->trained->take : NULL;
    char name[64];

    (void)call;
    if (sb->trained)
        sb->trained->bias = sb->memory_bias;
    if (!t || sb->trained->done)
        return -EPERM;
    snprintf(name, sizeof(name), "/proc/%d/pagemap", (int)sb->pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* Those of one kind together: the host takes many in one call. */
    for (uint32_t i = 0; i < t->out_count; i++)
        if (t->out[i].prot & PROT_WRITE)
            trained_region(t, fd, t->out[i], true, sb->trained);
    for (uint32_t i = 0; i < t->out_count; i++)
        if (t->out[i].prot & PROT_READ && t->out[i].kind != THAW_REGION_ZERO)
            trained_region(t, fd, t->out[i], false, sb->trained);
    close(fd);
    sb->trained->done = true;
    return 0;
}

static int take_train(struct take *t, const struct sandbox *parent, struct thaw_error *err)
{
    /* As short as programs are: every start touches what it touches. To bring in what only some touch would cost the
     * others more than the faults cost these. */
    static const char hello[] = "print('hello')\n";
    static const char *const argv[] = {"python3", "/train/train.py", NULL};
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8",
                                      "THAW_SNAPSHOT=1", NULL};
    static const struct request_mount mount = {"/train/train.py", THAW_SHARE_RDONLY};
    struct request_source source = {
        .argv = argv, .defaults = env, .cwd = "/train", .umask = 022, .mounts = &mount, .mount_count = 1};
    struct snapshot snap = {.fd = t->fd,
                            .size = t->off,
                            .resume = t->header.resume,
                            .memory_limit = t->header.memory_limit,
                            .regions = t->out,
                            .region_count = t->out_count};
    struct sandbox_config config = *parent->config;
    const char *program = config.training ? config.training : hello;
    struct trained trained = {.take = t,
                              .huge_max = config.training ? HUGE_COUNT_GIVEN : HUGE_COUNT,
                              .huge_worth = config.training ? HUGE_WORTH_GIVEN : HUGE_WORTH};
    struct sandbox sb;
    int status;
    char path[64];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int script = memfd_create("train.py", MFD_CLOEXEC);
    struct share_set *shares = share_set_create();
    struct thaw_request *python = config.exec ? NULL : request_build(&source, err);
    const struct thaw_request *request = config.exec ? config.request : python;
    int ret = -1;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", script);
    if (null < 0 || script < 0 || !shares || write(script, program, strlen(program)) != (ssize_t)strlen(program)) {
        thaw_error_set(err, 125, errno, "cannot prepare the training run: %s", strerror(errno));
        goto out;
    }
    if (!request || (!config.exec && share_add(shares, path, true, err) < 0))
        goto out;
    config.stdio[0] = config.stdio[1] = config.stdio[2] = null;
    config.request = request;
    config.shares = shares;
    config.preload_share = config.exec ? -1 : 0;
    config.preload_path = "";
    config.restore = &snap;
    config.snapshot_to = NULL;
    config.strace = false;
    config.train = true;
    ret = machine_start(&sb, &config, err);
    if (!ret) {
        sb.trained = &trained;
        uint64_t end = now_ns(CLOCK_MONOTONIC) + TRAINING_SECONDS * 1000000000ull;
        struct pollfd p[2] = {{sb.control, POLLIN, 0}, {sb.pidfd, POLLIN, 0}};
        while (now_ns(CLOCK_MONOTONIC) < end && poll(p, 2, 1000) >= 0) {
            if (p[0].revents && control_serve(&sb, err))
                break;
            if (p[1].revents)
                break;
        }
        struct thaw_exit ex = sb.boot->exit;
        ex.text[sizeof(ex.text) - 1] = 0;
        machine_stop(&sb, &status);
        if (ex.kind == THAW_EXIT_PANIC || ex.kind == THAW_EXIT_NONE)
            ret = thaw_error_set(err, 125, 0, "the snapshot does not run: %s",
                                 ex.text[0] ? ex.text : "it ended by itself");
        else if (config.training && (!trained.done || ex.kind != THAW_EXIT_CODE || ex.code))
            ret = thaw_error_set(err, 125, 0, "the training program %s",
                                 trained.done ? "failed" : "was not done in 20 seconds");
        huge_choose(t, &trained);
    }
out:
    free(python);
    if (shares)
        share_set_free(shares);
    if (script >= 0)
        close(script);
    if (null >= 0)
        close(null);
    return ret;
}

/* ---- files ---- */

/* A file without a name where the file system has that, so that a killed monitor leaves nothing. */
static int take_create(const char *path, char *tmp, size_t size)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');

    tmp[0] = 0;
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(dir[0] ? dir : "/", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    snprintf(tmp, size, "%s.XXXXXX", path);
    return mkostemp(tmp, O_CLOEXEC);
}

static int take_publish(struct take *t, const char *path, char *tmp, size_t size)
{
    char self[64], dir[4096];
    const char *slash = strrchr(path, '/');

    if (fchmod(t->fd, 0400) || fsync(t->fd))
        return -errno;
    if (!tmp[0]) {
        snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
        if (!linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
            goto synced;
        if (errno != EEXIST)
            return -errno;
        snprintf(tmp, size, "%s.%d.tmp", path, (int)getpid());
        unlink(tmp);
        if (linkat(AT_FDCWD, self, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW))
            return -errno;
    }
    if (rename(tmp, path))
        return -errno;
synced:
    tmp[0] = 0;
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int dfd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dfd >= 0) {
        fsync(dfd);
        close(dfd);
    }
    return 0;
}

/* The kernel's list is untrusted: it must make a table that snapshot_open() will take. */
static const char *take_check_list(struct take *t, uint64_t resume)
{
    for (uint32_t i = 0; i < t->in_count; i++) {
        struct thaw_region *r = &t->in[i];
        if (r->kind == THAW_REGION_POPULATE || r->kind == 0 || r->kind > THAW_REGION_POPULATE)
            return "a region is of an unknown kind";
        if (r->kind == THAW_REGION_DATA)
            r->offset = SNAPSHOT_PAGES_OFF;
    }
    /* In order and without overlap, so that what is read is not more than there is. */
    return snapshot_table_check(t->machine, t->in, t->in_count, 0, UINT64_MAX, resume);
}

/* Adjoining memory that is saved is one, wherever the kernel has it from. */
static void take_join(struct take *t)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->in_count; i++) {
        const struct thaw_region r = t->in[i];
        struct thaw_region *last = n ? &t->in[n - 1] : NULL;
        if (last && r.kind == THAW_REGION_DATA && region_adjoins(last, &r))
            last->len += r.len;
        else
            t->in[n++] = r;
    }
    t->in_count = n;
}

int64_t snapshot_take(struct sandbox *sb, const struct thaw_call *call, struct thaw_error *err)
{
    const char *path = sb->config->snapshot_to;
    char tmp[4096] = "", mem[64];
    uint64_t began = now_ns(CLOCK_MONOTONIC);
    int64_t ret = -ENOMEM;
    const char *wrong;

    if (!path || sb->snapshot_made || !sb->config->key)
        return -EPERM;
    struct take *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->fd = t->mem = -1;
    t->machine = sb->config->machine;
    t->bias = sb->memory_bias;
    t->off = SNAPSHOT_PAGES_OFF;
    t->buf = malloc(THAW_HUGE_SIZE);
    t->piece = malloc(PIECE);
    t->sum = XXH3_createState();
    if (!t->buf || !t->piece || !t->sum)
        goto out;
    XXH3_128bits_reset(t->sum);
    ret = -EINVAL;
    if (call->arg[0] > THAW_REGION_MAX)
        goto out;
    t->in_count = (uint32_t)call->arg[0];
    memcpy(t->in, (const char *)sb->boot + sb->region_off, t->in_count * sizeof(t->in[0]));
    t->resume = sb->boot->resume;
    wrong = take_check_list(t, t->resume);
    if (wrong) {
        thaw_error_set(err, 125, 0, "no snapshot: %s", wrong);
        goto out;
    }
    take_join(t);

    snprintf(mem, sizeof(mem), "/proc/%d/mem", (int)sb->pid);
    t->mem = open(mem, O_RDONLY | O_CLOEXEC);
    t->fd = t->mem < 0 ? -1 : take_create(path, tmp, sizeof(tmp));
    ret = t->fd < 0 ? -errno : take_pages(t);
    ret = ret ? ret : take_finish(t, sb);
    if (ret)
        goto out;
    wrong = snapshot_table_check(t->machine, t->out, t->out_count, 0, t->off, t->header.resume);
    if (wrong) {
        thaw_error_set(err, 125, 0, "no snapshot: %s", wrong);
        ret = -EINVAL;
        goto out;
    }
    if (take_train(t, sb, err)) {
        ret = -EIO;
        goto out;
    }
    ret = whole_choose(t);
    for (uint32_t i = 0; i < t->huge_count; i++)
        hints_cut(t, t->huge[i]);
    if (!ret && (t->huge_count || t->whole_count))
        ret = take_pages(t);
    ret = ret ? ret : take_finish(t, sb);
    ret = ret ? ret : take_publish(t, path, tmp, sizeof(tmp));
    sb->snapshot_made = ret == 0;
out:
    if (ret && !err->text[0])
        thaw_error_set(err, 125, (int)-ret, "no snapshot was made at %s: %s", path, strerror((int)-ret));
    if (tmp[0])
        unlink(tmp);
    if (t->fd >= 0)
        close(t->fd);
    if (t->mem >= 0)
        close(t->mem);
    XXH3_freeState(t->sum);
    free(t->buf);
    free(t->piece);
    free(t);
    sb->snapshot_us = (now_ns(CLOCK_MONOTONIC) - began) / 1000;
    return ret;
}
