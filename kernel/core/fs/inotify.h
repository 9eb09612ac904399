/* SPDX-License-Identifier: MIT */
/* What happens to files, told to those who watch: inotify(7). */
#ifndef CORE_INOTIFY_H
#define CORE_INOTIFY_H

#include "fs_impl.h"

#define IN_ACCESS 0x001u
#define IN_MODIFY 0x002u
#define IN_ATTRIB 0x004u
#define IN_CLOSE_WRITE 0x008u
#define IN_CLOSE_NOWRITE 0x010u
#define IN_OPEN 0x020u
#define IN_MOVED_FROM 0x040u
#define IN_MOVED_TO 0x080u
#define IN_CREATE 0x100u
#define IN_DELETE 0x200u
#define IN_DELETE_SELF 0x400u
#define IN_MOVE_SELF 0x800u
#define IN_ALL_EVENTS 0xfffu

extern u32 inotify_watches; /* in the whole sandbox: without any there is nothing to do */

void inotify_tell(struct dentry *d, u32 mask);
void inotify_tell_name(struct dentry *dir, const char *name, size_t len, bool directory, u32 mask, u32 cookie);
u32 inotify_cookie(void);

/* d was opened, read, written, closed, changed: its own watches hear it, and with its name its directory's. */
static inline void inotify_dentry(struct dentry *d, u32 mask)
{
    if (unlikely(inotify_watches) && d)
        inotify_tell(d, mask);
}
/* A name came or went. */
static inline void inotify_name(struct dentry *dir, const char *name, size_t len, bool directory, u32 mask)
{
    if (unlikely(inotify_watches))
        inotify_tell_name(dir, name, len, directory, mask, 0);
}

#endif
