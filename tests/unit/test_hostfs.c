/* SPDX-License-Identifier: MIT */
/* hostfs over the monitor's real file server: what the guest does shows on the host, and the other way round. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mkdir(const char *path, unsigned mode);

#include <cmocka.h>

#include "fake_machine.h"
#include "host_share.h"
#include "vfs.h"

static char dir[] = "/tmp/thaw-hostfs-XXXXXX";
static struct super_block *sb;
static unsigned calls, closes, opens;

static s64 serve(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    static char buf[THAW_CALL_DATA_MAX];

    calls++;
    opens += call->op == THAW_CALL_OPEN;
    closes += call->op == THAW_CALL_CLOSE;
    host_share_serve(call, data, buf);
    opens -= call->op == THAW_CALL_OPEN && call->ret < 0;
    call->len = (u32)min((size_t)call->len, reply_size);
    if (call->len)
        memcpy(reply, buf, call->len);
    return call->ret;
}

static char *host(const char *name)
{
    static char path[4][256];
    static int n;

    n = (n + 1) % 4;
    snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
    return path[n];
}

static void host_write(const char *name, const char *text)
{
    FILE *f = fopen(host(name), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *host_read(const char *name)
{
    static char buf[256];
    FILE *f = fopen(host(name), "r");

    if (!f)
        return NULL;
    buf[fread(buf, 1, sizeof(buf) - 1, f)] = 0;
    fclose(f);
    return buf;
}

/* A dentry by its path from the share's root, with a reference; ERR_PTR. */
static struct dentry *find(const char *path)
{
    struct dentry *d = dentry_get(sb->root);

    while (*path) {
        size_t n = strcspn(path, "/");
        struct dentry *next = dentry_lookup(d, path, n);

        dentry_put(d);
        if (IS_ERR(next))
            return next;
        d = next;
        path += n + (path[n] == '/');
    }
    return d;
}

static struct file *open_at(const char *name, u32 flags)
{
    struct path path = {NULL, find(name)};
    struct file *f;

    if (IS_ERR(path.dentry))
        return (void *)path.dentry;
    f = file_open_path(&path, flags, true);
    if (IS_ERR(f))
        path_put(&path);
    return f;
}

static void settle(void) { usleep(3000); } /* attributes serve for a millisecond */

static void test_a_file_is_read_and_costs_few_calls(void **state)
{
    char buf[100];
    struct file *f;
    struct kstat st;
    loff_t pos = 0;

    host_write("a", "hello");
    calls = 0;
    f = open_at("a", O_RDONLY);
    assert_false(IS_ERR(f));
    assert_int_equal(file_stat(f, &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(f->op->read(f, buf, 100, &pos), 5);
    assert_int_equal(f->op->read(f, buf, 100, &pos), 0);
    assert_memory_equal(buf, "hello", 5);
    assert_true(calls <= 4); /* stat, open, read, and perhaps the end */
    file_put(f);
    assert_int_equal(PTR_ERR(open_at("none", O_RDONLY)), -ENOENT);
    assert_int_equal(PTR_ERR(open_at("a/b", O_RDONLY)), -ENOTDIR);
}

static void test_what_is_written_is_on_the_host(void **state)
{
    struct inode *root = sb->root->inode, *inode;
    struct dentry *d;
    struct file *f;
    struct kstat st;
    loff_t pos = 0;

    assert_int_equal(root->op->create(root, "w", 1, S_IFREG | 0400, 0, &inode), 0);
    d = dentry_enter(sb->root, "w", 1, inode);
    /* opened for writing although its mode forbids it: the creator may */
    struct path path = {NULL, d};
    f = file_open_path(&path, O_WRONLY, true);
    assert_false(IS_ERR(f));
    assert_int_equal(f->op->write(f, "some text", 9, &pos), 9);
    assert_string_equal(host_read("w"), "some text");
    assert_int_equal(inode_truncate(f->inode, 4), 0);
    assert_string_equal(host_read("w"), "some");
    assert_int_equal(file_stat(f, &st), 0);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(f->op->fsync(f), 0);
    file_put(f);
    assert_int_equal(root->op->create(root, "w", 1, S_IFREG | 0600, 0, &inode), -EEXIST);
    assert_int_equal(root->op->create(root, "p", 1, S_IFIFO | 0600, 0, &inode), -EPERM);
    host_write("t", "long text");
    d = find("t");
    assert_int_equal(inode_truncate(d->inode, 0), 0);
    assert_string_equal(host_read("t"), "");
    dentry_put(d);
}

static void test_changes_on_the_host_are_seen(void **state)
{
    struct file *f;
    struct kstat st;
    char buf[100];
    loff_t pos = 0;

    host_write("c", "1");
    f = open_at("c", O_RDONLY);
    host_write("c", "12345");
    settle();
    assert_int_equal(file_stat(f, &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(f->op->read(f, buf, 100, &pos), 5);
    unlink(host("c"));
    settle();
    assert_int_equal(file_stat(f, &st), 0); /* still open */
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(PTR_ERR(find("c")), -ENOENT);
    file_put(f);
}

static void test_an_open_file_keeps_its_handle_across_renames(void **state)
{
    struct inode *root = sb->root->inode, *inode;
    struct dentry *d, *sub, *in;
    struct file *f;
    struct kstat st;

    assert_int_equal(root->op->create(root, "d", 1, S_IFDIR | 0755, 0, &inode), 0);
    d = dentry_enter(sb->root, "d", 1, inode);
    host_write("d/x", "in d");
    host_write("y", "y");
    sub = find("d/x");
    in = find("y");
    f = open_at("d/x", O_RDONLY);
    assert_int_equal(root->op->rename(root, "d", 1, d->inode, root, "e", 1, NULL, 0), 0);
    settle();
    assert_int_equal(file_stat(f, &st), 0);
    file_put(f);
    assert_int_equal(inode_refresh(sub->inode), 0); /* by its new path */
    assert_int_equal(sub->inode->size, 4);
    /* over another file: that one's inode does not mean the new file now */
    assert_int_equal(d->inode->op->rename(d->inode, "x", 1, sub->inode, root, "y", 1, in->inode, 0), 0);
    assert_string_equal(host_read("y"), "in d");
    settle();
    assert_int_equal(inode_refresh(in->inode), 0);
    assert_int_equal(in->inode->size, 1);
    host_write("z", "zzz");
    dentry_put(in);
    in = find("z");
    assert_int_equal(root->op->rename(root, "y", 1, sub->inode, root, "z", 1, in->inode, RENAME_EXCHANGE), 0);
    settle();
    assert_int_equal(inode_refresh(in->inode), 0);
    assert_int_equal(inode_refresh(sub->inode), 0);
    assert_int_equal(in->inode->size, 3);
    assert_int_equal(sub->inode->size, 4);
    assert_string_equal(host_read("z"), "in d");
    dentry_put(in);
    dentry_put(sub);
    dentry_put(d);
}

static void test_links_modes_and_times(void **state)
{
    struct inode *root = sb->root->inode, *inode, attr = {.mode = 0640, .mtime = 1234567890123456789ull};
    struct dentry *d;
    char buf[100];

    assert_int_equal(root->op->symlink(root, "s", 1, "/some/where", &inode), 0);
    assert_true(S_ISLNK(inode->mode));
    assert_int_equal(inode->op->readlink(inode, buf, 100), 11);
    assert_memory_equal(buf, "/some/where", 11);
    assert_int_equal(inode->op->readlink(inode, buf, 5), 5);
    inode_put(inode);
    host_write("l", "linked");
    d = find("l");
    assert_int_equal(root->op->link(root, "l2", 2, d->inode), 0);
    assert_string_equal(host_read("l2"), "linked");
    assert_int_equal(d->inode->op->setattr(d->inode, &attr, ATTR_MODE | ATTR_MTIME), 0);
    assert_int_equal(inode_refresh(d->inode), 0);
    assert_int_equal(d->inode->mode, S_IFREG | 0640);
    assert_int_equal(d->inode->mtime, 1234567890123456789ull);
    assert_int_equal(d->inode->nlink, 2);
    attr.uid = 5;
    assert_int_equal(d->inode->op->setattr(d->inode, &attr, ATTR_UID), -EPERM);
    assert_int_equal(root->op->unlink(root, "l", 1, d->inode), 0);
    assert_null(host_read("l"));
    dentry_put(d);
}

struct listing {
    struct dir_context ctx;
    unsigned count, want;
    u64 next;
};

static bool list_one(struct dir_context *ctx, const char *name, size_t len, u64 next, u64 ino, u8 type)
{
    struct listing *l = container_of(ctx, struct listing, ctx);

    if (!l->want)
        return false;
    l->want--;
    l->count++;
    l->next = next;
    return true;
}

static void test_a_large_directory_is_listed_in_pieces(void **state)
{
    struct listing l = {.ctx.actor = list_one};
    char name[200];
    struct file *f;

    assert_int_equal(mkdir(host("big"), 0755), 0);
    for (int i = 0; i < 900; i++) {
        snprintf(name, sizeof(name), "big/%0150d", i);
        host_write(name, "");
    }
    f = open_at("big", O_RDONLY | O_DIRECTORY);
    assert_false(IS_ERR(f));
    for (unsigned before = ~0u; before != l.count;) {
        before = l.count;
        l.want = 100;
        assert_int_equal(f->op->iterate(f, &l.ctx), 0);
        f->pos = (loff_t)l.next;
    }
    assert_int_equal(l.count, 902);
    file_put(f);
}

static void test_a_share_may_be_one_file_or_read_only(void **state)
{
    struct super_block *one, *ro;
    struct thaw_statfs st;
    struct path path;
    struct inode *inode;
    struct file *f;
    char buf[10];
    loff_t pos = 0;

    host_write("single", "one");
    one = hostfs_mount(host_share_add(host("single"), true), true);
    assert_false(IS_ERR(one));
    assert_true(S_ISREG(one->root->inode->mode));
    path = (struct path){NULL, dentry_get(one->root)};
    f = file_open_path(&path, O_RDONLY, true);
    assert_false(IS_ERR(f));
    assert_int_equal(f->op->read(f, buf, 10, &pos), 3);
    file_put(f);
    super_put(one);
    ro = hostfs_mount(host_share_add(dir, true), true);
    assert_int_equal(ro->op->statfs(ro, &st), 0);
    assert_int_equal(ro->root->inode->op->create(ro->root->inode, "n", 1, S_IFREG | 0600, 0, &inode), -EROFS);
    super_put(ro);
    assert_int_equal(PTR_ERR(hostfs_mount(63, true)), -ENODEV);
}

static void test_nothing_of_an_old_start_is_asked_for_after_a_restore(void **state)
{
    struct super_block *now = sb, *old = hostfs_mount(0, false);
    struct file *f;
    char buf[10];
    loff_t pos = 0;

    host_write("r", "x");
    sb = old;
    f = open_at("r", O_RDONLY);
    sb = now;
    assert_false(IS_ERR(f));
    machine_boot()->stats.t_entry_ns++;
    calls = 0;
    assert_int_equal(f->op->read(f, buf, 10, &pos), -ESTALE);
    file_put(f);
    closes++; /* the new monitor has no such handle */
    super_put(old);
    assert_int_equal(calls, 0);
    machine_boot()->stats.t_entry_ns--;
}

static int group_setup(void **state)
{
    fake_init();
    fake_monitor = serve;
    current->process->fs = fs_create();
    if (!mkdtemp(dir))
        return -1;
    sb = hostfs_mount(host_share_add(dir, false), false);
    return IS_ERR(sb) ? -1 : 0;
}

static int group_teardown(void **state)
{
    char cmd[64];

    super_put(sb);
    fs_put(current->process->fs);
    host_share_free();
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    if (fake_allocated || opens != closes)
        printf("%ld blocks and %u handles are left\n", fake_allocated, opens - closes);
    return system(cmd) || fake_allocated || opens != closes ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_read_and_costs_few_calls),
        cmocka_unit_test(test_what_is_written_is_on_the_host),
        cmocka_unit_test(test_changes_on_the_host_are_seen),
        cmocka_unit_test(test_an_open_file_keeps_its_handle_across_renames),
        cmocka_unit_test(test_links_modes_and_times),
        cmocka_unit_test(test_a_large_directory_is_listed_in_pieces),
        cmocka_unit_test(test_a_share_may_be_one_file_or_read_only),
        cmocka_unit_test(test_nothing_of_an_old_start_is_asked_for_after_a_restore),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
