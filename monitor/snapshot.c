/* SPDX-License-Identifier: MIT */
/* Reads and checks snapshot files. A snapshot may be hostile: what is used of it is checked here, once. */
#define _GNU_SOURCE
#include "snapshot.h"

#include "machine.h"
#include "page_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <cpuid.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void snapshot_sum(const void *data, size_t n, uint8_t sum[16])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, n));
    memcpy(sum, c.digest, 16);
}

static bool page_aligned(uint64_t v) { return !(v & (THAW_PAGE_SIZE - 1)); }

static const char *region_in_file(const struct thaw_region *r, uint64_t file_size)
{
    return r->offset >= SNAPSHOT_PAGES_OFF && r->offset <= file_size && r->len <= file_size - r->offset
               ? NULL
               : "a region lies outside the file";
}

static const char *region_check(const struct machine *machine, const struct thaw_region *r, uint64_t file_size)
{
    bool user = false;

    if (!page_aligned(r->start) || !page_aligned(r->len) || !page_aligned(r->offset) || !r->len)
        return "a region is not made of whole pages";
    if (r->prot & ~7u)
        return "a region has a protection it may not have";
    const char *wrong = machine->region_check(r, &user);
    if (wrong)        /* a constant, not in user */
        return wrong; // cppcheck-suppress returnDanglingLifetime
    switch (r->kind) {
    case THAW_REGION_ZERO:
    case THAW_REGION_POPULATE: return NULL;
    case THAW_REGION_IMAGE: return user ? NULL : "a region of the kernel's is mapped from the image";
    case THAW_REGION_DATA: return region_in_file(r, file_size);
    case THAW_REGION_HUGE:
        return r->len != THAW_HUGE_SIZE || r->start & (THAW_HUGE_SIZE - 1) || r->prot != (PROT_READ | PROT_WRITE)
                   ? "a region cannot be a huge page"
                   : NULL;
    case THAW_REGION_COPY: return region_in_file(r, file_size);
    default: return "a region is of an unknown kind";
    }
}

const char *snapshot_table_check(const struct machine *machine, const struct thaw_region *r, uint32_t count,
                                 uint32_t hints, uint64_t file_size, uint64_t resume)
{
    uint64_t end = 0, copied = 0; /* copied: in the last huge page, of which all below is taken */
    unsigned huge = 0;

    if (!machine->resume_check(resume))
        return "the point to resume at is not in the kernel's data";
    if (hints > count || count > THAW_REGION_MAX)
        return "the table is too large";
    for (uint32_t i = 0; i < count; i++) {
        bool hint = i >= count - hints;
        const char *wrong = region_check(machine, &r[i], file_size);
        if (wrong)
            return wrong;
        if (hint != (r[i].kind == THAW_REGION_POPULATE))
            return "hints and regions are mixed";
        if (r[i].kind == THAW_REGION_HUGE && ++huge > THAW_HUGE_MAX)
            return "more regions than allowed are huge pages";
        if (r[i].kind == THAW_REGION_COPY) {
            if (r[i].start < copied || r[i].start + r[i].len > end)
                return "what is copied does not lie in a huge page, or is out of order";
            copied = r[i].start + r[i].len;
        } else if (!hint) {
            if (r[i].start < end)
                return "regions overlap or are out of order";
            end = r[i].start + r[i].len;
            copied = r[i].kind == THAW_REGION_HUGE ? r[i].start : end;
        }
    }
    return NULL;
}

/* ---- stamps ---- */

struct stamp {
    char magic[8];
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
    uint8_t checksum[16];
    uint8_t sum[16];
};
_Static_assert(sizeof(struct stamp) == 80, "on disk");

/* A file may be written twice within one tick of its time stamps: only one that has rested this long is believed. */
#define STAMP_REST_NS 100000000ull

static uint64_t timespec_ns(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

static bool stamp_fill(struct stamp *st, int fd)
{
    struct stat s;
    memset(st, 0, sizeof(*st));
    if (fstat(fd, &s))
        return false;
    memcpy(st->magic, "THAWSTMP", 8);
    st->dev = s.st_dev;
    st->ino = s.st_ino;
    st->size = (uint64_t)s.st_size;
    st->mtime_ns = timespec_ns(&s.st_mtim);
    st->ctime_ns = timespec_ns(&s.st_ctim);
    return true;
}

static bool stamp_path(char *dst, size_t size, const char *path)
{
    size_t n = strlen(path);
    if (n + 7 > size)
        return false;
    memcpy(dst, path, n);
    memcpy(dst + n, ".stamp", 7);
    return true;
}

bool stamp_valid(const char *path, int fd, uint8_t checksum[16])
{
    struct stamp now, st;
    char name[4096];
    uint8_t sum[16];

    if (!stamp_path(name, sizeof(name), path))
        return false;
    int sfd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (sfd < 0)
        return false;
    ssize_t n = read(sfd, &st, sizeof(st));
    close(sfd);
    if (n != (ssize_t)sizeof(st) || !stamp_fill(&now, fd))
        return false;
    snapshot_sum(&st, offsetof(struct stamp, sum), sum);
    if (memcmp(sum, st.sum, 16) || memcmp(&st, &now, offsetof(struct stamp, checksum)))
        return false;
    memcpy(checksum, st.checksum, 16);
    return true;
}

void stamp_write(const char *path, int fd, const uint8_t checksum[16])
{
    struct stamp st;
    struct timespec now;
    char name[4096];

    if (!stamp_fill(&st, fd) || !stamp_path(name, sizeof(name), path))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (timespec_ns(&now) < st.ctime_ns + STAMP_REST_NS)
        return;
    memcpy(st.checksum, checksum, 16);
    snapshot_sum(&st, offsetof(struct stamp, sum), st.sum);
    /* Only a cache, and a torn one fails its own sum: whatever goes wrong, the file is checked again next time. In place,
     * since a temporary name would be left behind by a monitor that is killed here. */
    int sfd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sfd < 0)
        return;
    if (write(sfd, &st, sizeof(st)) != (ssize_t)sizeof(st))
        unlink(name);
    close(sfd);
}

/* ---- open ---- */

static enum snapshot_result damaged(struct thaw_error *err, const char *path, const char *how)
{
    thaw_error_set(err, 125, 0, "snapshot %s is damaged: %s", path, how);
    return SNAPSHOT_DAMAGED;
}

static bool pread_all(int fd, void *buf, size_t n, uint64_t off)
{
    while (n) {
        ssize_t r = pread(fd, buf, n, (off_t)off);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        buf = (char *)buf + r;
        off += (uint64_t)r;
        n -= (size_t)r;
    }
    return true;
}

static enum snapshot_result pages_check(int fd, const char *path, const struct snapshot_header *h,
                                        struct thaw_error *err)
{
    const size_t chunk = 1u << 20;
    XXH3_state_t *state = XXH3_createState();
    void *buf = malloc(chunk);
    enum snapshot_result result = SNAPSHOT_OK;

    if (!state || !buf) {
        thaw_error_set(err, 125, ENOMEM, "no memory to check snapshot %s", path);
        result = SNAPSHOT_ERROR;
    } else {
        XXH3_128bits_reset(state);
        for (uint64_t off = SNAPSHOT_PAGES_OFF; off < h->file_size && result == SNAPSHOT_OK;) {
            size_t n = h->file_size - off < chunk ? (size_t)(h->file_size - off) : chunk;
            if (!pread_all(fd, buf, n, off))
                result = damaged(err, path, "its pages cannot be read");
            XXH3_128bits_update(state, buf, n);
            off += n;
        }
        XXH128_canonical_t c;
        XXH128_canonicalFromHash(&c, XXH3_128bits_digest(state));
        if (result == SNAPSHOT_OK && memcmp(c.digest, h->pages_sum, 16))
            result = damaged(err, path, "its pages do not have the checksum that the header gives");
    }
    free(buf);
    XXH3_freeState(state);
    return result;
}

enum snapshot_result snapshot_open(struct snapshot *s, const char *path, const struct snapshot_key *key, bool full,
                                   struct thaw_error *err)
{
    enum { FIRST = 8192 }; /* header and table, as a rule */
    struct snapshot_header h;
    uint8_t sum[16], stamped[16];
    struct stat st;
    enum snapshot_result result;
    char *buf = NULL;

    memset(s, 0, sizeof(*s));
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        int e = errno;
        thaw_error_set(err, 125, e, "snapshot %s: %s", path, strerror(e));
        return e == ENOENT ? SNAPSHOT_ABSENT : SNAPSHOT_ERROR;
    }
    result = SNAPSHOT_ERROR;
    if (fstat(s->fd, &st) || !S_ISREG(st.st_mode)) {
        thaw_error_set(err, 125, errno, "snapshot %s is not a regular file", path);
        goto bad;
    }
    buf = malloc(FIRST);
    if (!buf) {
        thaw_error_set(err, 125, ENOMEM, "no memory to open snapshot %s", path);
        goto bad;
    }
    bool read_already = page_cache_read(s->fd, buf, FIRST, 0);
    s->cold = !read_already && errno == EAGAIN;
    if ((uint64_t)st.st_size < SNAPSHOT_PAGES_OFF || (!read_already && !pread_all(s->fd, buf, FIRST, 0))) {
        result = damaged(err, path, "it is too short");
        goto bad;
    }
    if (s->cold) /* this much is there now, in small pages */
        page_cache_huge(s->fd, 0, FIRST);
    memcpy(&h, buf, sizeof(h));
    if (memcmp(h.magic, SNAPSHOT_MAGIC, 8)) {
        result = damaged(err, path, "it is not a snapshot");
        goto bad;
    }
    snapshot_sum(&h, offsetof(struct snapshot_header, header_sum), sum);
    if (memcmp(sum, h.header_sum, 16)) {
        result = damaged(err, path, "its header does not have its checksum");
        goto bad;
    }
    if (h.format != SNAPSHOT_FORMAT || h.header_size != sizeof(h)) {
        thaw_error_set(err, 125, 0, "snapshot %s has format %u, this thaw knows %u: make it anew", path, h.format,
                       SNAPSHOT_FORMAT);
        result = SNAPSHOT_STALE;
        goto bad;
    }
    if (key && memcmp(key, &h.key, sizeof(*key))) {
        const char *what = memcmp(key->machine, h.key.machine, 8)  ? "another machine"
                           : memcmp(key->kernel, h.key.kernel, 16) ? "another build of thaw"
                           : memcmp(key->image, h.key.image, 16)   ? "another image"
                                                                   : "another CPU or host kernel";
        thaw_error_set(err, 125, 0, "snapshot %s was made with %s: make it anew with 'thaw snapshot create'", path,
                       what);
        result = SNAPSHOT_STALE;
        goto bad;
    }
    if (h.file_size != (uint64_t)st.st_size) {
        result = damaged(err, path, "it is not as long as it was");
        goto bad;
    }
    if (h.region_count > THAW_REGION_MAX) {
        result = damaged(err, path, "the table is too large");
        goto bad;
    }
    size_t table = h.region_count * sizeof(struct thaw_region);
    size_t need = h.cpuid_count ? SNAPSHOT_PAGES_OFF : SNAPSHOT_TABLE_OFF + table;
    char *more = need > FIRST ? realloc(buf, need) : buf;
    if (!more) {
        thaw_error_set(err, 125, ENOMEM, "no memory to open snapshot %s", path);
        goto bad;
    }
    buf = more;
    if (SNAPSHOT_TABLE_OFF + table > FIRST &&
        !pread_all(s->fd, buf + FIRST, SNAPSHOT_TABLE_OFF + table - FIRST, FIRST)) {
        result = damaged(err, path, "its table cannot be read");
        goto bad;
    }
    s->regions = (const struct thaw_region *)(const void *)(buf + SNAPSHOT_TABLE_OFF);
    snapshot_sum(s->regions, table, sum);
    if (memcmp(sum, h.table_sum, 16)) {
        result = damaged(err, path, "its table does not have its checksum");
        goto bad;
    }
    const struct machine *machine = machine_find((const char *)h.key.machine);
    struct cpuid_entry *cpuid = (struct cpuid_entry *)(void *)(buf + SNAPSHOT_CPUID_OFF);
    if (h.cpuid_count > CPUID_MAX || h.reserved || (h.cpuid_count != 0) != (machine == &machine_kvm)) {
        result = damaged(err, path, "its processor has too many leaves, or none");
        goto bad;
    }
    if (h.cpuid_count && !pread_all(s->fd, cpuid, h.cpuid_count * sizeof *cpuid, SNAPSHOT_CPUID_OFF)) {
        result = damaged(err, path, "what its processor was cannot be read");
        goto bad;
    }
    if (h.cpuid_count) {
        snapshot_sum(cpuid, h.cpuid_count * sizeof *cpuid, sum);
        const char *odd = memcmp(sum, h.cpuid_sum, 16) ? "what its processor was does not have its checksum"
                                                       : cpuid_check(cpuid, h.cpuid_count);
        if (odd) {
            result = damaged(err, path, odd);
            goto bad;
        }
    }
    const char *wrong =
        !machine ? "it is of an unknown machine"
                 : snapshot_table_check(machine, s->regions, h.region_count, h.populate_count, h.file_size, h.resume);
    if (wrong) {
        result = damaged(err, path, wrong);
        goto bad;
    }
    if (full || !stamp_valid(path, s->fd, stamped) || memcmp(stamped, h.pages_sum, 16)) {
        if (s->cold)
            page_cache_huge(s->fd, 0, h.file_size);
        result = pages_check(s->fd, path, &h, err);
        if (result != SNAPSHOT_OK)
            goto bad;
        stamp_write(path, s->fd, h.pages_sum);
    }
    s->size = h.file_size;
    s->key = h.key;
    s->resume = h.resume;
    s->memory_limit = h.memory_limit;
    s->created_ns = h.created_ns;
    s->region_count = h.region_count;
    s->populate_count = h.populate_count;
    s->cpuid = cpuid;
    s->cpuid_count = h.cpuid_count;
    s->tables = buf;
    return SNAPSHOT_OK;
bad:
    free(buf);
    close(s->fd);
    s->fd = -1;
    return result;
}

void snapshot_close(struct snapshot *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    free(s->tables);
    s->tables = NULL;
    s->regions = NULL;
}

int snapshot_key_init(struct snapshot_key *key, const struct machine *machine, struct thaw_error *err)
{
    struct {
        unsigned leaf1[4], leaf7[4], xcr0[2];
        unsigned long hwcap2;
    } cpu;

    (void)err;
    memset(key, 0, sizeof(*key));
    memset(&cpu, 0, sizeof(cpu));
    memcpy(key->kernel, machine->build_id, sizeof(key->kernel));
    memcpy(key->machine, machine->name, sizeof(key->machine));
    /* Two leaves are enough, and each costs ten microseconds under a hypervisor: family, model and features; more
     * features. Not which of the processors this is (leaf 1, EBX). The parts of the XSAVE area can be read without. */
    __cpuid(1, cpu.leaf1[0], cpu.leaf1[1], cpu.leaf1[2], cpu.leaf1[3]);
    cpu.leaf1[1] = 0;
    __cpuid_count(7, 0, cpu.leaf7[0], cpu.leaf7[1], cpu.leaf7[2], cpu.leaf7[3]);
    if (cpu.leaf1[2] & bit_OSXSAVE)
        __asm__ volatile("xgetbv" : "=a"(cpu.xcr0[0]), "=d"(cpu.xcr0[1]) : "c"(0));
    cpu.hwcap2 = getauxval(AT_HWCAP2);
    snapshot_sum(&cpu, sizeof(cpu), key->cpu);
    return 0;
}
