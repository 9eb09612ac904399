/* SPDX-License-Identifier: MIT */
/* The tree: which file system sits where, at the start and after a restore. */
#include "vfs.h"

static struct list_head mount_list = LIST_HEAD_INIT(mount_list); /* in the order they were mounted */
static struct path root_path;
static u64 tmpfs_limit;

/* Directories and files made only to mount shares on; removed with the mounts. Newest first. */
struct made_point {
    struct list_head list;
    bool directory;
    char name[];
};
static struct list_head made_points = LIST_HEAD_INIT(made_points);

struct mount *mount_get(struct mount *m)
{
    m->refs++;
    return m;
}

void mount_put(struct mount *m)
{
    if (--m->refs)
        return;
    path_put(&m->mountpoint);
    super_put(m->sb);
    kfree(m->source);
    kfree(m);
}

struct mount *mount_find(const struct path *p)
{
    struct mount *m;

    list_for_each_entry (m, &mount_list, all)
        if (m->mountpoint.dentry == p->dentry && m->mountpoint.mnt == p->mnt)
            return m;
    return NULL;
}

void vfs_root_path(struct path *res)
{
    *res = root_path;
    path_get(res);
}

/* Takes over sb, also when it fails; at NULL: the root of all. The list's own reference is the mount's first. */
static struct mount *mount_create(struct super_block *sb, const struct path *at, u32 flags, int share,
                                  const char *source)
{
    static u32 last_id;
    struct mount *m = kmalloc(sizeof(*m));

    if (m)
        m->source = kstrdup(source);
    if (!m || !m->source) {
        kfree(m);
        super_put(sb);
        return ERR_PTR(-ENOMEM);
    }
    m->refs = 1;
    m->sb = sb;
    m->flags = flags;
    m->share = share;
    m->id = ++last_id;
    if (at) {
        m->mountpoint = *at;
        path_get(&m->mountpoint);
        at->dentry->mounted++;
    }
    list_add_tail(&m->all, &mount_list);
    return m;
}

/* Takes the mount out of the tree. What is open on it lives on until it is closed. */
static void mount_detach(struct mount *m)
{
    struct path at = m->mountpoint;

    list_del(&m->all);
    m->mountpoint = (struct path){NULL, NULL};
    at.dentry->mounted--;
    path_put(&at);
    mount_put(m);
}

/* sb may be ERR_PTR: its error is the answer. */
static int mount_at(struct super_block *sb, const char *name, u32 flags, int share, const char *source)
{
    struct path at;
    struct mount *m;
    int r;

    if (IS_ERR(sb))
        return (int)PTR_ERR(sb);
    r = path_lookup(name, LOOKUP_FOLLOW, &at);
    if (r < 0) {
        super_put(sb);
        return r;
    }
    if (S_ISDIR(at.dentry->inode->mode) != S_ISDIR(sb->root->inode->mode)) {
        path_put(&at);
        super_put(sb);
        return -ENOTDIR;
    }
    m = mount_create(sb, &at, flags, share, source);
    path_put(&at);
    return IS_ERR(m) ? (int)PTR_ERR(m) : 0;
}

static int mount_base(struct super_block *sb, const char *name, mode_t mode)
{
    int r;

    if (IS_ERR(sb))
        return (int)PTR_ERR(sb);
    r = vfs_make(name, S_IFDIR | mode);
    if (r < 0 && r != -EEXIST) {
        super_put(sb);
        return r;
    }
    return mount_at(sb, name, 0, -1, sb->type);
}

int vfs_init(const struct thaw_boot *boot)
{
    struct super_block *lower, *upper, *sb;
    struct mount *m;
    int r;

    tmpfs_limit = boot->memory_limit / 2;
    lower = boot->flags & THAW_BOOT_HOST_ROOT ? hostfs_mount(0, true) : erofs_mount(machine_image(), boot->image_size);
    if (IS_ERR(lower))
        return (int)PTR_ERR(lower);
    upper = tmpfs_mount(0755, tmpfs_limit);
    if (IS_ERR(upper)) {
        super_put(lower);
        return (int)PTR_ERR(upper);
    }
    sb = overlay_mount(lower, upper);
    if (IS_ERR(sb))
        return (int)PTR_ERR(sb);
    m = mount_create(sb, NULL, 0, -1, "overlay");
    if (IS_ERR(m))
        return (int)PTR_ERR(m);
    root_path = (struct path){mount_get(m), dentry_get(sb->root)};

    r = mount_base(proc_mount(), "/proc", 0555);
    if (r == 0)
        r = mount_base(sysfs_mount(), "/sys", 0555);
    if (r == 0)
        r = mount_base(dev_mount(), "/dev", 0755);
    if (r == 0)
        r = mount_base(tmpfs_mount(01777, tmpfs_limit), "/dev/shm", 01777);
    if (r == 0)
        r = mount_base(tmpfs_mount(01777, tmpfs_limit), "/tmp", 01777);
    if (r == 0 && current && current->process && current->process->fs)
        r = fs_set_cwd("/"); /* it was made before there was a root */
    return r;
}

/* ---- shares ---- */

static void shares_unmount(void)
{
    struct mount *m;

    for (;;) { /* newest first: shares may lie in shares */
        struct mount *last = NULL;

        list_for_each_entry (m, &mount_list, all)
            if (m->share >= 0)
                last = m;
        if (!last)
            break;
        mount_detach(last);
    }
    while (!list_empty(&made_points)) {
        struct made_point *p = list_first_entry(&made_points, struct made_point, list);

        vfs_remove(p->name, p->directory); /* stays if something was put into it */
        list_del(&p->list);
        kfree(p);
    }
}

static int make_point(const char *name, bool directory)
{
    size_t len = strlen(name);
    struct made_point *p = kmalloc(sizeof(*p) + len + 1);
    int r;

    if (!p)
        return -ENOMEM;
    r = vfs_make(name, directory ? S_IFDIR | 0755 : S_IFREG | 0644);
    if (r < 0) {
        kfree(p);
        return r;
    }
    memcpy(p->name, name, len + 1);
    p->directory = directory;
    list_add(&p->list, &made_points);
    return 0;
}

/* Makes what is missing of an absolute path; the end is a directory, or an empty file. */
static int make_points(const char *path, bool directory)
{
    size_t len = strlen(path);
    char *name = kmalloc(len + 1);
    struct path at;
    int r = 0;

    if (!name)
        return -ENOMEM;
    for (size_t i = 1; i <= len && r == 0; i++) {
        bool last = i == len;

        if (!last && path[i] != '/')
            continue;
        if (path[i - 1] == '/')
            continue;
        memcpy(name, path, i);
        name[i] = 0;
        r = path_lookup(name, LOOKUP_FOLLOW, &at);
        if (r == 0)
            path_put(&at);
        else if (r == -ENOENT)
            r = make_point(name, !last || directory);
    }
    kfree(name);
    return r;
}

static bool share_hides_tmp(const char *name)
{
    struct path at;
    bool hides;

    if (path_lookup(name, LOOKUP_FOLLOW, &at) < 0)
        return false;
    hides = at.mnt->share < 0 && at.dentry == at.mnt->sb->root && at.mnt->mountpoint.mnt &&
            !strcmp(at.mnt->sb->type, "tmpfs");
    path_put(&at);
    return hides;
}

static bool all_slashes(const char *name)
{
    while (*name == '/')
        name++;
    return !*name;
}

static int share_mount(int share, const char *name, u32 flags)
{
    bool rdonly = flags & THAW_SHARE_RDONLY;
    struct super_block *sb, *upper;
    char source[24];
    int r;

    if (name[0] != '/' || strlen(name) >= PATH_MAX || all_slashes(name))
        return -EINVAL; /* the root itself cannot be covered: the interpreter is there */
    sb = hostfs_mount(share, rdonly);
    if (IS_ERR(sb))
        return (int)PTR_ERR(sb);
    r = make_points(name, S_ISDIR(sb->root->inode->mode));
    if (r < 0) {
        super_put(sb);
        return r;
    }
    snprintf(source, sizeof(source), "share%d", share);
    if (rdonly && share_hides_tmp(name)) {
        /* A script that lies in /tmp itself: the folder shows through, and /tmp stays writable. */
        upper = tmpfs_mount(01777, tmpfs_limit);
        if (IS_ERR(upper)) {
            super_put(sb);
            return (int)PTR_ERR(upper);
        }
        sb = overlay_mount(sb, upper);
        rdonly = false;
    }
    return mount_at(sb, name, rdonly ? MNT_RDONLY : 0, share, source);
}

int vfs_mount_shares(const struct thaw_request *req)
{
    const char *base = (const char *)req;
    u64 end;
    int r;

    shares_unmount();
    end = (u64)req->share_off + (u64)req->share_count * sizeof(struct thaw_share);
    if (req->share_count > THAW_SHARE_MAX || end > req->size || req->share_off % 4)
        return -EINVAL;
    for (u32 i = 0; i < req->share_count; i++) {
        struct thaw_share share;

        memcpy(&share, base + req->share_off + i * sizeof(share), sizeof(share));
        if (share.flags & THAW_SHARE_ROOT)
            continue;
        if (share.path_off >= req->size || !memchr(base + share.path_off, 0, req->size - share.path_off))
            return -EINVAL;
        r = share_mount((int)i, base + share.path_off, share.flags);
        if (r < 0)
            return r;
    }
    return 0;
}

int vfs_open_console(void)
{
    for (int n = 0; n < 3; n++) {
        struct file *f = console_open(n);
        int r;

        if (IS_ERR(f))
            return (int)PTR_ERR(f);
        r = fd_install_at(f, false, n);
        if (r < 0)
            return r;
    }
    return 0;
}

void vfs_for_each_mount(bool (*fn)(void *arg, const struct mount_info *info), void *arg)
{
    char *target = kmalloc(PATH_MAX);
    struct mount *m;

    if (!target)
        return;
    list_for_each_entry (m, &mount_list, all) {
        struct path at = {m, m->sb->root};
        bool rdonly = (m->flags & MNT_RDONLY) || (m->sb->flags & SB_RDONLY);
        struct mount_info info = {
            .id = m->id,
            .parent_id = m->mountpoint.mnt ? m->mountpoint.mnt->id : m->id,
            .dev = m->sb->dev,
            .source = m->source,
            .root = "/",
            .target = target,
            .type = m->sb->type,
            .options = rdonly ? "ro,relatime" : "rw,relatime",
        };

        if (path_string(&at, target, PATH_MAX) >= 0 && !fn(arg, &info))
            break;
    }
    kfree(target);
}
