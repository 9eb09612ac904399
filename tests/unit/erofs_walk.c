/* SPDX-License-Identifier: MIT */
#include "erofs_walk.h"

#include "fake_machine.h"
#include "fs_impl.h"

#define DEPTH_MAX 32

/* namei.c's, for those who link the file system alone. */
bool path_rdonly(const struct path *p);
__attribute__((weak)) bool path_rdonly(const struct path *p) { return true; }
#define PATH_SIZE 8192

struct walk_state {
    struct erofs_budget left;
    void (*fn)(void *arg, const struct erofs_found *e);
    void *arg;
    unsigned errors;
    char path[PATH_SIZE];
    unsigned char *buf;
};

struct names {
    struct dir_context ctx;
    struct walk_state *w;
    char *text; /* NUL-terminated names, one behind the other */
    size_t len, cap;
    u64 next; /* position behind the last */
    u32 count, stop_at;
};

long erofs_walk_leaks(void) { return fake_allocated; }
void erofs_walk_quiet(void) { fake_quiet = true; }

static bool names_actor(struct dir_context *ctx, const char *name, size_t len, u64 next_pos, u64 ino, u8 dt_type)
{
    struct names *n = container_of(ctx, struct names, ctx);

    if (n->count == n->stop_at || !n->w->left.entries)
        return false;
    n->w->left.entries--;
    n->count++;
    n->next = next_pos;
    if (n->len + len + 1 > n->cap) {
        size_t cap = (n->cap + len + 1) * 2;

        n->text = krealloc(n->text, n->cap, cap);
        n->cap = cap;
    }
    memcpy(n->text + n->len, name, len);
    n->text[n->len + len] = 0;
    n->len += len + 1;
    return true;
}

/* Lists dir in pieces of a few names, as getdents does. */
static void list_names(struct walk_state *w, struct inode *dir, struct names *n)
{
    struct file f = {.inode = dir, .op = dir->fop, .pos = 0};

    memset(n, 0, sizeof(*n));
    n->ctx.actor = names_actor;
    n->w = w;
    do {
        int r;

        n->stop_at = n->count + 7;
        n->next = (u64)f.pos;
        r = dir->fop->iterate(&f, &n->ctx);
        if (r < 0) {
            w->errors++;
            break;
        }
        if (n->next <= (u64)f.pos)
            break;
        f.pos = (loff_t)n->next;
    } while (w->left.entries);
}

static void walk_report(struct walk_state *w, struct inode *inode, const void *data, size_t len, int error)
{
    struct erofs_found e = {
        .path = w->path,
        .mode = inode->mode,
        .nlink = inode->nlink,
        .uid = inode->uid,
        .gid = inode->gid,
        .size = inode->size,
        .ino = inode->ino,
        .rdev = inode->rdev,
        .mtime_ns = inode->mtime,
        .data = data,
        .len = len,
        .error = error,
    };

    w->errors += error < 0;
    if (w->fn)
        w->fn(w->arg, &e);
}

/* Where map_image says the pages are, they have to be, with the same contents as read gives. */
static void check_map(struct walk_state *w, struct inode *inode, const void *image, const unsigned char *data,
                      size_t len)
{
    struct file f = {.inode = inode, .op = inode->fop};

    for (u64 off = 0; off < len; off += PAGE_SIZE) {
        u64 at, n = min(len - off, (size_t)PAGE_SIZE);

        if (f.op->map_image(&f, off, n, &at) && memcmp((const char *)image + at, data + off, n))
            w->errors++;
    }
    if (len) {
        u64 at, page = page_align(inode->size);

        if (f.op->map_image(&f, 0, page, &at) && memcmp((const char *)image + at, data, len))
            w->errors++;
        if (f.op->map_image(&f, 0, page + PAGE_SIZE, &at) || f.op->map_image(&f, page, PAGE_SIZE, &at))
            w->errors++;
    }
}

static void walk_inode(struct walk_state *w, struct inode *inode, const void *image, unsigned depth)
{
    size_t base = strlen(w->path), want;
    struct names n;
    ssize_t r;

    switch (inode->mode & S_IFMT) {
    case S_IFREG: {
        struct file f = {.inode = inode, .op = inode->fop};
        loff_t pos = 0, end = (loff_t)inode->size;

        want = (size_t)min((u64)w->left.bytes, inode->size + 1);
        r = f.op->read(&f, w->buf, want, &pos);
        walk_report(w, inode, w->buf, r > 0 ? (size_t)r : 0, r < 0 ? (int)r : 0);
        if (r > 0)
            check_map(w, inode, image, w->buf, (size_t)r);
        /* at, behind and around the end */
        if (f.op->read(&f, w->buf, 16, &end) != 0)
            w->errors++;
        end = inode->size > 5 ? (loff_t)inode->size - 5 : 0;
        f.op->read(&f, w->buf, min(w->left.bytes, (size_t)10), &end);
        return;
    }
    case S_IFLNK:
        r = inode->op->readlink(inode, (char *)w->buf, min(w->left.bytes, (size_t)PATH_MAX));
        walk_report(w, inode, w->buf, r > 0 ? (size_t)r : 0, r < 0 ? (int)r : 0);
        return;
    case S_IFDIR: break;
    default: walk_report(w, inode, NULL, 0, 0); return;
    }
    walk_report(w, inode, NULL, 0, 0);
    if (depth == DEPTH_MAX)
        return;
    list_names(w, inode, &n);
    for (size_t at = 0; at < n.len; at += strlen(n.text + at) + 1) {
        const char *name = n.text + at;
        size_t len = strlen(name);
        struct inode *child;
        char absent[NAME_MAX + 2];
        int e = inode->op->lookup(inode, name, len, &child);

        if (e < 0) {
            w->errors++;
            continue;
        }
        if (strcmp(name, ".") && strcmp(name, "..") && base + len + 2 < PATH_SIZE) {
            snprintf(w->path + base, PATH_SIZE - base, "%s%s", base ? "/" : "", name);
            walk_inode(w, child, image, depth + 1);
            w->path[base] = 0;
        }
        inode_put(child);
        /* a name right behind it is not there (unless it is) */
        if (len < NAME_MAX) {
            memcpy(absent, name, len);
            absent[len] = '\1';
            if (inode->op->lookup(inode, absent, len + 1, &child) == 0)
                inode_put(child);
        }
        if (len > 1 && inode->op->lookup(inode, name, len - 1, &child) == 0)
            inode_put(child);
    }
    kfree(n.text);
}

int erofs_walk(const void *image, size_t size, struct erofs_budget budget,
               void (*fn)(void *arg, const struct erofs_found *e), void *arg, unsigned *errors)
{
    struct walk_state w = {.left = budget, .fn = fn, .arg = arg};
    struct super_block *sb;
    struct thaw_statfs st;

    fake_image = image;
    sb = erofs_mount(image, size);
    if (IS_ERR(sb))
        return (int)PTR_ERR(sb);
    w.buf = kmalloc(budget.bytes);
    sb->op->statfs(sb, &st);
    walk_inode(&w, sb->root->inode, image, 0);
    kfree(w.buf);
    super_put(sb);
    if (errors)
        *errors = w.errors;
    return 0;
}

/* Nobody watches here. */
u32 inotify_watches;
void inotify_tell(struct dentry *d, u32 mask) {}
