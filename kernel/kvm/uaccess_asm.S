/* SPDX-License-Identifier: MIT */
/*
 * The only code that touches user memory, and for that the only code between STAC and CLAC. A fault inside lands on the
 * fixup that uaccess_table names.
 */

    .macro site insn
    .pushsection .rodata.smap, "a"
    .quad 777f, \insn
    .popsection
777: .byte 0x0f, 0x1f, 0x00
    .endm
    .macro CLAC
    site 0
    .endm
    .macro STAC
    site 1
    .endm

    .macro extable from, to, fixup
    .pushsection .rodata.extable, "a"
    .quad \from, \to, \fixup
    .popsection
    .endm

    .text
/* u64 uaccess_copy(void *dst, const void *src, u64 n): bytes left */
    .globl uaccess_copy
uaccess_copy:
    mov %rdx, %rcx
    STAC
10: rep movsb
11: CLAC
    mov %rcx, %rax
    ret
    extable 10b, 11b, 11b

    .globl uaccess_clear
uaccess_clear:
    mov %rsi, %rcx
    xor %eax, %eax
    STAC
20: rep stosb
21: CLAC
    mov %rcx, %rax
    ret
    extable 20b, 21b, 21b

/* u64 uaccess_load_u32(u32 *dst, const u32 *src): 0 or not */
    .globl uaccess_load_u32
uaccess_load_u32:
    STAC
30: mov (%rsi), %ecx
31: CLAC
    mov %ecx, (%rdi)
    xor %eax, %eax
    ret
32: CLAC
    mov $1, %eax
    ret
    extable 30b, 31b, 32b

/* u64 uaccess_cmpxchg_u32(u32 *addr, u32 old, u32 new, u32 *seen): 0 or not */
    .globl uaccess_cmpxchg_u32
uaccess_cmpxchg_u32:
    mov %esi, %eax
    STAC
40: lock cmpxchg %edx, (%rdi)
41: CLAC
    mov %eax, (%rcx)
    xor %eax, %eax
    ret
42: CLAC
    mov $1, %eax
    ret
    extable 40b, 41b, 42b

    .section .note.GNU-stack, "", @progbits
