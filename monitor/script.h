/* SPDX-License-Identifier: MIT */
/* `thaw run FILE`: which folders the program needs to see, and where. */
#ifndef MONITOR_SCRIPT_H
#define MONITOR_SCRIPT_H

#include "sandbox.h"

struct script {
    struct thaw_mount mounts[2];
    size_t mount_count;
    const char *cwd; /* the script's folder, or NULL */
    char *host, *guest;
    char *target_host, *target_guest; /* of a script that is a symbolic link */
    char *env;                        /* THAW_SCRIPT=, the file's absolute path, for the launcher */
};

/*
 * The script's folder is shared read-only, under its own absolute path (with "." and ".." resolved by text alone, links
 * kept). Is the script a symbolic link, so is the folder of the file it leads to. A script whose folder is needed by
 * the sandbox itself, such as /tmp, is shared alone. A folder that does not exist is not shared: Python will say that
 * it cannot open the file.
 */
int script_find(struct script *s, const char *file, struct thaw_error *err);
void script_free(struct script *s);

/* Makes an absolute path out of an absolute one: no empty, "." and ".." components. In place. */
void path_normalise(char *path);

#endif
