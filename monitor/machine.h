/* SPDX-License-Identifier: MIT */
/* What both machines' back ends have in common: a child process with a boot area and a control socket. */
#ifndef MONITOR_MACHINE_H
#define MONITOR_MACHINE_H

#include "sandbox.h"

#include <sched.h> /* with _GNU_SOURCE */

#define BOOT_TABLES 0x4000u /* in the boot area: the monitor's tables from here on; kernels have what lies below */
#define CHILD_FDS 8

/* The child, between clone(2) and its kernel's first instruction. */
struct child {
    const struct sandbox_config *config;
    struct sandbox *sb;
    struct thaw_boot *boot;
    int fds[CHILD_FDS]; /* in the order of THAW_FD_*, then the machine's; -1: none */
    pid_t parent;
    size_t boot_used;
};

struct machine {
    char name[8]; /* as in struct snapshot_key */
    const uint8_t *build_id;
    /* In the caller's process: what can fail with a clear error. Fills c->fds beyond THAW_FD_SNAPSHOT. */
    int (*prepare)(struct sandbox *sb, struct child *c, struct thaw_error *err);
    /* In the caller's process, after the clone, also after a failure. */
    void (*prepared)(struct sandbox *sb, struct child *c);
    /* In the child. */
    __attribute__((noreturn)) void (*run)(struct child *c);
    /* What is wrong with a snapshot's region or resume point, apart from what holds for every machine; NULL: nothing. */
    const char *(*region_check)(const struct thaw_region *r, bool *user);
    bool (*resume_check)(uint64_t resume);
};
extern const struct machine machine_process, machine_kvm;
/* False: a sandbox with so much memory, or on so large an image, cannot be had on the kvm machine. */
bool machine_kvm_holds(uint64_t memory_limit, uint64_t image_size);
/* Takes all but that many, 0: none, out of a set of processors; how many are left. */
uint32_t machine_cpus_limit(cpu_set_t *set, uint32_t most);
/* NULL: there is none of that name. */
const struct machine *machine_find(const char name[8]);

/* ---- in the child: raw system calls only, there may be no libc. A failure ends it, and says why in boot->exit. ---- */
void child_fail(struct thaw_boot *boot, const char *what, int error) __attribute__((noreturn));
void child_check(struct thaw_boot *boot, const char *what, long ret); /* fails if ret is -errno */
void child_begin(struct thaw_boot *boot, pid_t parent);               /* dies with its parent */
void child_descriptors(struct child *c);                              /* fds become 0, 1, ...; all others are closed */
void child_close_from(struct thaw_boot *boot, int first);
void child_limits(struct thaw_boot *boot, uint64_t data);
void child_privileges(struct thaw_boot *boot);
void child_harden(struct thaw_boot *boot);
/* Landlock where the host has it; a process without it is confined by its filter all the same. */
void child_landlock_if_there(void); /* --harden: what lies under the filter, should it have a hole */

#endif
