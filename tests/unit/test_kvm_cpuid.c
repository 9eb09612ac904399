/* SPDX-License-Identifier: MIT */
/* A guest's processor is the same after a restore, or the restore is refused with the name of what the host lacks. */
#include "kvm_cpuid.h"
#include "sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define INDEXED 1u

static const struct cpuid host = {
    .count = 9,
    .entry = {{0, 0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65}, /* AuthenticAMD */
              {1, 0, 0, 0x800f12, 0x10800, 0x76d8220b, 0x178bfbff},
              {7, 0, INDEXED, 1, 0x209c01a9, 4, 0x10},
              {0xa, 0, 0, 0, 0, 0, 0},
              {0xd, 0, INDEXED, 7, 0x340, 0x340, 0},
              {0xd, 2, INDEXED, 256, 576, 0, 0},
              {0x80000001, 0, 0, 0x800f12, 0, 0x4001f3, 0x2fd3fbff},
              {0x80000007, 0, 0, 0, 0, 0, 0x100},
              {0x80000008, 0, 0, 0x3030, 0x1001, 0, 0}},
};

static struct cpuid_entry *leaf(struct cpuid *c, uint32_t function, uint32_t index)
{
    return (struct cpuid_entry *)(uintptr_t)cpuid_find(c, function, index);
}

static void refused(const struct cpuid *guest, const char *name)
{
    char why[CPUID_WHY] = "";

    assert_false(cpuid_fits(&host, guest, why));
    assert_string_equal(why, name);
}

static void test_same_host(void **state)
{
    char why[CPUID_WHY];

    (void)state;
    assert_null(cpuid_check(host.entry, host.count));
    assert_true(cpuid_fits(&host, &host, why));
}

static void test_less_was_promised(void **state)
{
    struct cpuid guest = host;
    char why[CPUID_WHY];

    (void)state;
    leaf(&guest, 7, 0)->ebx = 0;
    leaf(&guest, 1, 0)->ecx &= ~(1u << 28);
    leaf(&guest, 0xd, 0)->eax = 3;
    leaf(&guest, 0x80000007, 0)->edx = 0;
    assert_true(cpuid_fits(&host, &guest, why));
}

static void test_each_missing_feature_has_its_name(void **state)
{
    static const struct {
        uint32_t function, index;
        int reg;
        unsigned bit;
        const char *name;
    } cases[] = {
        {7, 0, 1, 16, "avx512f"},
        {7, 0, 1, 29, "sha_ni"}, /* the host has it: see below */
        {7, 0, 2, 16, "la57"},
        {7, 0, 3, 14, "serialize"},
        {7, 0, 3, 21, "the feature of CPUID leaf 0x7.0, edx, bit 21"},
        {1, 0, 2, 5, "vmx"},
        {0xd, 0, 0, 9, "xsave: pkru"},
        {0xd, 0, 3, 30, "the feature of CPUID leaf 0xd.0, edx, bit 30"},
        {0x80000001, 0, 2, 2, "svm"},
        {0x80000001, 0, 3, 31, "3dnow"},
        {0x80000008, 0, 1, 14, "ibrs"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cpuid guest = host;
        uint32_t *reg = &leaf(&guest, cases[i].function, cases[i].index)->eax + cases[i].reg;
        char why[CPUID_WHY];

        if (*reg >> cases[i].bit & 1) {
            *reg &= ~(1u << cases[i].bit);
            assert_true(cpuid_fits(&host, &guest, why));
            continue;
        }
        *reg |= 1u << cases[i].bit;
        refused(&guest, cases[i].name);
    }
}

static void test_a_leaf_that_the_host_lacks(void **state)
{
    struct cpuid guest = host;

    (void)state;
    guest.entry[guest.count++] = (struct cpuid_entry){7, 1, INDEXED, 1 << 5, 0, 0, 0};
    refused(&guest, "avx512_bf16");
    guest.entry[guest.count - 1].eax = 0;
    char why[CPUID_WHY];
    assert_true(cpuid_fits(&host, &guest, why));
}

static void test_another_vendor(void **state)
{
    struct cpuid guest = host;

    (void)state;
    memcpy(&leaf(&guest, 0, 0)->ebx, "Genu", 4);
    memcpy(&leaf(&guest, 0, 0)->edx, "ineI", 4);
    memcpy(&leaf(&guest, 0, 0)->ecx, "ntel", 4);
    refused(&guest, "a processor of GenuineIntel");
    memcpy(&leaf(&guest, 0, 0)->ecx, "\n\xff\0x", 4);
    refused(&guest, "a processor of GenuineI??");
}

static void test_another_xsave_layout(void **state)
{
    struct cpuid guest = host;

    (void)state;
    leaf(&guest, 0xd, 2)->ebx = 832;
    refused(&guest, "another layout of the XSAVE area, at part 2");
    leaf(&guest, 0xd, 2)->index = 40;
    refused(&guest, "another layout of the XSAVE area, at part 2");
}

static void test_performance_counters(void **state)
{
    struct cpuid guest = host;

    (void)state;
    leaf(&guest, 0xa, 0)->eax = 0x07300402;
    refused(&guest, "performance counters");
}

static void test_what_no_guest_is_given(void **state)
{
    struct cpuid c = host;

    (void)state;
    leaf(&c, 1, 0)->ecx |= 1u << 5 | 1u << 3 | 1u << 21 | 1u << 24;
    leaf(&c, 1, 0)->ebx = 0x07080900;
    leaf(&c, 0xa, 0)->eax = 0x07300402;
    leaf(&c, 0xd, 0)->eax |= 3u << 17;
    leaf(&c, 0x80000001, 0)->ecx |= 1u << 2;
    c.entry[c.count++] = (struct cpuid_entry){0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d};
    c.entry[c.count++] = (struct cpuid_entry){0x40000001, 0, 0, 0x01007afb, 0, 0, 0};
    c.entry[c.count++] = (struct cpuid_entry){0xb, 0, INDEXED, 1, 2, 0x100, 7};
    c.entry[c.count++] = (struct cpuid_entry){0xd, 18, INDEXED, 8192, 2816, 6, 0};
    c.entry[c.count++] = (struct cpuid_entry){0x8000000a, 0, 0, 1, 8, 0, 0};
    cpuid_filter(&c);
    assert_int_equal(c.count, host.count);
    assert_int_equal(cpuid_find(&c, 1, 0)->ecx, host.entry[1].ecx & ~(1u << 5 | 1u << 3 | 1u << 21 | 1u << 24));
    assert_int_equal(cpuid_find(&c, 1, 0)->ebx, 0x10900);
    assert_int_equal(cpuid_find(&c, 0xa, 0)->eax, 0);
    assert_int_equal(cpuid_find(&c, 0xd, 0)->eax, 7);
    assert_null(cpuid_find(&c, 0x40000000, 0));
    assert_null(cpuid_check(c.entry, c.count));
}

static void test_tables_from_a_file(void **state)
{
    struct cpuid c = host;

    (void)state;
    assert_non_null(cpuid_check(c.entry, 0));
    assert_non_null(cpuid_check(c.entry, CPUID_MAX + 1));
    assert_non_null(cpuid_check(c.entry, UINT32_MAX));
    c.entry[c.count] = (struct cpuid_entry){0x40000001, 0, 0, 1, 0, 0, 0};
    assert_non_null(cpuid_check(c.entry, c.count + 1));
    c.entry[c.count] = c.entry[2];
    assert_non_null(cpuid_check(c.entry, c.count + 1));
    c.entry[c.count] =
        (struct cpuid_entry){7, 3, 0, 0, 0, 0, 0}; /* whichever is asked for: it would hide, or be hidden */
    assert_non_null(cpuid_check(c.entry, c.count + 1));
    c.entry[c.count] = (struct cpuid_entry){1, 1, 0, 0, 0, 0, 0};
    assert_non_null(cpuid_check(c.entry, c.count + 1));
    c.entry[c.count] = (struct cpuid_entry){2, 0, 2, 0, 0, 0, 0};
    assert_non_null(cpuid_check(c.entry, c.count + 1));
    c.entry[c.count] = (struct cpuid_entry){7, 1, INDEXED, 0, 0, 0, 0};
    assert_null(cpuid_check(c.entry, c.count + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_host),
        cmocka_unit_test(test_less_was_promised),
        cmocka_unit_test(test_each_missing_feature_has_its_name),
        cmocka_unit_test(test_a_leaf_that_the_host_lacks),
        cmocka_unit_test(test_another_vendor),
        cmocka_unit_test(test_another_xsave_layout),
        cmocka_unit_test(test_performance_counters),
        cmocka_unit_test(test_what_no_guest_is_given),
        cmocka_unit_test(test_tables_from_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
