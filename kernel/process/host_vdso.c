/* SPDX-License-Identifier: MIT */
/* The host's vDSO, by which a program reads its clocks without a system call. See vdso(7) and elf(5). */
#include "process.h"

#include "proc/elf.h"

/* A program that reads no more clocks than this does not pay for touching the vDSO; a call of the host by a signal costs about
 * as much as one of the pages. */
#define READINGS_MIN 4

static u32 readings;

/* Address of a symbol in the vDSO, or 0. The image is the host kernel's, so it is believed. */
static u64 vdso_symbol(u64 base, const char *name)
{
    const struct elf64_ehdr *eh = (const void *)base;
    const struct elf64_phdr *ph = (const void *)(base + eh->phoff);
    const struct elf64_dyn *dyn = NULL;
    const struct elf64_sym *sym = NULL;
    const char *str = NULL;
    u64 bias = 0, count = 0;

    for (u32 i = 0; i < eh->phnum; i++) {
        if (ph[i].type == PT_LOAD)
            bias = base + ph[i].offset - ph[i].vaddr;
        else if (ph[i].type == PT_DYNAMIC)
            dyn = (const void *)(base + ph[i].offset);
    }
    for (; dyn && dyn->tag; dyn++) {
        u64 p = bias + dyn->value;
        if (dyn->tag == DT_SYMTAB)
            sym = (const void *)p;
        else if (dyn->tag == DT_STRTAB)
            str = (const void *)p;
        else if (dyn->tag == DT_HASH)
            count = ((const u32 *)p)[1];
    }
    if (!sym || !str)
        return 0;
    if (!count) /* the table of names follows the table of symbols, as every linker lays them out */
        count = (u64)str > (u64)sym ? ((u64)str - (u64)sym) / sizeof(*sym) : 0;
    for (u64 i = 0; i < count; i++)
        if (sym[i].shndx && !strcmp(str + sym[i].name, name))
            return bias + sym[i].value;
    return 0;
}

void host_vdso_forget(void) { readings = 0; }

void host_vdso_reading(void)
{
    if (++readings == READINGS_MIN && boot->vdso.base)
        boot->vdso.clock_gettime = vdso_symbol(boot->vdso.base, "__vdso_clock_gettime");
}
