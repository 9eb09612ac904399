/* SPDX-License-Identifier: MIT */
/* What has a file's pages brought in, in the page cache: whatever it does, the file reads the same, and it ends. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "page_cache.h"
#include "sandbox.h"
#include "thaw_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE ((uint64_t)THAW_HUGE_SIZE)
#define PIECES 5
#define SIZE (PIECES * HUGE + 12345)

static int fd = -1;

static unsigned char expected(uint64_t off) { return (unsigned char)(off / 251 + off % 7); }

static int setup(void **state)
{
    char name[] = "page_cache.XXXXXX"; /* where the tests are built, which is on a disk as a rule */
    unsigned char *buf = malloc(SIZE);

    (void)state;
    fd = mkstemp(name);
    if (fd < 0 || !buf || unlink(name))
        return -1;
    for (uint64_t i = 0; i < SIZE; i++)
        buf[i] = expected(i);
    ssize_t n = write(fd, buf, SIZE);
    free(buf);
    return n == (ssize_t)SIZE && !fsync(fd) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return close(fd);
}

/* Of all pages, without a look that would have the kernel read any. */
static size_t resident(void)
{
    static unsigned char pages[SIZE / 4096 + 1];
    void *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    size_t n = 0;

    assert_true(p != MAP_FAILED && !mincore(p, SIZE, pages));
    for (size_t i = 0; i < sizeof pages; i++)
        n += pages[i] & 1;
    munmap(p, SIZE);
    return n;
}

/* The kernel keeps what it has just read, or has on its lists, for a moment. */
static bool drop(void)
{
    char c;

    for (int i = 0; i < 100; i++) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        if (!resident() && !page_cache_read(fd, &c, 1, SIZE - 1) && errno == EAGAIN)
            return true;
        usleep(10000);
    }
    return false;
}

static void drop_or_skip(void)
{
    if (!drop())
        skip(); /* memory, as tmpfs is, or a file system that cannot tell */
}

static bool is_there(uint64_t off)
{
    unsigned char c;

    return page_cache_read(fd, &c, 1, off) && c == expected(off);
}

static void check_all(void)
{
    unsigned char buf[4096];

    for (uint64_t off = 0; off < SIZE; off += sizeof buf) {
        ssize_t n = pread(fd, buf, sizeof buf, (off_t)off);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(buf[i], expected(off + (uint64_t)i));
    }
}

static void test_read(void **state)
{
    unsigned char buf[64];

    (void)state;
    check_all();
    if (!page_cache_read(fd, buf, 1, 0))
        skip(); /* it cannot be told */
    assert_true(is_there(0) && is_there(SIZE - 1));
    errno = 0;
    assert_false(page_cache_read(fd, buf, sizeof buf, SIZE - 1)); /* not all of it */
    assert_int_equal(errno, EAGAIN);
    assert_false(page_cache_read(fd, buf, 1, SIZE));
    assert_false(page_cache_read(-1, buf, 1, 0));
}

static void test_huge(void **state)
{
    (void)state;
    drop_or_skip();
    page_cache_huge(fd, 2 * HUGE + 4096, 4096); /* the whole of the third piece */
    assert_true(is_there(2 * HUGE) && is_there(3 * HUGE - 1));
    page_cache_huge(fd, 0, SIZE);
    for (uint64_t off = 0; off < SIZE; off += HUGE / 2)
        assert_true(is_there(off));
    assert_true(is_there(SIZE - 1));
    check_all();
    page_cache_huge(fd, SIZE + HUGE, 1 << 20); /* behind its end */
    page_cache_huge(fd, UINT64_MAX - HUGE, HUGE);
    page_cache_huge(-1, 0, HUGE);
    check_all();
}

/* Read while somebody has it mapped. */
static void test_mapped(void **state)
{
    (void)state;
    const unsigned char *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(p != MAP_FAILED);
    for (uint64_t off = 0; off < SIZE; off += 4096)
        assert_int_equal(p[off], expected(off));
    page_cache_huge(fd, 0, SIZE);
    for (uint64_t off = 0; off < SIZE; off += 1021)
        assert_int_equal(p[off], expected(off));
    munmap((void *)(uintptr_t)p, SIZE);
}

#define USER 0x400000u

static void test_prepare(void **state)
{
    const uint32_t rw = PROT_READ | PROT_WRITE;
    const struct thaw_region regions[] = {
        {.start = USER, .len = HUGE, .kind = THAW_REGION_IMAGE, .prot = PROT_READ, .offset = HUGE},
        {.start = USER + HUGE, .len = HUGE, .kind = THAW_REGION_HUGE, .prot = rw},
        {.start = USER + HUGE, .len = 8192, .kind = THAW_REGION_COPY, .prot = rw, .offset = 0},
        {.start = USER + 2 * HUGE, .len = 2 * HUGE, .kind = THAW_REGION_DATA, .prot = rw, .offset = 3 * HUGE},
        {.start = USER + 3 * HUGE + 4096, .len = 4096, .kind = THAW_REGION_POPULATE, .prot = rw},
        {.start = USER + 8192, .len = 4096, .kind = THAW_REGION_POPULATE, .prot = PROT_READ},
    };
    struct snapshot s = {.fd = fd, .cold = true, .regions = regions, .region_count = 6, .populate_count = 2};

    (void)state;
    /* A disk that answers at once can make what was not there look as if it were. */
    bool copied = false, read = false;
    for (int i = 0; i < 20 && !copied; i++) {
        drop_or_skip();
        page_cache_prepare(&s, -1);
        copied = is_there(HUGE - 1) && is_there(4 * HUGE) && is_there(5 * HUGE - 1); /* and the data's second half */
    }
    assert_true(copied);
    check_all();
    s.cold = false; /* then only the image is looked at; here the same file */
    for (int i = 0; i < 20 && !read; i++) {
        drop_or_skip();
        page_cache_prepare(&s, fd);
        read = is_there(HUGE) && is_there(2 * HUGE - 1);
    }
    assert_true(read);
    check_all();
}

/* Tables that pass the check of a snapshot and yet make no sense. */
static void test_prepare_nonsense(void **state)
{
    struct thaw_region regions[] = {
        {.start = USER,
         .len = 1ull << 45,
         .kind = THAW_REGION_IMAGE,
         .prot = PROT_READ,
         .offset = UINT64_MAX & ~4095ull},
        {.start = 1ull << 46, .len = 1ull << 45, .kind = THAW_REGION_DATA, .prot = PROT_READ, .offset = 1ull << 50},
        {.start = 0x10000, .len = 1ull << 46, .kind = THAW_REGION_POPULATE, .prot = PROT_WRITE},
        {.start = USER, .len = 1ull << 46, .kind = THAW_REGION_POPULATE, .prot = PROT_WRITE},
        {.start = USER + 4096, .len = 1ull << 46, .kind = THAW_REGION_POPULATE, .prot = PROT_READ},
        {.start = 3ull << 45, .len = 4096, .kind = THAW_REGION_POPULATE, .prot = PROT_READ},
    };
    struct snapshot s = {.fd = fd, .cold = true, .regions = regions, .region_count = 6, .populate_count = 4};

    (void)state;
    for (uint64_t offset = 0; offset < 4; offset++) {
        page_cache_prepare(&s, fd);
        regions[0].offset = offset << 40;
        regions[1].offset = offset << 20;
        drop();
    }
    s.populate_count = 0;
    page_cache_prepare(&s, fd);
    s.region_count = 0;
    page_cache_prepare(&s, fd);
    check_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_prepare_nonsense),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
