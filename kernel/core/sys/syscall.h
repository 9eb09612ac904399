/* SPDX-License-Identifier: MIT */
/* System calls: one table (sys/table.c), thin entries that live beside the subsystem they enter. */
#ifndef CORE_SYSCALL_H
#define CORE_SYSCALL_H

#include "kernel.h"
#include "machine.h"

/* Arguments as the user passed them; the result is what rax gets. */
typedef s64 (*syscall_fn)(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);

#define SYSCALL(name) s64 sys_##name(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
/* At the top of a body: names the arguments that are not used. */
#define UNUSED6 (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5

struct syscall_desc {
    syscall_fn fn;
    const char *name;
    const char
        *args; /* for the log, one letter an argument: d int, u unsigned, x hex, o octal, p pointer, s string, f fd,
                         b buffer whose length is the next argument */
};
extern const struct syscall_desc syscall_table[];
extern const u32 syscall_table_size;

/* Registers of the call being served, for execve, clone, rt_sigreturn. */
struct pt_regs *current_regs(void);

#endif
