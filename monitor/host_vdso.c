/* SPDX-License-Identifier: MIT */
/* The host's vDSO: the sandbox keeps it, so that reading a clock costs no system call. See vdso(7). */
#define _GNU_SOURCE
#include "process.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The range of the mappings called [vvar...] and [vdso], which adjoin. False if they do not, or are not to be had. */
static bool vdso_range(uintptr_t *start, uintptr_t *end)
{
    char buf[8192];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
    size_t have = 0;

    while (n > 0 && have + (size_t)n < sizeof(buf) - 1) { /* the kernel hands out whole lines, a page at most */
        have += (size_t)n;
        n = read(fd, buf + have, sizeof(buf) - 1 - have);
    }
    if (fd >= 0)
        close(fd);
    buf[have] = 0;
    *start = *end = 0;
    for (char *line = buf, *next; *line; line = next) {
        next = strchr(line, '\n');
        if (!next)
            break;
        *next++ = 0;
        if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
            continue;
        char *dash;
        uintptr_t from = strtoul(line, &dash, 16), to = *dash == '-' ? strtoul(dash + 1, NULL, 16) : 0;
        if (*end && from != *end)
            return false;
        if (!*start)
            *start = from;
        *end = to;
    }
    return *end > *start;
}

/* Address of a symbol in the vDSO, or 0. The image is the host kernel's, so it is believed. */
static uintptr_t vdso_symbol(uintptr_t base, const char *name)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    const Elf64_Sym *sym = NULL;
    const char *str = NULL;
    uintptr_t bias = 0;
    size_t count = 0;

    for (int i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD)
            bias = base + ph[i].p_offset - ph[i].p_vaddr;
        else if (ph[i].p_type == PT_DYNAMIC)
            dyn = (const Elf64_Dyn *)(base + ph[i].p_offset);
    }
    for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
        uintptr_t p = bias + dyn->d_un.d_ptr;
        if (dyn->d_tag == DT_SYMTAB)
            sym = (const Elf64_Sym *)p;
        else if (dyn->d_tag == DT_STRTAB)
            str = (const char *)p;
        else if (dyn->d_tag == DT_HASH)
            count = ((const uint32_t *)p)[1];
    }
    if (!sym || !str)
        return 0;
    if (!count) /* the table of names follows the table of symbols, as every linker lays them out */
        count = (uintptr_t)str > (uintptr_t)sym ? ((uintptr_t)str - (uintptr_t)sym) / sizeof(*sym) : 0;
    for (size_t i = 0; i < count; i++)
        if (sym[i].st_shndx != SHN_UNDEF && !strcmp(str + sym[i].st_name, name))
            return bias + sym[i].st_value;
    return 0;
}

struct thaw_vdso host_vdso_find(void)
{
    struct thaw_vdso v = {0, 0, 0, 0};
    uintptr_t base = getauxval(AT_SYSINFO_EHDR), start, end;
    uintptr_t fn = base ? vdso_symbol(base, "__vdso_clock_gettime") : 0;

    if (!fn || !vdso_range(&start, &end) || base < start || fn >= end)
        return v;
    v.start = start;
    v.end = end;
    v.clock_gettime = fn;
    return v;
}
