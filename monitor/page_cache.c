/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "page_cache.h"

#include "sandbox.h"
#include "thaw_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

#define HUGE ((uint64_t)THAW_HUGE_SIZE)
/* Of each file. A start that uses more than that is long enough not to be held up for it. */
#define PREPARE_MAX (64u << 20)

bool page_cache_read(int fd, void *buf, size_t n, uint64_t off)
{
    struct iovec v = {buf, n};
    long got = syscall(SYS_preadv2, fd, &v, 1, off, 0, RWF_NOWAIT);

    if (got >= 0 && got < (long)n)
        errno = EAGAIN;
    return got == (long)n;
}

void page_cache_huge(int fd, uint64_t off, uint64_t len)
{
    const uint64_t start = off & ~(HUGE - 1), size = ((off + len + HUGE - 1) & ~(HUGE - 1)) - start;

    if (posix_fadvise(fd, (off_t)start, (off_t)size, POSIX_FADV_DONTNEED))
        return;
    char *room = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return;
    char *at = (char *)(((uintptr_t)room + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
    if (mmap(at, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, (off_t)start) != MAP_FAILED &&
        !madvise(at, size, MADV_HUGEPAGE))
        madvise(at, size, MADV_POPULATE_READ); /* as far as the file goes */
    munmap(room, size + HUGE);
}

/* ---- a start ---- */

struct prepare {
    int fd;
    uint64_t done; /* bytes so far */
    bool begun;
};

/* To look has the host begin to read there, in small pages: these have to have come before they can go. */
static bool is_cold(int fd, uint64_t off)
{
    char c = 0;

    return !page_cache_read(fd, &c, 1, off) && errno == EAGAIN && pread(fd, &c, 1, (off_t)off) == 1;
}

/* No reading ahead of what is looked at: it would come in small pages as well, which then count as being there. A mapping
 * that asks for huge pages has them read all the same. */
static void prepare_begin(struct prepare *p)
{
    posix_fadvise(p->fd, 0, 0, POSIX_FADV_RANDOM);
    p->begun = true;
}

static void prepare_end(const struct prepare *p)
{
    if (p->begun)
        posix_fadvise(p->fd, 0, 0, POSIX_FADV_NORMAL);
}

/* Each piece at once: to look at another can have the host read ahead here, around the small page. */
static void prepare_add(struct prepare *p, uint64_t off, uint64_t len)
{
    if (len > PREPARE_MAX)
        len = PREPARE_MAX;
    for (uint64_t at = off & ~(HUGE - 1); at < off + len && p->done < PREPARE_MAX; at += HUGE) {
        if (!is_cold(p->fd, at < off ? off : at))
            continue;
        page_cache_huge(p->fd, at, HUGE);
        p->done += HUGE;
    }
}

/* What the hints say of regions of a kind. Hints are in order of address, those that are written to before those that
 * are read; so are the regions. first: only if the first of it is not there. */
static void prepare_hints(struct prepare *p, const struct snapshot *s, uint32_t kind, bool first)
{
    const struct thaw_region *end = s->regions + s->region_count, *hint = end - s->populate_count, *r = s->regions;
    uint64_t before = 0;

    for (; hint < end; before = hint->start, hint++) {
        if (hint->start < before) /* those that are only read to begin */
            r = s->regions;
        while (r < end - s->populate_count && (r->start + r->len <= hint->start || r->kind == THAW_REGION_COPY))
            r++;
        if (r == end - s->populate_count || r->start > hint->start || r->kind != kind)
            continue;
        uint64_t off = r->offset + (hint->start - r->start);
        if (first) {
            if (!is_cold(p->fd, off)) /* then the rest is there too, as a rule */
                return;
            prepare_begin(p);
            page_cache_huge(p->fd, off, 1);
            first = false;
        }
        prepare_add(p, off, hint->len);
    }
}

void page_cache_prepare(const struct snapshot *s, int image_fd)
{
    struct prepare file = {.fd = s->fd}, image = {.fd = image_fd};

    if (s->cold) {
        prepare_begin(&file);
        for (uint32_t i = 0; i < s->region_count; i++)
            if (s->regions[i].kind == THAW_REGION_COPY)
                prepare_add(&file, s->regions[i].offset, s->regions[i].len);
        prepare_hints(&file, s, THAW_REGION_DATA, false);
        prepare_end(&file);
    }
    if (image_fd >= 0) {
        prepare_hints(&image, s, THAW_REGION_IMAGE, true);
        prepare_end(&image);
    }
}
