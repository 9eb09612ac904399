/* SPDX-License-Identifier: MIT */
/* The kernel's heap: what it hands out is zero, aligned, disjoint and packed; what comes back is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#undef PROT_NONE
#undef PROT_READ
#undef PROT_WRITE
#undef PROT_EXEC
#undef min
#undef max
#include "../../kernel/core/lib/kmalloc.c"

static char first[HEAP_FIRST] __attribute__((aligned(4096)));
const u64 machine_heap_first = (u64)first;

static u64 grown; /* bytes */
static u64 grow_limit = 512ull << 20;
static jmp_buf panicked;

int machine_heap_grow(u64 addr, u64 len)
{
    assert_true(len && len % (1u << 20) == 0);
    if (!grown) {
        assert_true(addr == machine_heap_first && len == HEAP_FIRST);
        grown = len;
        return 0;
    }
    assert_true(addr == THAW_HEAP_ADDR + grown); /* always right behind what is there */
    if (grown + len > grow_limit)
        return -ENOMEM;
    void *p = mmap((void *)addr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_true(p == (void *)addr);
    grown += len;
    return 0;
}

void panic(const char *fmt, ...) { longjmp(panicked, 1); }

static bool is_zero(const void *p, size_t n)
{
    const u8 *b = p;
    return !n || (!b[0] && !memcmp(b, b + 1, n - 1));
}

static void blocks_are_zero_and_aligned(void **state)
{
    for (size_t n = 0; n < 70000; n += n < 300 ? 1 : 777) {
        size_t before = kmalloc_in_use();
        u8 *p = kmalloc(n);
        assert_non_null(p);
        assert_true((u64)p % 16 == 0);
        assert_true(n < PAGE_SIZE || (u64)p % PAGE_SIZE == 0);
        assert_true(is_zero(p, n));
        assert_true(kmalloc_in_use() >= before + n);
        memset(p, 0xff, n);
        kfree(p);
        assert_int_equal(kmalloc_in_use(), before);
        p = kmalloc(n); /* most likely the same memory */
        assert_true(is_zero(p, n));
        kfree(p);
    }
    kfree(NULL);
}

/* A thousand small objects touch no more pages than their bytes need. */
static void small_objects_are_packed(void **state)
{
    enum { N = 1024 };
    static char *p[N];
    static u8 seen[4096];
    unsigned pages = 0;

    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < N; i++) {
        p[i] = kmalloc(64);
        u64 pfn = pfn_of(p[i]);
        assert_true(pfn < sizeof(seen));
        pages += !seen[pfn];
        seen[pfn] = 1;
    }
    assert_true(pages <= N * 64 / PAGE_SIZE + 1);
    for (int i = 0; i < N; i++)
        kfree(p[i]);
}

static void free_runs_join_and_the_lowest_is_used_first(void **state)
{
    char *a = page_alloc(3), *b = page_alloc(2), *c = page_alloc(4), *fence = page_alloc(1);

    assert_true(a < b && b < c && c < fence);
    page_free(a, 3);
    page_free(c, 4);
    page_free(b, 2);
    char *d = page_alloc(9); /* only fits where the three have become one */
    assert_ptr_equal(d, a);
    memset(d, 1, 9 * PAGE_SIZE);
    page_free(d, 9);
    d = page_alloc(1);
    assert_ptr_equal(d, a);
    assert_true(is_zero(d, PAGE_SIZE));
    char *e = page_alloc(8);
    assert_ptr_equal(e, a + PAGE_SIZE);
    page_free(e, 8);
    page_free(d, 1);
    page_free(fence, 1);
}

static void runs_larger_than_a_step_of_growth(void **state)
{
    size_t before = kmalloc_in_use();
    for (size_t mib = 1; mib <= 9; mib += 2) {
        size_t n = mib << 20;
        u8 *p = kmalloc(n);
        assert_non_null(p);
        assert_true(is_zero(p, n));
        memset(p, 0xa5, n);
        kfree(p);
    }
    assert_int_equal(kmalloc_in_use(), before);
    assert_int_equal(kmalloc_heap_end(), THAW_HEAP_ADDR + grown);
}

static void krealloc_keeps_contents_and_zeroes_the_rest(void **state)
{
    size_t size = 0;
    u8 *p = NULL;
    srand(7);
    for (int i = 0; i < 3000; i++) {
        size_t n = (size_t)rand() % (i % 10 ? 300 : 20000) + 1;
        u8 *q = krealloc(p, size, n);
        assert_non_null(q);
        for (size_t k = 0; k < (size < n ? size : n); k++)
            assert_int_equal(q[k], (u8)(k + 1));
        if (n > size)
            assert_true(is_zero(q + size, n - size));
        for (size_t k = 0; k < n; k++)
            q[k] = (u8)(k + 1);
        p = q;
        size = n;
    }
    kfree(p);
}

static u64 unused_bytes;

static void unused_is_zero(u64 addr, u64 len)
{
    assert_true(addr % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && len >= 16 * PAGE_SIZE);
    assert_true(is_zero((const void *)addr, len));
    madvise((void *)addr, len, MADV_DONTNEED); /* as the machine does */
    unused_bytes += len;
}

/* What is given back is in use by nobody, and can be used afterwards. */
static void what_is_unused_can_be_given_back(void **state)
{
    enum { N = 200 };
    static u8 *p[N];

    for (int i = 0; i < N; i++) {
        p[i] = kmalloc((size_t)i * 40 + 1);
        memset(p[i], i + 1, (size_t)i * 40 + 1);
    }
    for (int i = 0; i < N; i += 3) {
        kfree(p[i]);
        p[i] = NULL;
    }
    unused_bytes = 0;
    kmalloc_unused(unused_is_zero);
    assert_true(unused_bytes >= sizeof(used_map) / 2); /* the tables alone */
    for (int i = 0; i < N; i++)
        for (size_t k = 0; p[i] && k < (size_t)i * 40 + 1; k++)
            assert_int_equal(p[i][k], (u8)(i + 1));
    u8 *q = kmalloc(300000);
    assert_true(q && is_zero(q, 300000));
    kfree(q);
    for (int i = 0; i < N; i++)
        kfree(p[i]);
}

/* Thousands of blocks that come and go keep their contents, each its own; nothing is lost at the end. */
static void random_use_never_overlaps(void **state)
{
    enum { N = 2000 };
    static struct {
        u8 *p;
        size_t n;
        u8 mark;
        bool pages;
    } block[N];
    size_t before = kmalloc_in_use();

    srand(42);
    for (int i = 0; i < 200000; i++) {
        int k = rand() % N;
        if (block[k].p) {
            assert_int_equal(block[k].p[0], block[k].mark);
            assert_int_equal(block[k].p[block[k].n / 2], block[k].mark);
            assert_int_equal(block[k].p[block[k].n - 1], block[k].mark);
            if (block[k].pages)
                page_free(block[k].p, block[k].n / PAGE_SIZE);
            else
                kfree(block[k].p);
            block[k].p = NULL;
            continue;
        }
        block[k].pages = rand() % 10 == 0;
        block[k].n =
            block[k].pages ? (size_t)(rand() % 5 + 1) * PAGE_SIZE : (size_t)(rand() % (rand() % 20 ? 400 : 9000)) + 1;
        block[k].p = block[k].pages ? page_alloc(block[k].n / PAGE_SIZE) : kmalloc(block[k].n);
        block[k].mark = (u8)(rand() % 255 + 1);
        assert_non_null(block[k].p);
        assert_true(is_zero(block[k].p, block[k].n));
        memset(block[k].p, block[k].mark, block[k].n);
    }
    for (int k = 0; k < N; k++) {
        if (block[k].p && block[k].pages)
            page_free(block[k].p, block[k].n / PAGE_SIZE);
        else
            kfree(block[k].p);
        block[k].p = NULL;
    }
    assert_int_equal(kmalloc_in_use(), before);
}

static void no_memory_is_null_and_passes(void **state)
{
    u64 old = grow_limit;
    size_t before = kmalloc_in_use();
    void *first = NULL, **last = &first;

    grow_limit = grown;
    assert_null(kmalloc(grown + 1));
    assert_null(page_alloc(SIZE_MAX / PAGE_SIZE));
    assert_null(kmalloc(SIZE_MAX));
    assert_null(page_alloc(0));
    for (void **p; (p = page_alloc(1)) != NULL; last = p)
        *last = p;
    void *obj = first;
    assert_null(kmalloc(4096));
    u8 *r = krealloc(obj == first ? NULL : obj, 0, 100000);
    assert_null(r);
    while (first) {
        void *next = *(void **)first;
        page_free(first, 1);
        first = next;
    }
    assert_int_equal(kmalloc_in_use(), before);
    grow_limit = old;
    kfree(kmalloc(4096));
}

static bool panics(void (*fn)(void *), void *arg)
{
    if (setjmp(panicked))
        return true;
    fn(arg);
    return false;
}

static void free_one(void *p) { page_free(p, 1); }

static void misuse_is_noticed(void **state)
{
    char *a = kmalloc(5000), *p = page_alloc(1), *s = kmalloc(32), *t = kmalloc(32);
    assert_true(panics(kfree, a + 16));
    assert_true(panics(kfree, (void *)0x1000));
    assert_true(panics(kfree, p)); /* pages go back by page_free */
    assert_true(panics(kfree, s + 1));
    kfree(a);
    assert_true(panics(kfree, a));
    page_free(p, 1);
    assert_true(panics(free_one, p));
    kfree(s);
    kfree(t);
}

static void kstrdup_copies(void **state)
{
    char *s = kstrdup("grüße"), *e = kstrdup("");
    assert_string_equal(s, "grüße");
    assert_string_equal(e, "");
    kfree(s);
    kfree(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zero_and_aligned),
        cmocka_unit_test(small_objects_are_packed),
        cmocka_unit_test(free_runs_join_and_the_lowest_is_used_first),
        cmocka_unit_test(runs_larger_than_a_step_of_growth),
        cmocka_unit_test(krealloc_keeps_contents_and_zeroes_the_rest),
        cmocka_unit_test(what_is_unused_can_be_given_back),
        cmocka_unit_test(random_use_never_overlaps),
        cmocka_unit_test(no_memory_is_null_and_passes),
        cmocka_unit_test(misuse_is_noticed),
        cmocka_unit_test(kstrdup_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
