/* SPDX-License-Identifier: MIT */
/* The options of `thaw run` and `thaw exec`. */
#ifndef MONITOR_OPTIONS_H
#define MONITOR_OPTIONS_H

#include "sandbox.h"

/* "500ms", "10s", "2m", "1h", "1.5" (seconds): nanoseconds. False: not a duration, or none above zero. */
bool duration_parse(const char *text, int64_t *ns);
/* "268435456", "256M", "1G", "512k" (powers of 1024): bytes. False: not a size, or too large. */
bool size_parse(const char *text, uint64_t *bytes);
/* "1" and up. False: not a number, or more than anybody has. */
bool cpus_parse(const char *text, uint32_t *cpus);
/* "HOST:GUEST[:ro]": splits it in place. False: not that, or GUEST is not absolute. */
bool mount_parse(char *text, struct thaw_mount *mount);

/* "auto", "process", "kvm". False: none of these. */
bool machine_parse(const char *name, enum thaw_machine *machine);

struct options {
    bool help, strace, harden, cold;
    enum thaw_machine machine;
    const char *image, *snapshot, *stats, *root, *cwd;
    uint64_t memory;
    uint32_t cpus;    /* 0: not said */
    int64_t timeout;  /* ns; -1: none */
    const char **env; /* NULL-terminated */
    size_t env_count;
    struct thaw_mount *mounts;
    size_t mount_count;
    const char **argv; /* what is behind the options: the words of python, or the program */
};

enum options_for { OPTIONS_RUN, OPTIONS_EXEC };

/* argv is of the command, argv[0] its name. -1 with err: what is wrong, and where help is to be had. The strings stay
 * argv's; -v's are written to. */
int options_parse(struct options *o, enum options_for what, char **argv, struct thaw_error *err);
void options_free(struct options *o);

#endif
