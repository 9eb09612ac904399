/* SPDX-License-Identifier: MIT */
/* The only code that touches user memory. A fault inside lands on the fixup that uaccess_table names. */

    .macro extable from, to, fixup
    .pushsection .rodata.extable, "a"
    .quad \from, \to, \fixup
    .popsection
    .endm

    .section .rodata.extable, "a"
    .globl uaccess_table
uaccess_table:

    .text
/* u64 uaccess_copy(void *dst, const void *src, u64 n): bytes left */
    .globl uaccess_copy
uaccess_copy:
    mov %rdx, %rcx
10: rep movsb
11: mov %rcx, %rax
    ret
    extable 10b, 11b, 11b

    .globl uaccess_clear
uaccess_clear:
    mov %rsi, %rcx
    xor %eax, %eax
20: rep stosb
21: mov %rcx, %rax
    ret
    extable 20b, 21b, 21b

/* u64 uaccess_load_u32(u32 *dst, const u32 *src): 0 or not */
    .globl uaccess_load_u32
uaccess_load_u32:
30: mov (%rsi), %ecx
31: mov %ecx, (%rdi)
    xor %eax, %eax
    ret
32: mov $1, %eax
    ret
    extable 30b, 31b, 32b

/* u64 uaccess_cmpxchg_u32(u32 *addr, u32 old, u32 new, u32 *seen): 0 or not */
    .globl uaccess_cmpxchg_u32
uaccess_cmpxchg_u32:
    mov %esi, %eax
40: lock cmpxchg %edx, (%rdi)
41: mov %eax, (%rcx)
    xor %eax, %eax
    ret
42: mov $1, %eax
    ret
    extable 40b, 41b, 42b

    .section .rodata.extable_end, "a"
    .globl uaccess_table_end
uaccess_table_end:
    .section .note.GNU-stack, "", @progbits
