/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "arena.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* obmalloc's sizes in CPython 3.10 and later. Were they others, a little memory would be wasted and nothing gained. */
#define ARENA_SIZE (1u << 20)
#define POOL_SIZE (16u << 10)
#define POOL_HEADER 48u
#define SMALL_MAX 512u
#define SMALL_STEP 16u
/* More blocks than there are holes in any heap of ours. */
#define GRAB_MAX 200000
/* malloc() keeps blocks up to this when they are freed. */
#define CACHED_MAX 1040
/* For malloc() in the run. */
#define ROOM_SIZE (80u << 10)

/* The linker script puts it last in .bss: behind it the heap of malloc() begins, with the room and the run's arena. */
static char core_arena[ARENA_SIZE] __attribute__((aligned(4096), section(".bss.core_arena")));
/* The first piece of the stack that frames of Python functions lie on, which the interpreter takes from the same allocator. */
#define STACK_SIZE (16u << 10)
static char core_stack[STACK_SIZE] __attribute__((aligned(4096), section(".bss.core_arena")));
static void *run_arena, *room;

static PyObjectArenaAllocator arena_default;
static bool core_used, stack_used, run_used, run_open;

static void *arena_alloc(void *ctx, size_t size)
{
    if (size == ARENA_SIZE && !core_used) {
        core_used = true;
        return core_arena;
    }
    if (size == STACK_SIZE && !stack_used) {
        stack_used = true;
        return core_stack;
    }
    if (size == ARENA_SIZE && run_open && !run_used && run_arena != NULL) {
        run_used = true;
        return run_arena;
    }
    return arena_default.alloc(arena_default.ctx, size);
}

static void arena_free(void *ctx, void *ptr, size_t size)
{
    if (ptr == core_arena)
        core_used = false;
    else if (ptr == core_stack)
        stack_used = false;
    else if (ptr == run_arena)
        run_used = false;
    else
        arena_default.free(arena_default.ctx, ptr, size);
}

void arena_install(void)
{
    PyObjectArenaAllocator ours = {NULL, arena_alloc, arena_free};
    room = malloc(ROOM_SIZE);
    if (posix_memalign(&run_arena, 4096, ARENA_SIZE) != 0)
        run_arena = NULL;
    PyObject_GetArenaAllocator(&arena_default);
    PyObject_SetArenaAllocator(&ours);
}

static bool in_arena(const void *p, const void *arena)
{
    return (uintptr_t)p >= (uintptr_t)arena && (uintptr_t)p < (uintptr_t)arena + ARENA_SIZE;
}

static bool begins_pool(const void *p) { return ((uintptr_t)p & (POOL_SIZE - 1)) == POOL_HEADER; }

/*
 * A run's objects shall not fill holes all over the heap, a page written for each. So all that is free elsewhere is
 * used up: first whole pools, until the run's arena is begun, then of each class blocks until one begins a pool of it.
 */
void arena_open(void)
{
    if (run_arena == NULL)
        return;
    run_open = true;
    for (int i = 0; i < GRAB_MAX; i++) {
        void *p = PyObject_Malloc(SMALL_MAX);
        if (p == NULL || in_arena(p, run_arena))
            break;
    }
    for (size_t size = SMALL_STEP; size <= SMALL_MAX; size += SMALL_STEP)
        for (int i = 0; i < GRAB_MAX; i++) {
            void *p = PyObject_Malloc(size);
            if (p == NULL || (in_arena(p, run_arena) && begins_pool(p)))
                break;
        }
}

/* What was freed since then has left holes again. */
void arena_fill(void)
{
    if (!run_used)
        return;
    for (size_t size = SMALL_STEP; size <= SMALL_MAX; size += SMALL_STEP)
        for (int i = 0; i < GRAB_MAX; i++) {
            void *p = PyObject_Malloc(size);
            if (p == NULL)
                break;
            if (in_arena(p, run_arena)) {
                PyObject_Free(p);
                break;
            }
        }
}

/* The same for malloc(): what is free below the top of its heap is taken, the largest first. */
void arena_make_room(void)
{
    char *top = (char *)sbrk(0) - mallinfo2().keepcost;
    for (size_t size = ARENA_SIZE / 2; size >= 16; size = size > CACHED_MAX ? size / 8 * 7 / 16 * 16 : size - 16)
        for (int i = 0; i < GRAB_MAX; i++) {
            char *p = malloc(size);
            __asm__ volatile("" : "+r"(p)); /* or the compiler finds that nothing is done with it */
            if (p == NULL)
                break;
            if (p >= top) {
                if (size > CACHED_MAX) /* a smaller one would be the first to be found again */
                    free(p);
                break;
            }
        }
    free(room);
}
