/* SPDX-License-Identifier: MIT */
/* The snapshot file: docs/snapshot-format.md. Little-endian, as the only machine that reads it. */
#ifndef MONITOR_SNAPSHOT_H
#define MONITOR_SNAPSHOT_H

#include "kvm_cpuid.h"
#include "sandbox.h"

#define SNAPSHOT_MAGIC "THAWSNAP"
#define SNAPSHOT_FORMAT 4u
#define SNAPSHOT_TABLE_OFF 256u
#define SNAPSHOT_CPUID_OFF (SNAPSHOT_TABLE_OFF + THAW_REGION_MAX * (uint32_t)sizeof(struct thaw_region))
#define SNAPSHOT_PAGES_OFF ((SNAPSHOT_CPUID_OFF + 4095u) & ~4095u)

struct snapshot_header {
    char magic[8];
    uint32_t format;
    uint32_t header_size; /* of this structure */
    struct snapshot_key key;
    uint64_t file_size;
    uint64_t resume;
    uint64_t memory_limit;
    uint64_t created_ns;   /* CLOCK_REALTIME */
    uint32_t region_count; /* struct thaw_region at SNAPSHOT_TABLE_OFF, hints last */
    uint32_t populate_count;
    uint8_t table_sum[16];  /* XXH3-128 of the table */
    uint8_t pages_sum[16];  /* XXH3-128 of the file from SNAPSHOT_PAGES_OFF to its end */
    uint32_t cpuid_count;   /* kvm: struct cpuid_entry at SNAPSHOT_CPUID_OFF; else 0 */
    uint32_t reserved;      /* 0 */
    uint8_t cpuid_sum[16];  /* XXH3-128 of these */
    uint8_t header_sum[16]; /* XXH3-128 of all that stands before it */
};
_Static_assert(sizeof(struct snapshot_key) == 56, "on disk");
_Static_assert(offsetof(struct snapshot_header, table_sum) == 112, "on disk");
_Static_assert(sizeof(struct snapshot_header) == 184, "on disk");
_Static_assert(SNAPSHOT_CPUID_OFF + CPUID_MAX * sizeof(struct cpuid_entry) <= SNAPSHOT_PAGES_OFF,
               "between the table and the pages");

/* The header's own sum, and the table's. */
void snapshot_sum(const void *data, size_t n, uint8_t sum[16]);
/* Checks a table that claims to describe a file of file_size bytes. NULL, or what is wrong with it. */
const char *snapshot_table_check(const struct machine *machine, const struct thaw_region *r, uint32_t count,
                                 uint32_t hints, uint64_t file_size, uint64_t resume);

#endif
