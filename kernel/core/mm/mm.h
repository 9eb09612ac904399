/* SPDX-License-Identifier: MIT */
/* Address spaces: the list of mappings (vma), and the calls that change it. */
#ifndef CORE_MM_H
#define CORE_MM_H

#include "kernel.h"
#include "machine.h"

struct file;

#define MAP_SHARED 0x01u
#define MAP_PRIVATE 0x02u
#define MAP_SHARED_VALIDATE 0x03u
#define MAP_TYPE 0x0fu
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_GROWSDOWN 0x100u
#define MAP_NORESERVE 0x4000u
#define MAP_POPULATE 0x8000u
#define MAP_STACK 0x20000u
#define MAP_FIXED_NOREPLACE 0x100000u

/* A mapping, [start, end). Kept sorted in mm->vmas, never overlapping. */
struct vma {
    u64 start, end;
    u32 prot;          /* PROT_* */
    u32 flags;         /* VMA_* */
    struct file *file; /* shown in /proc/self/maps; NULL: anonymous */
    u64 pgoff;         /* bytes into the file */
    u64 image_offset;  /* VMA_IMAGE: bytes into the root image that start maps */
};
#define VMA_SHARED 1u
#define VMA_IMAGE 2u   /* pages come from the root image, privately */
#define VMA_WRITTEN 4u /* was writable at some time: pages may differ from the image */
#define VMA_LAZY 8u    /* large anonymous memory: made writable, and charged, a COMMIT_CHUNK at a time */
#define VMA_STACK 16u
#define VMA_THREAD_STACK 64u /* of MAP_STACK: VMA_LAZY in pieces of COMMIT_STACK */
#define VMA_PAGES 32u        /* shared pages of the file itself, mapped as they are touched */
#define VMA_PINNED 128u      /* the machine's own: the program may not unmap or change it */

/*
 * What execve lays out stands below mm->top: the vDSO, the stack, and what mmap finds room for. That is the end of user
 * memory or, for a small static program at a fixed address, a gigabyte, so that one page table of each of the upper
 * levels holds all of it: on a virtual machine they cost a start more than pages. What does not fit in goes to the end.
 */
#define TOP_LOW (1ul << 30)
#define TOP_LOW_PROGRAM (256ul << 20) /* ends no higher than this */
#define MMAP_BASE(top) ((top) - (64ul << 20))
#define VDSO_ADDR(mm) ((mm)->top - (512ul << 10))
#define STACK_TOP(mm) ((mm)->top - (1ul << 20))

struct mm {
    u32 refs;
    struct vma *vmas; /* sorted array */
    u32 nr_vmas, cap_vmas;
    u64 start_brk, brk;
    u64 start_stack;
    u64 top;
    u64 mmap_base; /* new mappings go below, downwards */
    u64 arg_start, arg_end, env_start, env_end;
    u64 start_code, end_code, start_data, end_data;
    u64 total_vm; /* bytes mapped */
    u64 auxv[48];
    u32 direct_used; /* of the machine process: bytes taken of its area for direct calls */
    void *machine;
};

struct mm *mm_create(void);
/* The record of a copy of mm, for fork; the machine copies the memory. NULL: no memory. */
struct mm *mm_fork(const struct mm *mm);
void mm_get(struct mm *mm);
/* More than one process uses it (vfork). */
static inline bool mm_is_shared(const struct mm *mm) { return mm->refs > 1; }
void mm_put(struct mm *mm);
bool mm_has_pages(const struct mm *mm);           /* some mapping shares the pages of a file */
struct vma *mm_find_vma(struct mm *mm, u64 addr); /* the one that holds addr, or the first above, or NULL */

/* mmap(2) of the current process; address or -errno. file may be NULL; off in bytes. */
s64 mm_mmap(u64 addr, u64 len, u32 prot, u32 flags, struct file *file, u64 off);
int mm_munmap(struct mm *mm, u64 addr, u64 len);
int mm_mprotect(struct mm *mm, u64 addr, u64 len, u32 prot);
s64 mm_brk(u64 brk); /* the break that now holds, as the system call */
s64 mm_mremap(u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr);
int mm_madvise(u64 addr, u64 len, int advice);
/* A fault at addr: true if the access may be tried again (or the process is now ending for want of memory). */
bool mm_fault(u64 addr, bool write);
/* A fault at addr that mm_fault() could not mend: there is a mapping, but its file ends before. */
bool mm_fault_beyond_file(u64 addr);

/* The current process is killed, as Linux's OOM killer would. Takes effect on the way to user mode. */
void mm_out_of_memory(void);

/* Replaces the current process's program (execve). path absolute or relative to cwd. On success regs are set.
 * argv and envp are kernel copies, NULL-terminated. */
int exec_program(const char *path, char *const argv[], char *const envp[], struct pt_regs *regs);

#endif
