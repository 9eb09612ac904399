/* SPDX-License-Identifier: MIT */
/*
 * malloc for the thaw command, which allocates a few dozen times and ends: memory is taken from the front of a piece that
 * the program file brings, so that a start touches one or two pages and makes no system call. What is freed is used
 * again only if it was the latest; large pieces are mapped and unmapped. One thread, as the command is. Not in libthaw
 * and not with sanitizers, which bring their own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__GLIBC__)

#define ALIGN 16u
#define FIRST (64u << 10)
#define CHUNK (1u << 20)
#define LARGE (64u << 10)

struct block {
    size_t size;   /* of what follows */
    size_t mapped; /* of the mapping, or 0 */
};
_Static_assert(sizeof(struct block) == ALIGN, "blocks keep the alignment");

static _Alignas(ALIGN) unsigned char first[FIRST];
static unsigned char *next = first, *end = first + FIRST;

static void *map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static struct block *block_of(void *p) { return (struct block *)p - 1; }

static bool block_is_latest(const struct block *b)
{
    return !b->mapped && (const unsigned char *)(b + 1) + b->size == next;
}

static void *malloc_large(size_t n)
{
    size_t len = (n + sizeof(struct block) + 4095) & ~(size_t)4095;
    struct block *b = map(len);

    if (!b) {
        errno = ENOMEM;
        return NULL;
    }
    *b = (struct block){.size = n, .mapped = len};
    return b + 1;
}

/* Apart from malloc(), about which the compiler has opinions. */
static void *allocate(size_t n)
{
    struct block *b;

    if (n > PTRDIFF_MAX - CHUNK) {
        errno = ENOMEM;
        return NULL;
    }
    n = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (n >= LARGE)
        return malloc_large(n);
    if ((size_t)(end - next) < n + sizeof *b) {
        unsigned char *chunk = map(CHUNK);

        if (!chunk) {
            errno = ENOMEM;
            return NULL;
        }
        next = chunk;
        end = chunk + CHUNK;
    }
    b = (struct block *)(void *)next;
    *b = (struct block){.size = n};
    next += sizeof *b + n;
    return b + 1;
}

static void release(struct block *b)
{
    int e = errno;

    if (b->mapped)
        munmap(b, b->mapped);
    else if (block_is_latest(b))
        next = (unsigned char *)b;
    errno = e;
}

void *malloc(size_t n) { return allocate(n); }

void free(void *p)
{
    if (p)
        release(block_of(p));
}

void *calloc(size_t count, size_t size)
{
    size_t n;
    void *p;

    if (__builtin_mul_overflow(count, size, &n)) {
        errno = ENOMEM;
        return NULL;
    }
    p = allocate(n);
    /* Pages fresh from the host are zero, what was used before is not. */
    return p && !block_of(p)->mapped ? memset(p, 0, n) : p;
}

void *realloc(void *p, size_t n)
{
    struct block *b;
    void *q;

    if (!p)
        return allocate(n);
    b = block_of(p);
    if (n <= b->size)
        return p;
    if (block_is_latest(b) && n < LARGE && (size_t)(end - (unsigned char *)p) >= n + ALIGN) {
        b->size = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        next = (unsigned char *)p + b->size;
        return p;
    }
    q = allocate(n);
    if (q) {
        memcpy(q, p, b->size);
        release(b);
    }
    return q;
}

#endif
