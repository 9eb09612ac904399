/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "kvm_cpuid.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LEAF1_ECX_MONITOR (1u << 3)
#define LEAF1_ECX_VMX (1u << 5)
#define LEAF1_ECX_X2APIC (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF7_EDX_AMX (1u << 22 | 1u << 24 | 1u << 25)
#define LEAFE1_ECX_SVM (1u << 2)
#define XCR0_AMX (3u << 17) /* 8 KiB a thread for what Python has no use for */

enum { EAX, EBX, ECX, EDX };

/* Registers whose bits are features: one that was promised has to be there. Names as in Linux's cpufeatures.h. */
/* clang-format off */
static const struct features {
    uint32_t function, index;
    int reg;
    const char *name[32];
} features[] = {
    {1, 0, ECX, {"sse3", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3", "cnxt_id", "sdbg",
                 "fma", "cx16", "xtpr", "pdcm", [17] = "pcid", "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt",
                 "tsc_deadline_timer", "aes", "xsave", NULL, "avx", "f16c", "rdrand", "hypervisor"}},
    {1, 0, EDX, {"fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", [11] = "sep", "mtrr", "pge", "mca",
                 "cmov", "pat", "pse36", "pn", "clflush", [21] = "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht",
                 "tm", "ia64", "pbe"}},
    {7, 0, EBX, {"fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", [7] = "smep", "bmi2", "erms", "invpcid", "rtm",
                 "cqm", [14] = "mpx", "rdt_a", "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma",
                 [23] = "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er", "avx512cd", "sha_ni", "avx512bw",
                 "avx512vl"}},
    {7, 0, ECX, {[1] = "avx512vbmi", "umip", "pku", [5] = "waitpkg", "avx512_vbmi2", "shstk", "gfni", "vaes",
                 "vpclmulqdq", "avx512_vnni", "avx512_bitalg", "tme", "avx512_vpopcntdq", [16] = "la57", [22] = "rdpid",
                 [24] = "bus_lock_detect", "cldemote", [27] = "movdiri", "movdir64b", "enqcmd", "sgx_lc"}},
    {7, 0, EDX, {[2] = "avx512_4vnniw", "avx512_4fmaps", "fsrm", [8] = "avx512_vp2intersect", [10] = "md_clear",
                 [14] = "serialize", [16] = "tsxldtrk", [18] = "pconfig", "arch_lbr", "ibt", [22] = "amx_bf16",
                 "avx512_fp16", "amx_tile", "amx_int8", "spec_ctrl", "intel_stibp", "flush_l1d", "arch_capabilities",
                 [31] = "spec_ctrl_ssbd"}},
    {7, 1, EAX, {[4] = "avx_vnni", "avx512_bf16", [7] = "cmpccxadd", [21] = "amx_fp16", [23] = "avx_ifma", [26] = "lam"}},
    {7, 1, EDX, {[4] = "avx_vnni_int8", "avx_ne_convert", [14] = "prefetchiti"}},
    {7, 2, EDX, {0}},
    {0xd, 0, EAX, {"xsave: x87", "xsave: sse", "xsave: avx", "xsave: bndregs", "xsave: bndcsr", "xsave: avx512 opmask",
                   "xsave: avx512 zmm_hi256", "xsave: avx512 hi16_zmm", [9] = "xsave: pkru", [17] = "xsave: amx_tilecfg",
                   "xsave: amx_tiledata"}},
    {0xd, 0, EDX, {0}},
    {0xd, 1, EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
    {0xd, 1, ECX, {0}},
    {0x80000001, 0, ECX, {"lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse",
                          "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", [15] = "lwp", "fma4", "tce",
                          [19] = "nodeid_msr", [21] = "tbm", "topoext", "perfctr_core", "perfctr_nb", [26] = "bpext",
                          "ptsc", "perfctr_llc", "mwaitx"}},
    {0x80000001, 0, EDX, {[11] = "syscall", [19] = "mp", "nx", [22] = "mmxext", [25] = "fxsr_opt", "pdpe1gb", "rdtscp",
                          [29] = "lm", "3dnowext", "3dnow"}},
    {0x80000007, 0, EDX, {[8] = "constant_tsc"}},
    {0x80000008, 0, EBX, {"clzero", "irperf", "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs",
                          [15] = "stibp", [24] = "amd_ssbd", "virt_ssbd", "amd_ssb_no"}},
    {0x80000021, 0, EAX, {"no_nested_data_bp", [2] = "lfence_rdtsc", [6] = "null_sel_clr_base", [8] = "autoibrs"}},
};
/* clang-format on */

static uint32_t reg_of(const struct cpuid_entry *e, int reg)
{
    return !e ? 0 : reg == EAX ? e->eax : reg == EBX ? e->ebx : reg == ECX ? e->ecx : e->edx;
}

const struct cpuid_entry *cpuid_find(const struct cpuid *c, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const struct cpuid_entry *e = &c->entry[i];
        if (e->function == function && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
            return e;
    }
    return NULL;
}

/* Devices that a hypervisor offers: we offer none, and none is to be had by way of a file. */
static bool is_paravirtual(uint32_t function) { return function >= 0x40000000 && function < 0x50000000; }

/* Leaves of what no guest of ours is given: topology, since there is one processor, and SVM, SGX, tracing, AMX, SEV. */
static bool is_withheld(const struct cpuid_entry *e)
{
    switch (e->function) {
    case 0xb:
    case 0x12:
    case 0x14:
    case 0x1d:
    case 0x1e:
    case 0x1f:
    case 0x8000000a:
    case 0x8000001f: return true;
    case 0xd: return e->index == 17 || e->index == 18;
    default: return is_paravirtual(e->function);
    }
}

void cpuid_filter(struct cpuid *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        struct cpuid_entry *e = &c->entry[i];
        if (is_withheld(e))
            continue;
        switch (e->function) {
        case 1:
            e->ebx &= 0x0000ffffu; /* not which of the host's processors this is */
            e->ebx |= 1u << 16;
            e->ecx &= ~(LEAF1_ECX_MONITOR | LEAF1_ECX_VMX | LEAF1_ECX_X2APIC | LEAF1_ECX_TSC_DEADLINE);
            break;
        case 7: e->edx &= e->index == 0 ? ~LEAF7_EDX_AMX : ~0u; break;
        case 0xa: e->eax = e->ebx = e->ecx = e->edx = 0; break; /* no performance counters */
        case 0xd: e->eax &= e->index == 0 ? ~XCR0_AMX : ~0u; break;
        case 0x80000001: e->ecx &= ~LEAFE1_ECX_SVM; break;
        default: break;
        }
        c->entry[n++] = *e;
    }
    c->count = n;
}

int cpuid_host(struct cpuid *c, struct thaw_error *err)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[CPUID_MAX];
    } t = {.head.nent = CPUID_MAX};
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int r = fd < 0 ? -1 : ioctl(fd, KVM_GET_SUPPORTED_CPUID, &t), e = errno;

    if (fd >= 0)
        close(fd);
    if (r < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, e, "--machine kvm: %s: %s; see `thaw doctor`",
                              fd < 0 ? "/dev/kvm" : "asking KVM for the processor's features", strerror(e));
    c->count = t.head.nent < CPUID_MAX ? t.head.nent : CPUID_MAX;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct kvm_cpuid_entry2 *k = &t.entry[i];
        c->entry[i] = (struct cpuid_entry){k->function, k->index, k->flags, k->eax, k->ebx, k->ecx, k->edx};
    }
    cpuid_filter(c);
    return 0;
}

const char *cpuid_check(const struct cpuid_entry *entry, uint32_t count)
{
    if (!count || count > CPUID_MAX)
        return "its processor has too many leaves, or none";
    for (uint32_t i = 0; i < count; i++) {
        if (is_withheld(&entry[i]))
            return "its processor has a leaf that no guest is given";
        if (entry[i].flags & ~KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
            return "its processor has a leaf with flags that none has";
        /* Of two the processor would show one, and the checks see the other. */
        for (uint32_t k = 0; k < i; k++)
            if (entry[k].function == entry[i].function &&
                (entry[k].index == entry[i].index || entry[k].flags != entry[i].flags ||
                 !(entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
                return "its processor has a leaf twice";
    }
    return NULL;
}

/* Sizes and places in the XSAVE area, which a saved one depends on. */
static bool xsave_fits(const struct cpuid *host, const struct cpuid *guest, char why[CPUID_WHY])
{
    const struct cpuid_entry *parts = cpuid_find(guest, 0xd, 0);
    uint64_t xcr0 = (uint64_t)reg_of(parts, EDX) << 32 | reg_of(parts, EAX);

    for (uint32_t part = 2; part < 63; part++) {
        const struct cpuid_entry *g = cpuid_find(guest, 0xd, part), *h = cpuid_find(host, 0xd, part);
        if (!(xcr0 >> part & 1))
            continue;
        if (!g || !h || g->eax != h->eax || g->ebx != h->ebx) {
            snprintf(why, CPUID_WHY, "another layout of the XSAVE area, at part %u", part);
            return false;
        }
    }
    return true;
}

static bool vendor_fits(const struct cpuid *host, const struct cpuid *guest, char why[CPUID_WHY])
{
    const struct cpuid_entry *g = cpuid_find(guest, 0, 0), *h = cpuid_find(host, 0, 0);
    uint32_t name[3] = {reg_of(g, EBX), reg_of(g, EDX), reg_of(g, ECX)};
    char text[13] = "";

    if (name[0] == reg_of(h, EBX) && name[1] == reg_of(h, EDX) && name[2] == reg_of(h, ECX))
        return true;
    memcpy(text, name, 12);
    for (char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    snprintf(why, CPUID_WHY, "a processor of %s", text);
    return false;
}

bool cpuid_fits(const struct cpuid *host, const struct cpuid *guest, char why[CPUID_WHY])
{
    if (!vendor_fits(host, guest, why))
        return false;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        const struct features *f = &features[i];
        uint32_t missing = reg_of(cpuid_find(guest, f->function, f->index), f->reg) &
                           ~reg_of(cpuid_find(host, f->function, f->index), f->reg);
        if (!missing)
            continue;
        unsigned bit = (unsigned)__builtin_ctz(missing);
        if (f->name[bit])
            snprintf(why, CPUID_WHY, "%s", f->name[bit]);
        else
            snprintf(why, CPUID_WHY, "the feature of CPUID leaf %#x.%u, %s, bit %u", f->function, f->index,
                     &"eax\0ebx\0ecx\0edx"[f->reg * 4], bit);
        return false;
    }
    const struct cpuid_entry *g = cpuid_find(guest, 0xa, 0);
    if (g && (g->eax | g->ebx | g->ecx | g->edx)) {
        snprintf(why, CPUID_WHY, "performance counters");
        return false;
    }
    return xsave_fits(host, guest, why);
}
