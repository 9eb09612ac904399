/* SPDX-License-Identifier: MIT */
/*
 * What a guest of the kvm machine sees of its processor. A cold start gives it all that the host has and that makes sense
 * here; a snapshot keeps that, and a restore gives the same again, on whatever host has no less.
 */
#ifndef MONITOR_KVM_CPUID_H
#define MONITOR_KVM_CPUID_H

#include "thaw.h"

#include <stdbool.h>
#include <stdint.h>

#define CPUID_MAX 128u /* on disk: docs/snapshot-format.md */
#define CPUID_WHY 160u

struct cpuid_entry {
    uint32_t function, index;
    uint32_t flags; /* KVM_CPUID_FLAG_* */
    uint32_t eax, ebx, ecx, edx;
};
_Static_assert(sizeof(struct cpuid_entry) == 28, "on disk");

struct cpuid {
    uint32_t count;
    struct cpuid_entry entry[CPUID_MAX];
};

/* What a cold start on this host gives to its guest. -1 with err. */
int cpuid_host(struct cpuid *c, struct thaw_error *err);
/* Takes away from what KVM supports what the guest's kernel has no use for. */
void cpuid_filter(struct cpuid *c);
/* NULL; or what is wrong with a table that comes from a file. */
const char *cpuid_check(const struct cpuid_entry *entry, uint32_t count);
/* True: host has all that guest was promised. Else why says what it lacks, by the name that /proc/cpuinfo has for it. */
bool cpuid_fits(const struct cpuid *host, const struct cpuid *guest, char why[CPUID_WHY]);
/* NULL: there is no such leaf. */
const struct cpuid_entry *cpuid_find(const struct cpuid *c, uint32_t function, uint32_t index);

#endif
