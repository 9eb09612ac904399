/* SPDX-License-Identifier: MIT */
/*
 * Where the interpreter's memory lies. What nearly every run writes to - the interpreter's own objects, and what a run
 * allocates first - is kept within one huge page beside .data and .bss (see python/hot.lds), so that a restored start
 * brings it in by one copy and one page fault. What is imported ahead lies elsewhere.
 */
#ifndef THAW_PYTHON_ARENA_H
#define THAW_PYTHON_ARENA_H

/* Before Py_Initialize*(): see PyObject_SetArenaAllocator() in CPython's documentation, "Memory Management". */
void arena_install(void);

/* Objects made from here on lie in the huge page, as far as that goes, and side by side. Once. */
void arena_open(void);

/* Uses up what was freed elsewhere since arena_open(). */
void arena_fill(void);

/* The same for what malloc() gives. Once, and last of all: the room is small. */
void arena_make_room(void);

#endif
