/* SPDX-License-Identifier: MIT */
/*
 * The kernel's heap: pages, and objects of a few sizes packed into pages.
 *
 * Each page that a restored sandbox touches costs some 10 us, so what is live lies close together: free pages are
 * taken lowest address first, objects have no headers, and what is known about pages is kept apart from them: one bit
 * a page (free or not) and a struct page each, 4 KiB of them for a MiB of heap.
 *
 * Free pages are all zero; so are free objects but for their first two bytes, the free list of their page.
 */
#include "kernel.h"
#include "machine.h"

#define HEAP_PAGES ((THAW_HEAP_END - THAW_HEAP_ADDR) / PAGE_SIZE)
#define GROW_SHIFT 20
#define GROW_PAGES ((1ul << GROW_SHIFT) / PAGE_SIZE)
#define CHUNKS (HEAP_PAGES / GROW_PAGES)
#define WORD 64ul

#define CLASS_NONE 0  /* free, inside a run, or of page_alloc() */
#define CLASS_LARGE 1 /* first page of a kmalloc() of whole pages */
#define CLASS_FIRST 2 /* CLASS_FIRST + n: objects of class_size[n] */

/* Page numbers count from the heap's start; 0 is a table and so can mean "none". */
struct page {
    u8 class;
    u8 listed;  /* in its class's list of pages with room */
    u16 in_use; /* objects */
    u16 free;   /* 1 + number of the first free object, 0: none */
    u16 fresh;  /* objects from here on were never used */
    u32 next;   /* list; CLASS_LARGE: pages of the run */
    u32 prev;
};
_Static_assert(HEAP_FIRST == 1ul << GROW_SHIFT, "the first step of growth");
_Static_assert(GROW_PAGES * sizeof(struct page) == PAGE_SIZE, "one page of struct page for a step of growth");

static const u16 class_size[] = {16, 32, 48, 64, 80, 96, 128, 192, 256, 336, 512, 672, 1024, 1360, 2048};
#define NR_CLASSES ARRAY_SIZE(class_size)
#define OBJECT_MAX 2048u

static u64 used_map[HEAP_PAGES / WORD] __sparse; /* bit: the page is taken; only the part below heap_pages counts */
static struct page *page_table[CHUNKS] __sparse;
static u32 partial[NR_CLASSES]; /* heads of the lists of pages with room */
static u64 heap_pages;          /* mapped so far */
static u64 lowest_free;         /* no free page lies below */
static size_t in_use;

static struct page *page_of(u64 pfn) { return &page_table[pfn / GROW_PAGES][pfn % GROW_PAGES]; }
/* The first step of growth may lie elsewhere. No run crosses its end: the next begins with a table. */
static void *page_address(u64 pfn)
{
    return (void *)((pfn < GROW_PAGES ? machine_heap_first : THAW_HEAP_ADDR) + pfn * PAGE_SIZE);
}

static u64 pfn_of(const void *p)
{
    u64 off = (u64)p - machine_heap_first;
    u64 pfn = (off < 1ul << GROW_SHIFT ? off : (u64)p - THAW_HEAP_ADDR) / PAGE_SIZE;
    BUG_ON(pfn >= heap_pages || page_address(pfn) != (void *)((u64)p & ~(PAGE_SIZE - 1ul)));
    return pfn;
}

static bool page_used(u64 pfn) { return used_map[pfn / WORD] >> (pfn % WORD) & 1; }

static void pages_mark(u64 pfn, u64 n, bool used)
{
    while (n) {
        u64 bit = pfn % WORD, part = min(n, WORD - bit);
        u64 mask = (part == WORD ? ~0ull : (1ull << part) - 1) << bit;
        if (used)
            used_map[pfn / WORD] |= mask;
        else
            used_map[pfn / WORD] &= ~mask;
        pfn += part;
        n -= part;
    }
}

/* The first page at or above pfn that is used, or free; heap_pages if there is none. */
static u64 pages_next(u64 pfn, bool used)
{
    while (pfn < heap_pages) {
        u64 w = used_map[pfn / WORD];
        w = (used ? w : ~w) >> (pfn % WORD);
        if (w)
            return min(pfn + (u64)__builtin_ctzll(w), heap_pages);
        pfn = (pfn / WORD + 1) * WORD;
    }
    return heap_pages;
}

/* More heap, with room for n pages in a row. The struct pages of what is new come first in it. */
static bool heap_grow(u64 n)
{
    u64 chunks = n / (GROW_PAGES - 1) + !!(n % (GROW_PAGES - 1));

    if (chunks > (HEAP_PAGES - heap_pages) / GROW_PAGES)
        return false;
    if (!heap_pages)
        chunks = 1; /* it has a place of its own */
    if (machine_heap_grow((u64)page_address(heap_pages), chunks << GROW_SHIFT))
        return false;
    for (u64 i = 0; i < chunks; i++)
        page_table[heap_pages / GROW_PAGES + i] = page_address(heap_pages + i);
    pages_mark(heap_pages, chunks * GROW_PAGES, false);
    pages_mark(heap_pages, chunks, true);
    heap_pages += chunks * GROW_PAGES;
    return true;
}

/* n pages in a row, or 0. */
static u64 pages_take(u64 n)
{
    for (;;) {
        u64 start = pages_next(lowest_free, false);
        lowest_free = start;
        while (start < heap_pages) {
            u64 end = n == 1 ? start + 1 : pages_next(start, true);
            if (end - start >= n) {
                pages_mark(start, n, true);
                if (start == lowest_free)
                    lowest_free = start + n;
                return start;
            }
            start = pages_next(end, false);
        }
        if (!heap_grow(n))
            return 0;
    }
}

static void pages_give(u64 pfn, u64 n)
{
    BUG_ON(!n || n > heap_pages - pfn || pages_next(pfn, false) < pfn + n); /* freed twice */
    memset(page_address(pfn), 0, n * PAGE_SIZE);
    pages_mark(pfn, n, false);
    lowest_free = min(lowest_free, pfn);
}

void *page_alloc(size_t npages)
{
    if (!npages || npages > HEAP_PAGES)
        return NULL;
    u64 pfn = pages_take(npages);
    if (!pfn)
        return NULL;
    in_use += npages * PAGE_SIZE;
    return page_address(pfn);
}

void page_free(void *p, size_t npages)
{
    if (!p)
        return;
    u64 pfn = pfn_of(p);
    BUG_ON((u64)p % PAGE_SIZE || page_of(pfn)->class != CLASS_NONE);
    pages_give(pfn, npages);
    in_use -= npages * PAGE_SIZE;
}

static unsigned class_of(size_t size)
{
    unsigned c = 0;
    while (class_size[c] < size)
        c++;
    return c;
}

/* The lower of two pages goes first: it will be used up before the other. */
static void partial_add(unsigned c, u64 pfn)
{
    struct page *pg = page_of(pfn);
    u64 head = partial[c];

    pg->listed = 1;
    if (!head || pfn < head) {
        pg->prev = 0;
        pg->next = (u32)head;
        if (head)
            page_of(head)->prev = (u32)pfn;
        partial[c] = (u32)pfn;
        return;
    }
    struct page *first = page_of(head);
    pg->prev = (u32)head;
    pg->next = first->next;
    if (first->next)
        page_of(first->next)->prev = (u32)pfn;
    first->next = (u32)pfn;
}

static void partial_remove(unsigned c, u64 pfn)
{
    struct page *pg = page_of(pfn);
    if (pg->prev)
        page_of(pg->prev)->next = pg->next;
    else
        partial[c] = pg->next;
    if (pg->next)
        page_of(pg->next)->prev = pg->prev;
    pg->listed = 0;
    pg->next = pg->prev = 0;
}

static void *object_alloc(unsigned c)
{
    u64 pfn = partial[c];
    u32 size = class_size[c], count = (u32)(PAGE_SIZE / size);
    struct page *pg;
    u16 *object;

    if (!pfn) {
        pfn = pages_take(1);
        if (!pfn)
            return NULL;
        pg = page_of(pfn);
        *pg = (struct page){.class = (u8)(CLASS_FIRST + c)};
        partial_add(c, pfn);
    }
    pg = page_of(pfn);
    char *base = page_address(pfn);
    if (pg->free) {
        object = (u16 *)(void *)(base + (u32)(pg->free - 1) * size);
        pg->free = *object;
        *object = 0;
    } else {
        object = (u16 *)(void *)(base + pg->fresh * size);
        pg->fresh++;
    }
    pg->in_use++;
    if (!pg->free && pg->fresh == count)
        partial_remove(c, pfn);
    in_use += size;
    return object;
}

static void object_free(u64 pfn, void *p)
{
    struct page *pg = page_of(pfn);
    unsigned c = pg->class - CLASS_FIRST;
    u32 size = class_size[c];
    u64 offset = (u64)p % PAGE_SIZE;

    BUG_ON(offset % size || offset / size >= pg->fresh || !pg->in_use);
    in_use -= size;
    if (!--pg->in_use) {
        if (pg->listed)
            partial_remove(c, pfn);
        *pg = (struct page){.class = CLASS_NONE};
        pages_give(pfn, 1);
        return;
    }
    memset(p, 0, size);
    *(u16 *)p = pg->free;
    pg->free = (u16)(offset / size + 1);
    if (!pg->listed)
        partial_add(c, pfn);
}

void *kmalloc(size_t size)
{
    if (size <= OBJECT_MAX)
        return object_alloc(class_of(size));
    if (size > HEAP_PAGES * PAGE_SIZE)
        return NULL;
    u64 n = page_align(size) / PAGE_SIZE, pfn = pages_take(n);
    if (!pfn)
        return NULL;
    *page_of(pfn) = (struct page){.class = CLASS_LARGE, .next = (u32)n};
    in_use += n * PAGE_SIZE;
    return page_address(pfn);
}

void kfree(void *p)
{
    if (!p)
        return;
    u64 pfn = pfn_of(p);
    struct page *pg = page_of(pfn);
    BUG_ON(!page_used(pfn) || pg->class == CLASS_NONE);
    if (pg->class != CLASS_LARGE) {
        object_free(pfn, p);
        return;
    }
    u64 n = pg->next;
    BUG_ON((u64)p % PAGE_SIZE);
    *pg = (struct page){.class = CLASS_NONE};
    pages_give(pfn, n);
    in_use -= n * PAGE_SIZE;
}

/* Bytes that a block really has. */
static size_t block_size(void *p)
{
    struct page *pg = page_of(pfn_of(p));
    return pg->class == CLASS_LARGE ? pg->next * PAGE_SIZE : class_size[pg->class - CLASS_FIRST];
}

void *krealloc(void *p, size_t old_size, size_t new_size)
{
    if (!p)
        return kmalloc(new_size);
    size_t have = block_size(p);
    /* In place if it fits and would not leave more than half of the block unused. */
    if (new_size <= have && (new_size > have / 2 || have <= 64)) {
        if (new_size < old_size)
            memset((char *)p + new_size, 0, min(old_size, have) - new_size); /* zero, should it grow again */
        return p;
    }
    void *q = kmalloc(new_size);
    if (!q) {
        if (new_size > have)
            return NULL;
        if (new_size < old_size)
            memset((char *)p + new_size, 0, min(old_size, have) - new_size);
        return p;
    }
    memcpy(q, p, min(min(old_size, have), new_size));
    kfree(p);
    return q;
}

char *kstrdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = kmalloc(n);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

/* Whole pages of [start, end), if they are worth a call. */
static void unused(u64 start, u64 end, void (*fn)(u64 addr, u64 len))
{
    start = page_align(start);
    end &= ~(PAGE_SIZE - 1ul);
    if (end > start && end - start >= 16 * PAGE_SIZE)
        fn(start, end - start);
}

void kmalloc_unused(void (*fn)(u64 addr, u64 len))
{
    u64 first = min(heap_pages, GROW_PAGES);

    for (u64 at = pages_next(0, false), end; at < first; at = pages_next(end, false)) {
        end = min(pages_next(at, true), first);
        unused((u64)page_address(at), (u64)page_address(end - 1) + PAGE_SIZE, fn);
    }
    unused((u64)&page_table[heap_pages / GROW_PAGES], (u64)&page_table[CHUNKS], fn);
    unused((u64)&used_map[heap_pages / WORD], (u64)&used_map[HEAP_PAGES / WORD], fn);
}

size_t kmalloc_in_use(void) { return in_use; }

u64 kmalloc_heap_end(void) { return THAW_HEAP_ADDR + heap_pages * PAGE_SIZE; }
