/* SPDX-License-Identifier: MIT */
/* /proc, /sys and /dev: what is in them, and that it has Linux's form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_machine.h"
#include "mm.h"
#include "vfs.h"

static struct super_block *proc, *sys, *dev;
static char text[1 << 16];

/* A dentry by its path, links not followed, with a reference; ERR_PTR. */
static struct dentry *find(struct super_block *sb, const char *path)
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

static struct file *open_at(struct super_block *sb, const char *name, u32 flags)
{
    struct path path = {NULL, find(sb, name)};
    struct file *f;

    if (IS_ERR(path.dentry))
        return (void *)path.dentry;
    f = file_open_path(&path, flags, true);
    if (IS_ERR(f))
        path_put(&path);
    return f;
}

/* The whole text, read in pieces. */
static const char *read_text(struct super_block *sb, const char *name)
{
    struct file *f = open_at(sb, name, O_RDONLY);
    size_t n = 0;
    loff_t pos = 0;
    ssize_t r;

    if (IS_ERR(f))
        fail_msg("%s: error %ld", name, PTR_ERR(f));
    while ((r = f->op->read(f, text + n, 100, &pos)) > 0)
        n += (size_t)r;
    assert_int_equal(r, 0);
    text[n] = 0;
    file_put(f);
    return text;
}

static const char *read_link(struct super_block *sb, const char *name)
{
    struct dentry *d = find(sb, name);
    ssize_t n;

    if (IS_ERR(d))
        fail_msg("%s: error %ld", name, PTR_ERR(d));
    n = d->inode->op->readlink(d->inode, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = 0;
    dentry_put(d);
    return text;
}

struct listing {
    struct dir_context ctx;
    struct super_block *sb;
    char base[200];
    unsigned files;
};

static bool visit(struct dir_context *ctx, const char *name, size_t len, u64 next, u64 ino, u8 type)
{
    struct listing *l = container_of(ctx, struct listing, ctx), below;
    char path[256];
    struct dentry *d;

    if (name[0] == '.')
        return true;
    snprintf(path, sizeof(path), "%s%s%.*s", l->base, *l->base ? "/" : "", (int)len, name);
    d = find(l->sb, path);
    if (IS_ERR(d))
        fail_msg("%s: error %ld", path, PTR_ERR(d));
    assert_int_equal(d->inode->ino, ino);
    assert_int_equal(d->inode->mode >> 12, type);
    bool readable = d->inode->mode & 0444;
    dentry_put(d);
    l->files++;
    if (type == S_IFDIR >> 12) {
        struct file *f = open_at(l->sb, path, O_RDONLY);

        memset(&below, 0, sizeof(below));
        below.ctx.actor = visit;
        below.sb = l->sb;
        strlcpy(below.base, path, sizeof(below.base));
        assert_int_equal(f->op->iterate(f, &below.ctx), 0);
        l->files += below.files;
        file_put(f);
    } else if (type == S_IFREG >> 12 && readable) {
        read_text(l->sb, path);
    } else if (type == S_IFLNK >> 12 && strcmp(name, "cwd") && strcmp(name, "root")) { /* nothing is mounted here */
        read_link(l->sb, path);
    }
    return true;
}

static unsigned visit_all(struct super_block *sb)
{
    struct listing l = {.ctx.actor = visit, .sb = sb};
    struct path path = {NULL, dentry_get(sb->root)};
    struct file *f = file_open_path(&path, O_RDONLY, false);

    assert_int_equal(f->op->iterate(f, &l.ctx), 0);
    file_put(f);
    return l.files;
}

static void test_everything_that_is_listed_can_be_read(void **state)
{
    assert_true(visit_all(proc) > 60);
    assert_int_equal(visit_all(sys), 6);
    assert_true(visit_all(dev) > 10);
}

static void test_a_process_shows_its_start(void **state)
{
    struct process *p = current->process;
    char expect[64];

    assert_string_equal(read_link(proc, "self"), "2");
    snprintf(expect, sizeof(expect), "2/task/%d", current->tid);
    assert_string_equal(read_link(proc, "thread-self"), expect);
    p->cmdline = "python3\0-c\0pass";
    p->cmdline_len = 16;
    p->environ = "A=1\0B=2";
    p->environ_len = 8;
    strcpy(p->exe, "/usr/bin/python3");
    strcpy(current->comm, "python3");
    read_text(proc, "2/cmdline");
    assert_memory_equal(text, p->cmdline, 17);
    read_text(proc, "2/environ");
    assert_memory_equal(text, p->environ, 9);
    assert_string_equal(read_text(proc, "2/comm"), "python3\n");
    assert_string_equal(read_link(proc, "2/exe"), "/usr/bin/python3");
    assert_int_equal(PTR_ERR(find(proc, "3")), current->tid == 3 ? 0 : -ENOENT);
    assert_int_equal(PTR_ERR(find(proc, "02")), -ENOENT);
    assert_int_equal(PTR_ERR(find(proc, "99999999999")), -ENOENT);
    assert_int_equal(PTR_ERR(find(proc, "2/nothing")), -ENOENT);
    p->cmdline = p->environ = NULL;
}

static void test_maps_and_sizes_follow_the_mappings(void **state)
{
    struct vma vmas[] = {
        {.start = 0x400000, .end = 0x500000, .prot = PROT_READ | PROT_EXEC},
        {.start = 0x600000, .end = 0x800000, .prot = PROT_READ | PROT_WRITE},
        {.start = 0x6fffff000000, .end = 0x6fffff800000, .prot = PROT_READ | PROT_WRITE, .flags = VMA_STACK},
    };
    struct mm mm = {.vmas = vmas,
                    .nr_vmas = 3,
                    .start_brk = 0x600000,
                    .brk = 0x7ff000,
                    .start_code = 0x400000,
                    .end_code = 0x500000};

    current->process->mm = &mm;
    assert_string_equal(read_text(proc, "2/maps"),
                        "00400000-00500000 r-xp 00000000 00:00 0 \n"
                        "00600000-00800000 rw-p 00000000 00:00 0                                  [heap]\n"
                        "6fffff000000-6fffff800000 rw-p 00000000 00:00 0                          [stack]\n");
    assert_string_equal(read_text(proc, "2/statm"), "2816 2816 0 256 0 2560 0\n");
    assert_non_null(strstr(read_text(proc, "2/status"), "\nVmSize:\t   11264 kB\n"));
    current->process->mm = NULL;
}

static void test_stat_files_parse(void **state)
{
    struct mm mm = {.nr_vmas = 0};
    char *s, *end;
    int fields;

    current->process->mm = &mm;
    s = (char *)read_text(proc, "2/stat");
    assert_int_equal(strtol(s, &end, 10), current->tid);
    assert_non_null(strchr(s, '('));
    s = strrchr(s, ')') + 2;
    for (fields = 2; *s && *s != '\n'; fields++)
        s += strcspn(s, " \n"), s += *s == ' ';
    assert_int_equal(fields, 52);
    assert_non_null(strstr(read_text(proc, "2/status"), "\nThreads:\t1\n"));
    assert_non_null(strstr(read_text(proc, "2/status"), "\nUid:\t0\t0\t0\t0\n"));
    assert_non_null(strstr(read_text(proc, "2/limits"), "Max open files            1024 "));
    assert_non_null(strstr(read_text(proc, "meminfo"), "MemTotal:\t  262144 kB\n"));
    assert_non_null(strstr(read_text(proc, "cpuinfo"), "processor\t: 1\n"));
    assert_string_equal(read_text(sys, "devices/system/cpu/online"), "0-1\n");
    current->process->mm = NULL;
}

static void test_uuids_differ_and_the_boot_id_lasts_one_start(void **state)
{
    char first[64];

    strcpy(first, read_text(proc, "sys/kernel/random/uuid"));
    assert_int_equal(strlen(first), 37);
    assert_int_equal(first[14], '4');
    assert_string_not_equal(read_text(proc, "sys/kernel/random/uuid"), first);
    strcpy(first, read_text(proc, "sys/kernel/random/boot_id"));
    assert_string_equal(read_text(proc, "sys/kernel/random/boot_id"), first);
    machine_boot()->stats.t_entry_ns++;
    assert_string_not_equal(read_text(proc, "sys/kernel/random/boot_id"), first);
}

static void test_descriptors_are_links_to_their_files(void **state)
{
    struct file *f = console_open(1), *again;
    struct path to;
    struct dentry *d;
    char name[32];
    int fd;

    assert_false(IS_ERR(f));
    fd = fd_install(f, false, 5);
    snprintf(name, sizeof(name), "2/fd/%d", fd);
    assert_string_equal(read_link(proc, name), "pipe:[2]");
    fake_request->stdio_tty = 2;
    assert_string_equal(read_link(proc, name), "/dev/pts/0");
    fake_request->stdio_tty = 0;
    d = find(proc, name);
    assert_int_equal(d->inode->op->follow(d->inode, &to), 0);
    again = file_open_path(&to, O_WRONLY, false);
    assert_false(IS_ERR(again));
    assert_ptr_equal(again->op, f->op);
    file_put(again);
    dentry_put(d);
    snprintf(name, sizeof(name), "2/fdinfo/%d", fd);
    assert_non_null(strstr(read_text(proc, name), "flags:\t0"));
    fd_close(fd);
    snprintf(name, sizeof(name), "2/fd/%d", fd);
    assert_int_equal(PTR_ERR(find(proc, name)), -ENOENT);
}

static void test_devices_do_what_they_are_for(void **state)
{
    char buf[64], other[64];
    struct file *f;
    loff_t pos = 0;

    f = open_at(dev, "null", O_RDWR);
    assert_int_equal(f->op->read(f, buf, 64, &pos), 0);
    assert_int_equal(f->op->write(f, buf, 64, &pos), 64);
    file_put(f);
    f = open_at(dev, "zero", O_RDWR);
    memset(buf, 1, 64);
    assert_int_equal(f->op->read(f, buf, 64, &pos), 64);
    assert_int_equal(buf[63], 0);
    file_put(f);
    f = open_at(dev, "full", O_RDWR);
    assert_int_equal(f->op->write(f, buf, 64, &pos), -ENOSPC);
    file_put(f);
    f = open_at(dev, "urandom", O_RDONLY);
    assert_int_equal(f->op->read(f, buf, 64, &pos), 64);
    assert_int_equal(f->op->read(f, other, 64, &pos), 64);
    assert_memory_not_equal(buf, other, 64);
    file_put(f);
    assert_int_equal(PTR_ERR(open_at(dev, "tty", O_RDWR)), -ENXIO);
    assert_string_equal(read_link(dev, "stdin"), "/proc/self/fd/0");
    f = open_at(dev, "thaw", O_RDONLY);
    pos = 0;
    assert_int_equal(f->op->read(f, buf, 8, &pos), 8);
    assert_memory_equal(buf, fake_request, 8);
    assert_int_equal(f->op->read(f, buf, 64, &pos), sizeof(*fake_request) - 8);
    assert_int_equal(f->op->read(f, buf, 64, &pos), 0);
    assert_int_equal(f->op->write(f, "snapshots", 9, &pos), -EINVAL);
    assert_int_equal(f->op->write(f, "snapshot", 8, &pos), -ENOSYS); /* the fake machine takes none */
    file_put(f);
}

static void test_a_name_can_be_changed_and_an_oom_score_kept(void **state)
{
    struct file *f = open_at(proc, "2/comm", O_RDWR);
    loff_t pos = 0;

    assert_int_equal(f->op->write(f, "a-very-long-name-indeed\n", 24, &pos), 24);
    file_put(f);
    assert_string_equal(read_text(proc, "2/comm"), "a-very-long-nam\n");
    f = open_at(proc, "2/oom_score_adj", O_RDWR);
    assert_int_equal(f->op->write(f, "-500\n", 5, &pos), 5);
    assert_int_equal(f->op->write(f, "1001", 4, &pos), -EINVAL);
    file_put(f);
    assert_string_equal(read_text(proc, "2/oom_score_adj"), "-500\n");
}

static int group_setup(void **state)
{
    fake_init();
    current->process->files = files_create();
    current->process->fs = fs_create();
    strcpy(current->process->exe, "/usr/bin/python3");
    proc = proc_mount();
    sys = sysfs_mount();
    dev = dev_mount();
    return IS_ERR(proc) || IS_ERR(sys) || IS_ERR(dev) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_that_is_listed_can_be_read),
        cmocka_unit_test(test_a_process_shows_its_start),
        cmocka_unit_test(test_maps_and_sizes_follow_the_mappings),
        cmocka_unit_test(test_stat_files_parse),
        cmocka_unit_test(test_uuids_differ_and_the_boot_id_lasts_one_start),
        cmocka_unit_test(test_descriptors_are_links_to_their_files),
        cmocka_unit_test(test_devices_do_what_they_are_for),
        cmocka_unit_test(test_a_name_can_be_changed_and_an_oom_score_kept),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}
