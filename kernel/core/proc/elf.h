/* SPDX-License-Identifier: MIT */
/* 64-bit ELF, as far as the kernel reads it: elf(5). */
#ifndef CORE_ELF_H
#define CORE_ELF_H

#include "kernel.h"

#define ET_EXEC 2
#define ET_DYN 3
#define EM_X86_64 62
#define PT_LOAD 1
#define PT_DYNAMIC 2
#define PT_INTERP 3
#define PT_GNU_STACK 0x6474e551u
#define PF_X 1u
#define PF_W 2u
#define PF_R 4u
#define DT_HASH 4
#define DT_STRTAB 5
#define DT_SYMTAB 6

struct elf64_ehdr {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_phdr {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf64_dyn {
    u64 tag, value;
};

struct elf64_sym {
    u32 name;
    u8 info, other;
    u16 shndx;
    u64 value, size;
};

#endif
