/* SPDX-License-Identifier: MIT */
/* Between poll(2) and its kin and the files that are polled. */
#ifndef CORE_POLL_H
#define CORE_POLL_H

#include "fs.h"

#define POLLRDBAND 0x080u
#define POLLWRBAND 0x200u

struct poll_table {
    void (*queue)(struct poll_table *pt, struct file *f, struct wait_queue *wq); /* NULL: they are known already */
    u32 want;       /* the events asked for; POLLERR and POLLHUP always are */
    u32 console[3]; /* CONSOLE_*: what the sleeper has to hear from the caller's stdio, by descriptor */
};

/* True if one of events is asked for: a file with several queues need not register with the others. */
static inline bool poll_wants(const struct poll_table *pt, u32 events) { return !pt || (pt->want & events); }
/* For files on the caller's stdio, which have no wait queue. */
void poll_wait_console(int n, struct poll_table *pt);

/* devfs.c: the number (0 to 2) of a file on the caller's stdio, else -1. */
int console_number(const struct file *f);

#endif
