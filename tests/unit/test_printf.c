/* SPDX-License-Identifier: MIT */
/* The kernel's printf and string functions against libc's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef min
#undef max
#define snprintf kernel_snprintf
#define vsnprintf kernel_vsnprintf
#define memcpy kernel_memcpy
#define memmove kernel_memmove
#define memset kernel_memset
#define memcmp kernel_memcmp
#define memchr kernel_memchr
#define strlen kernel_strlen
#define strnlen kernel_strnlen
#define strcmp kernel_strcmp
#define strncmp kernel_strncmp
#define strchr kernel_strchr
#define strrchr kernel_strrchr
#define strlcpy kernel_strlcpy
#include "../../kernel/core/lib/printf.c"
#include "../../kernel/core/lib/string.c"
#undef snprintf
#undef vsnprintf
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-truncation"

#define SAME(...)                                                                                              \
    do {                                                                                                       \
        char want[256], got[256];                                                                              \
        int n = snprintf(want, sizeof(want), __VA_ARGS__), m = kernel_snprintf(got, sizeof(got), __VA_ARGS__); \
        assert_string_equal(got, want);                                                                        \
        assert_int_equal(m, n);                                                                                \
    } while (0)

static void every_conversion_as_in_libc(void **state)
{
    static const char *const flags[] = {"", "-", "0", "#", "#0", "-#"};
    static const char *const widths[] = {"", "1", "5", "20"};
    static const char *const precisions[] = {"", ".0", ".3", ".12"};
    static const long long values[] = {0, 1, -1, 7, 255, -256, 65536, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};

    for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
        for (size_t w = 0; w < ARRAY_SIZE(widths); w++)
            for (size_t p = 0; p < ARRAY_SIZE(precisions); p++)
                for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
                    char fmt[64];
                    for (const char *c = "diuxXo"; *c; c++) {
                        if (strchr("diu", *c) && strchr(flags[f], '#'))
                            continue; /* undefined in C */
                        snprintf(fmt, sizeof(fmt), "<%%%s%s%s%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(fmt, (int)values[v]);
                        snprintf(fmt, sizeof(fmt), "<%%%s%s%sl%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(fmt, (long)values[v]);
                        snprintf(fmt, sizeof(fmt), "<%%%s%s%sll%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(fmt, values[v]);
                        snprintf(fmt, sizeof(fmt), "<%%%s%s%shh%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(fmt, (int)values[v]);
                        snprintf(fmt, sizeof(fmt), "<%%%s%s%sh%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(fmt, (int)values[v]);
                    }
                    if (!strchr(flags[f], '#') && !strchr(flags[f], '0')) {
                        snprintf(fmt, sizeof(fmt), "<%%%s%s%ss>", flags[f], widths[w], precisions[p]);
                        SAME(fmt, "hello");
                        SAME(fmt, "");
                    }
                }
    SAME("%c%c %% %zu %zd %p", 'a', 'b', (size_t)-1, (ssize_t)-5, (void *)0x1234abcd);
    SAME("%*d|%-*d|%*d|%.*s|%.*s", 6, 42, 6, 42, -6, 42, 2, "abc", -1, "abc");
}

static void a_short_buffer_is_filled_and_terminated(void **state)
{
    for (size_t size = 0; size < 12; size++) {
        char want[16], got[16];
        memset(want, '?', sizeof(want));
        memset(got, '?', sizeof(got));
        int n = snprintf(want, size, "%s-%d", "abcd", 12345), m = kernel_snprintf(got, size, "%s-%d", "abcd", 12345);
        assert_int_equal(m, n);
        assert_memory_equal(got, want, sizeof(got));
    }
    assert_int_equal(kernel_snprintf(NULL, 0, "%d", 1000), 4);
}

static int sign(int v) { return (v > 0) - (v < 0); }

static void memory_functions_as_in_libc(void **state)
{
    static u8 a[2048], b[2048], want[2048], got[2048];

    srand(3);
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)rand() % (i % 4 ? 40 : 600), x = (size_t)rand() % 600, y = (size_t)rand() % 600;
        for (size_t k = 0; k < sizeof(a); k += 4)
            a[k] = (u8)rand();
        memcpy(want, a, sizeof(a));
        memcpy(got, a, sizeof(a));
        memmove(want + x, want + y, n);
        assert_ptr_equal(kernel_memmove(got + x, got + y, n), got + x);
        assert_memory_equal(got, want, sizeof(got));
        kernel_memcpy(b + x, a + y, n);
        assert_memory_equal(b + x, a + y, n);
        memset(want + y, i, n);
        kernel_memset(got + y, i, n);
        assert_memory_equal(got, want, sizeof(got));
        if (i & 1)
            memcpy(a + x, a + y, x + n < y || y + n < x ? n : 0);
        assert_int_equal(sign(kernel_memcmp(a + x, a + y, n)), sign(memcmp(a + x, a + y, n)));
        assert_ptr_equal(kernel_memchr(a + x, i & 255, n), memchr(a + x, i & 255, n));
    }
}

static void string_functions_as_in_libc(void **state)
{
    static const char *const s[] = {"", "a", "b", "ab", "abc", "abcabc", "\xff", "a\xff", "/usr/lib/x", "//"};
    for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
        assert_int_equal(kernel_strlen(s[i]), strlen(s[i]));
        for (size_t n = 0; n < 8; n++)
            assert_int_equal(kernel_strnlen(s[i], n), strnlen(s[i], n));
        for (int c = 0; c < 256; c++) {
            assert_ptr_equal(kernel_strchr(s[i], c), strchr(s[i], c));
            assert_ptr_equal(kernel_strrchr(s[i], c), strrchr(s[i], c));
        }
        for (size_t k = 0; k < ARRAY_SIZE(s); k++) {
            assert_int_equal(sign(kernel_strcmp(s[i], s[k])), sign(strcmp(s[i], s[k])));
            for (size_t n = 0; n < 8; n++)
                assert_int_equal(sign(kernel_strncmp(s[i], s[k], n)), sign(strncmp(s[i], s[k], n)));
        }
        for (size_t n = 0; n < 8; n++) {
            char buf[8] = "???????";
            assert_int_equal(strlcpy(buf, s[i], n), strlen(s[i]));
            if (n) {
                assert_int_equal(strlen(buf), min(strlen(s[i]), n - 1));
                assert_memory_equal(buf, s[i], strlen(buf));
            } else {
                assert_int_equal(buf[0], '?');
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_conversion_as_in_libc),
        cmocka_unit_test(a_short_buffer_is_filled_and_terminated),
        cmocka_unit_test(memory_functions_as_in_libc),
        cmocka_unit_test(string_functions_as_in_libc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
