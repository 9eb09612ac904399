/* SPDX-License-Identifier: MIT */
/* File systems whose files are made up when they are read: /proc and /sys. A tree of constant tables. */
#ifndef CORE_PSEUDO_H
#define CORE_PSEUDO_H

#include "fs_impl.h"

/* Text that grows; once memory is short it stays as it is and the read fails. */
struct seq {
    char *buf;
    size_t len, cap;
    bool failed;
};
void seq_write(struct seq *s, const void *data, size_t n);
void seq_printf(struct seq *s, const char *fmt, ...) __printf(2, 3);

/* What a file is about; 0 and -1: of no process, of no descriptor. */
struct pseudo_ref {
    pid_t pid, tid;
    int fd;
};

/* A file of any type. Tables of them end with a name of NULL. Each function may answer -ESRCH, -ENOENT, ... */
struct pseudo_entry {
    const char *name;
    mode_t mode;
    int (*show)(struct seq *s, const struct pseudo_ref *ref);                  /* S_IFREG */
    ssize_t (*write)(const struct pseudo_ref *ref, const char *buf, size_t n); /* NULL: read-only */
    ssize_t (*readlink)(const struct pseudo_ref *ref, char *buf, size_t size); /* S_IFLNK */
    int (*follow)(const struct pseudo_ref *ref, struct path *res);             /* NULL: by the text */
    const struct pseudo_entry *children;                                       /* S_IFDIR */
    /* A directory with a file for each of some numbers, behind the children. */
    const struct pseudo_entry *numbered;
    bool (*number_ref)(const struct pseudo_ref *dir, u64 number, struct pseudo_ref *ref); /* false: no such */
    s64 (*number_next)(const struct pseudo_ref *dir, u64 number); /* the lowest that is >= number, or -1 */
};

/* What an inode is about that was made from entry; NULL: it was not. */
const struct pseudo_ref *pseudo_ref_of(const struct inode *inode, const struct pseudo_entry *entry);

struct super_block *pseudo_mount(const char *type, u64 magic, const struct pseudo_entry *root);

#endif
