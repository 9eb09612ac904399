/* SPDX-License-Identifier: MIT */
/*
 * Memory and strings. The compiler may call memcpy, memmove, memset and memcmp for code of its own; here it must not
 * turn our loops into calls of the very functions they are in.
 */
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#include "kernel.h"

/* Words at any address, aliasing anything. */
typedef u64 __attribute__((may_alias, aligned(1))) word_t;
typedef u32 __attribute__((may_alias, aligned(1))) half_t;

/* From here on the string instructions win over a loop of words. */
#define REP_MIN 160

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;

    if (n >= REP_MIN) {
        void *d2 = dst;
        __asm__ volatile("rep movsb" : "+D"(d2), "+S"(src), "+c"(n) : : "memory");
        return dst;
    }
    if (n >= 8) {
        /* The last word may overlap the one before. */
        word_t last = *(const word_t *)(s + n - 8);
        u8 *end = d + n - 8;
        for (; d < end; d += 8, s += 8)
            *(word_t *)d = *(const word_t *)s;
        *(word_t *)end = last;
        return dst;
    }
    if (n >= 4) {
        half_t first = *(const half_t *)s, last = *(const half_t *)(s + n - 4);
        *(half_t *)d = first;
        *(half_t *)(d + n - 4) = last;
        return dst;
    }
    while (n--)
        *d++ = *s++;
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;

    if ((u64)d - (u64)s >= n) { /* forward is right: dst below src or clear of it */
        if (n >= REP_MIN) {
            void *d2 = dst;
            __asm__ volatile("rep movsb" : "+D"(d2), "+S"(src), "+c"(n) : : "memory");
            return dst;
        }
        for (; n >= 8; n -= 8, d += 8, s += 8)
            *(word_t *)d = *(const word_t *)s;
        while (n--)
            *d++ = *s++;
        return dst;
    }
    for (; n >= 8; n -= 8)
        *(word_t *)(d + n - 8) = *(const word_t *)(s + n - 8);
    while (n--)
        d[n] = s[n];
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    u8 *d = dst;
    u64 v = 0x0101010101010101ull * (u8)c;

    if (n >= REP_MIN) {
        void *d2 = dst;
        __asm__ volatile("rep stosb" : "+D"(d2), "+c"(n) : "a"(c) : "memory");
        return dst;
    }
    if (n >= 8) {
        u8 *end = d + n - 8;
        for (; d < end; d += 8)
            *(word_t *)d = v;
        *(word_t *)end = v;
        return dst;
    }
    while (n--)
        *d++ = (u8)c;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n >= 8 && *(const word_t *)x == *(const word_t *)y; n -= 8, x += 8, y += 8)
        ;
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const u8 *p = s; n; n--, p++)
        if (*p == (u8)c)
            return (void *)p;
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i])
        i++;
    return i;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++) {
        if (*a != *b)
            return (u8)*a - (u8)*b;
        if (!*a)
            break;
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (; *s != (char)c; s++)
        if (!*s)
            return NULL;
    return (char *)s;
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;
    do {
        if (*s == (char)c)
            last = s;
    } while (*s++);
    return (char *)last;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);
    if (size) {
        size_t n = min(len, size - 1);
        memcpy(dst, src, n);
        dst[n] = 0;
    }
    return len;
}
