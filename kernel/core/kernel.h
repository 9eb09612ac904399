/* SPDX-License-Identifier: MIT */
/* What every file of the kernel needs: types, errors, lists, printing, memory for the kernel itself. */
#ifndef CORE_KERNEL_H
#define CORE_KERNEL_H

#include "limits.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/errno.h> /* EPERM and the rest */

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef long ssize_t;
typedef s64 loff_t;
typedef u32 mode_t;
typedef s32 pid_t;

/* Never seen by user mode: the call is to be restarted (Linux's ERESTARTSYS). */
#define ERESTARTSYS 512
#define ERESTARTNOHAND 514        /* restart only if no handler runs */
#define ERESTART_RESTARTBLOCK 516 /* sleep with a relative time: EINTR if a handler runs, else restart */

#define __user
#define __noreturn __attribute__((noreturn))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __unused __attribute__((unused))
/* Large and hardly used: it stands apart, so that what is used lies together. */
#define __sparse __attribute__((section(".bss.sparse")))
#define __packed __attribute__((packed))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define min(a, b)               \
    ({                          \
        __typeof__(a) _a = (a); \
        __typeof__(b) _b = (b); \
        _a < _b ? _a : _b;      \
    })
#define max(a, b)               \
    ({                          \
        __typeof__(a) _a = (a); \
        __typeof__(b) _b = (b); \
        _a > _b ? _a : _b;      \
    })
#define round_up(x, a) (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define round_down(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define page_align(x) round_up((x), PAGE_SIZE)

/* -errno in a pointer, as Linux does it. */
static inline void *ERR_PTR(long error) { return (void *)error; }
static inline long PTR_ERR(const void *ptr) { return (long)ptr; }
static inline bool IS_ERR(const void *ptr) { return (unsigned long)ptr >= (unsigned long)-4095; }

/* Overflow-safe arithmetic on untrusted numbers: true means it overflowed. */
#define check_add(a, b, res) __builtin_add_overflow(a, b, res)
#define check_mul(a, b, res) __builtin_mul_overflow(a, b, res)

/* ---- doubly linked lists (Linux's list_head) ---- */
struct list_head {
    struct list_head *next, *prev;
};
#define LIST_HEAD_INIT(name) \
    {                        \
        &(name), &(name)     \
    }
static inline void list_init(struct list_head *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list_head *l) { return l->next == l; }
static inline void list_add_between(struct list_head *n, struct list_head *prev, struct list_head *next)
{
    next->prev = n;
    n->next = next;
    n->prev = prev;
    prev->next = n;
}
static inline void list_add(struct list_head *n, struct list_head *head) { list_add_between(n, head, head->next); }
static inline void list_add_tail(struct list_head *n, struct list_head *head) { list_add_between(n, head->prev, head); }
static inline void list_del(struct list_head *n) /* and make it empty, so that deleting twice is harmless */
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_for_each_entry(pos, head, member)                                             \
    for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_entry_safe(pos, n, head, member)              \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),  \
        n = list_entry(pos->member.next, __typeof__(*pos), member); \
         &pos->member != (head); pos = n, n = list_entry(n->member.next, __typeof__(*n), member))

/* ---- lib/string.c ---- */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
size_t strlcpy(char *dst, const char *src, size_t size); /* returns strlen(src) */

/* ---- lib/printf.c: %d %i %u %x %X %o %c %s %p %% with flags 0 - #, width, precision, hh h l ll z ---- */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

/* To descriptor 2 of the caller, one line; for the log (--strace) and for debugging. */
void printk(const char *fmt, ...) __printf(1, 2);
/* The kernel cannot go on: the text reaches the user by the monitor, exit status 125. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;
#define BUG_ON(cond)                                              \
    do {                                                          \
        if (unlikely(cond))                                       \
            panic("BUG at %s:%d: %s", __FILE__, __LINE__, #cond); \
    } while (0)

/* ---- lib/kmalloc.c: the kernel's heap. Zeroed; 16-byte aligned, whole pages page-aligned; NULL: no memory. ---- */
void *kmalloc(size_t size);
void *krealloc(void *p, size_t old_size, size_t new_size); /* on NULL the old block still stands */
void kfree(void *p);                                       /* NULL allowed */
void *page_alloc(size_t npages);                           /* zeroed, page-aligned */
void page_free(void *p, size_t npages);
char *kstrdup(const char *s);
/* Bytes handed out and not given back; for the leak check. */
size_t kmalloc_in_use(void);
/* The heap is [THAW_HEAP_ADDR, kmalloc_heap_end()), but for what machine_heap_first says; for the snapshot. */
u64 kmalloc_heap_end(void);
/* Calls fn for memory of the heap's first part and of its tables that is not in use: all zero, and may stay so. */
void kmalloc_unused(void (*fn)(u64 addr, u64 len));

/* ---- entropy: lib/random.c, a ChaCha20 generator reseeded from the monitor's seed at every start ---- */
void random_bytes(void *buf, size_t n);
void random_reseed(const void *seed, size_t n);

/* ---- the big kernel lock: held by whoever runs kernel code, dropped while blocked ---- */
void kernel_lock(void);
void kernel_unlock(void);

#endif
