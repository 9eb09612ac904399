/* SPDX-License-Identifier: MIT */
/* Every limit of the kernel. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ul
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define PATH_MAX 4096
#define NAME_MAX 255
#define SYMLINK_MAX 40 /* links followed in one path walk */

#define NR_OPEN 65536      /* descriptors of a process, hard limit */
#define NR_OPEN_SOFT 1024  /* RLIMIT_NOFILE to begin with */
#define NR_TASKS 4096      /* threads in the sandbox */
#define NR_PROCESSES 256   /* processes in the sandbox, zombies not counted */
#define NR_VMAS 65530      /* as vm.max_map_count */
#define ARG_MAX (2u << 20) /* argv and envp of execve, with their pointers */

#define PIPE_SIZE 65536
#define PIPE_BUF 4096

#define KSTACK_SIZE (64ul << 10) /* a power of two: current is found by masking the stack pointer */
#define KSTACK_SLOT (128ul << 10)

#define USER_STACK_SIZE (8ul << 20)
#define COMMIT_CHUNK (2ul << 20)  /* large anonymous memory is charged in pieces of this size */
#define COMMIT_STACK (64ul << 10) /* threads' stacks in such: there may be a thousand, hardly used */
#define BSS_EAGER_MAX (8ul << 20) /* a program's .bss, up to this, is charged as a whole: no faults later */

#endif
