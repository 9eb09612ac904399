/* SPDX-License-Identifier: MIT */
/* What pages cost: figures that can be, from a file that is there; none from one that is too small or cannot be read. */
#define _GNU_SOURCE
#include "page_cost.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (1u << 20)

static int file_with(size_t size)
{
    static char bytes[SIZE];
    int fd = memfd_create("page-cost", MFD_CLOEXEC);

    assert_true(fd >= 0);
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    return fd;
}

static void test_figures(void **state)
{
    struct page_cost cost;
    int fd = file_with(SIZE);

    (void)state;
    assert_true(page_cost_measure(&cost, fd, 0, SIZE));
    /* A copy of 4 KiB takes some nanoseconds, a page more than that, and a huge page is not had for the price of a few. */
    assert_in_range(cost.copy, 10, 1000000);
    assert_in_range(cost.small, cost.copy / 2, 10000000);
    assert_true(cost.huge / 8 >= cost.small);
    /* What could be measured as less than nothing is nothing. */
    assert_in_range(cost.read, 0, 10000000);
    assert_in_range(cost.table, 0, 10000000);
    close(fd);
}

static void test_too_small(void **state)
{
    struct page_cost cost;
    int fd = file_with(4096);

    (void)state;
    assert_false(page_cost_measure(&cost, fd, 0, 4096));
    close(fd);
}

static void test_not_readable(void **state)
{
    struct page_cost cost;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_false(page_cost_measure(&cost, fd, 0, SIZE));
    close(fd);
    assert_false(page_cost_measure(&cost, -1, 0, SIZE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_too_small),
        cmocka_unit_test(test_not_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
