/* SPDX-License-Identifier: MIT */
/* EROFS: images that mkfs.erofs makes are read as the directories that they were made from; damaged ones do no harm. */
#define _GNU_SOURCE
#include "erofs_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#define SUPER 1024u
#define COMPAT_CHECKSUM 1u

static char temp[] = "/tmp/thaw-erofs-XXXXXX";
static char source[64], image_path[64];

/* ---- trees and images ---- */

static char *source_path(const char *fmt, ...)
{
    static char path[PATH_MAX];
    va_list ap;
    int n = snprintf(path, sizeof(path), "%s/", source);

    va_start(ap, fmt);
    vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
    va_end(ap);
    return path;
}

static void file_make(const char *path, size_t size, unsigned seed)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1103515245 + 12345;
        fputc((int)(seed >> 16), f);
    }
    assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) { return remove(path); }
static void tree_remove(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void tree_begin(void)
{
    tree_remove(source);
    assert_int_equal(mkdir(source, 0755), 0);
}

static int mkfs(const char *const options[])
{
    const char *argv[16] = {"mkfs.erofs", "--quiet"};
    size_t n = 2;
    pid_t pid;
    int status;

    while (*options)
        argv[n++] = *options++;
    argv[n++] = image_path;
    argv[n++] = source;
    argv[n] = NULL;
    unlink(image_path);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 1);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static unsigned char *image_load(size_t *size)
{
    FILE *f = fopen(image_path, "rb");
    unsigned char *image;
    struct stat st;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *size = (size_t)st.st_size;
    image = malloc(*size);
    assert_non_null(image);
    assert_int_equal(fread(image, 1, *size, f), *size);
    fclose(f);
    return image;
}

/* ---- an image is its source ---- */

struct compare {
    unsigned found;
    bool times;
};

static void compare_one(void *arg, const struct erofs_found *e)
{
    struct compare *c = arg;
    char path[2 * PATH_MAX], target[PATH_MAX];
    struct stat st;

    c->found++;
    snprintf(path, sizeof(path), "%s%s%s", source, *e->path ? "/" : "", e->path);
    if (e->error || lstat(path, &st) < 0)
        fail_msg("%s: error %d", path, e->error);
    assert_int_equal(e->mode, st.st_mode);
    assert_int_equal(e->uid, st.st_uid);
    assert_int_equal(e->gid, st.st_gid);
    if (!S_ISDIR(st.st_mode))
        assert_int_equal(e->nlink, st.st_nlink);
    if (c->times)
        assert_int_equal(e->mtime_ns / 1000000000u, st.st_mtim.tv_sec);
    if (S_ISCHR(st.st_mode))
        assert_int_equal(e->rdev, st.st_rdev);
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(path, target, sizeof(target));

        assert_int_equal(e->len, n);
        assert_memory_equal(e->data, target, (size_t)n);
    }
    if (S_ISREG(st.st_mode)) {
        unsigned char *data = malloc((size_t)st.st_size + 1);
        FILE *f = fopen(path, "rb");

        assert_non_null(f);
        assert_int_equal(fread(data, 1, (size_t)st.st_size, f), st.st_size);
        fclose(f);
        assert_int_equal(e->size, st.st_size);
        assert_int_equal(e->len, st.st_size);
        assert_memory_equal(e->data, data, e->len);
        free(data);
    }
}

static unsigned count;
static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    count++;
    return 0;
}

static void image_is_source(const char *const options[], bool times)
{
    struct compare c = {0, times};
    unsigned errors = 0;
    unsigned char *image;
    size_t size;

    assert_int_equal(mkfs(options), 0);
    image = image_load(&size);
    assert_int_equal(erofs_walk(image, size, (struct erofs_budget){1000000, 4 << 20}, compare_one, &c, &errors), 0);
    assert_int_equal(errors, 0);
    count = 0;
    nftw(source, count_one, 16, FTW_PHYS);
    assert_int_equal(c.found, count);
    free(image);
    assert_int_equal(erofs_walk_leaks(), 0);
}

static void tree_full(void)
{
    static const size_t sizes[] = {0, 1, 31, 4000, 4095, 4096, 4097, 8191, 8192, 8193, 70000, 1 << 20};
    char name[NAME_MAX + 1], target[PATH_MAX];
    FILE *f;

    tree_begin();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        file_make(source_path("size-%zu", sizes[i]), sizes[i], (unsigned)i);
    assert_int_equal(mkdir(source_path("many"), 0711), 0);
    for (int i = 0; i < 1500; i++)
        file_make(source_path("many/%c%d-%d", 'A' + i % 50, i * 7919 % 1500, i), (size_t)i % 50, (unsigned)i);
    /* mkfs.erofs 1.5 cannot take names of NAME_MAX bytes */
    memset(name, 'n', NAME_MAX - 1);
    name[NAME_MAX - 1] = 0;
    file_make(source_path("%s", name), 10, 1);
    file_make(source_path("many/\xff\xfe\x80 blank"), 10, 1);
    mkdir(source_path("empty"), 0700);
    strcpy(target, "deep");
    for (int i = 0; i < 20; i++) {
        mkdir(source_path("%s", target), 0755);
        strcat(target, "/deep");
    }
    file_make(source_path("%s", target), 5, 5);
    assert_int_equal(symlink("size-1", source_path("link")), 0);
    memset(target, 't', sizeof(target));
    target[4000] = 0;
    assert_int_equal(symlink(target, source_path("long-link")), 0);
    strcpy(target, source_path("size-8193"));
    assert_int_equal(link(target, source_path("many/hard")), 0);
    assert_int_equal(mkfifo(source_path("fifo"), 0640), 0);
    if (geteuid() == 0) {
        mknod(source_path("null"), S_IFCHR | 0666, makedev(1, 3));
        assert_int_equal(chown(source_path("size-31"), 70000, 80000), 0);
    }
    chmod(source_path("size-31"), 04755);
    /* a hole, which chunks may leave out */
    f = fopen(source_path("hole"), "wb");
    assert_int_equal(fseek(f, 200000, SEEK_SET), 0);
    fputs("end", f);
    fclose(f);
    setxattr(source_path("size-4000"), "user.attr", "some value", 10, 0);
    setxattr(source_path("many"), "user.attr", "some value", 10, 0);
}

static void test_images_of_every_layout_are_read_as_their_source(void **state)
{
    static const char *const variants[][5] = {
        {NULL},
        {"-Enoinline_data", NULL},
        {"-Eforce-inode-extended", "-Enoinline_data", NULL},
        {"-Eforce-inode-extended", NULL},
        {"--chunksize=4096", NULL},
        {"--chunksize=65536", NULL},
        {"--chunksize=4096", "-Eforce-chunk-indexes", NULL},
        {"-x-1", NULL},
    };
    static const char *const compact[] = {"-Eforce-inode-compact", NULL};

    tree_full();
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
        image_is_source(variants[i], true);
    if (geteuid() == 0)
        assert_int_equal(chown(source_path("size-31"), 0, 0), 0); /* compact inodes have 16 bits for these */
    if (mkfs(compact) == 0)
        image_is_source(compact, false);
}

static void test_fixed_times_are_read(void **state)
{
    static const char *const options[] = {"-T0", "--all-root", NULL};
    unsigned char *image;
    size_t size;

    tree_begin();
    file_make(source_path("a"), 10, 1);
    assert_int_equal(mkfs(options), 0);
    image = image_load(&size);
    assert_int_equal(erofs_walk(image, size, (struct erofs_budget){100, 4096}, NULL, NULL, NULL), 0);
    free(image);
}

/* ---- what cannot be mounted ---- */

static int mount_with(const unsigned char *image, size_t size, size_t at, unsigned char value)
{
    unsigned char *copy = malloc(size);
    int r;

    memcpy(copy, image, size);
    if (at < size)
        copy[at] = value;
    r = erofs_walk(copy, size, (struct erofs_budget){100, 4096}, NULL, NULL, NULL);
    free(copy);
    return r;
}

static void test_unusable_super_blocks_are_refused(void **state)
{
    static const char *const options[] = {NULL};
    unsigned char *image;
    size_t size;

    tree_begin();
    file_make(source_path("a"), 10, 1);
    assert_int_equal(mkfs(options), 0);
    image = image_load(&size);
    assert_int_equal(mount_with(image, size, size, 0), 0);
    assert_true(image[SUPER + 8] & COMPAT_CHECKSUM);
    /* one bit anywhere under the checksum */
    for (size_t at = SUPER; at < 4096; at++)
        if (at < SUPER + 8 || at >= SUPER + 12) /* the flag itself switches the check off */
            assert_true(mount_with(image, size, at, image[at] ^ 0x10) < 0);
    image[SUPER + 8] &= (unsigned char)~COMPAT_CHECKSUM;
    assert_int_equal(mount_with(image, size, size, 0), 0);
    assert_int_equal(mount_with(image, size, SUPER, 0), -EINVAL);         /* magic */
    assert_int_equal(mount_with(image, size, SUPER + 12, 9), -EINVAL);    /* block size */
    assert_int_equal(mount_with(image, size, SUPER + 90, 1), -EINVAL);    /* directory block size */
    assert_int_equal(mount_with(image, size, SUPER + 80, 0x02), -EINVAL); /* compression */
    assert_int_equal(mount_with(image, size, SUPER + 83, 0x80), -EINVAL); /* a feature of the future */
    assert_int_equal(mount_with(image, size, SUPER + 86, 1), -EINVAL);    /* other devices */
    for (size_t n = 0; n < 4096; n += 64)
        assert_true(mount_with(image, n, n, 0) < 0);
    free(image);
    assert_int_equal(erofs_walk_leaks(), 0);
}

/* ---- damage ---- */

/* A small image with something of everything; its checksum is off, so that damage goes further. */
static unsigned char *small_image(const char *const options[], size_t *size)
{
    unsigned char *image;

    tree_begin();
    file_make(source_path("empty"), 0, 1);
    file_make(source_path("small"), 100, 1);
    file_make(source_path("tail"), 5000, 1);
    file_make(source_path("whole"), 8192, 1);
    assert_int_equal(symlink("small", source_path("link")), 0);
    assert_int_equal(mkfifo(source_path("fifo"), 0600), 0);
    assert_int_equal(mkdir(source_path("dir"), 0755), 0);
    for (int i = 0; i < 12; i++)
        file_make(source_path("dir/name-%d", i), (size_t)i, 1);
    assert_int_equal(mkdir(source_path("dir/dir"), 0755), 0);
    assert_int_equal(mkfs(options), 0);
    image = image_load(size);
    image[SUPER + 8] &= (unsigned char)~COMPAT_CHECKSUM;
    return image;
}

static const char *const small_variants[][3] = {
    {NULL},
    {"-Eforce-inode-extended", "-Enoinline_data", NULL},
    {"--chunksize=4096", NULL},
};
#define NR_VARIANTS (sizeof(small_variants) / sizeof(small_variants[0]))

/* Walks a copy that is exactly as large as it says. */
static void walk_damaged(const unsigned char *image, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);

    memcpy(copy, image, size);
    erofs_walk(copy, size, (struct erofs_budget){300, 70000}, NULL, NULL, NULL);
    free(copy);
    assert_int_equal(erofs_walk_leaks(), 0);
}

static void test_each_byte_of_the_metadata_may_be_wrong(void **state)
{
    erofs_walk_quiet();
    for (size_t v = 0; v < NR_VARIANTS; v++) {
        size_t size;
        unsigned char *image = small_image(small_variants[v], &size);

        for (size_t at = SUPER; at < size; at++) {
            unsigned char was = image[at];

            /* Runs of zeroes hold nothing that is looked at, but for a sample. */
            if (!was && at % 16 && at > 4096 && !image[at - 1])
                continue;
            image[at] = (unsigned char)~was;
            walk_damaged(image, size);
            image[at] = was ^ 1;
            walk_damaged(image, size);
            image[at] = was;
        }
        free(image);
    }
}

static void test_random_damage_and_truncation_do_no_harm(void **state)
{
    unsigned seed = 1;

    erofs_walk_quiet();
    for (size_t v = 0; v < NR_VARIANTS; v++) {
        size_t size;
        unsigned char *image = small_image(small_variants[v], &size), *copy = malloc(size);

        for (int round = 0; round < 3000; round++) {
            memcpy(copy, image, size);
            for (int i = rand_r(&seed) % 8; i >= 0; i--) {
                size_t at = SUPER + (size_t)rand_r(&seed) % (size - SUPER);

                copy[at] = (unsigned char)rand_r(&seed);
            }
            walk_damaged(copy, round % 3 ? size : (size_t)rand_r(&seed) % size);
        }
        for (size_t n = 0; n < size; n += 509)
            walk_damaged(image, n);
        free(copy);
        free(image);
    }
}

/* A directory that is its own child: the walk's budget ends, the kernel's code does not loop. */
static void test_directories_may_lead_in_circles(void **state)
{
    static const char *const options[] = {"-Eforce-inode-compact", NULL};
    unsigned char *image;
    size_t size, root, dir;

    tree_begin();
    assert_int_equal(mkdir(source_path("sub"), 0755), 0);
    assert_int_equal(mkfs(options), 0);
    image = image_load(&size);
    image[SUPER + 8] &= (unsigned char)~COMPAT_CHECKSUM;
    root = image[SUPER + 14] | (size_t)image[SUPER + 15] << 8;
    /* the entry "sub" of the root gets the root's own number */
    for (dir = 12; dir + 12 < size; dir++)
        if (!memcmp(image + dir, "...sub", 6))
            break;
    assert_true(dir + 12 < size);
    for (int i = 0; i < 8; i++)
        image[dir - 12 + (size_t)i] = (unsigned char)(root >> (8 * i));
    walk_damaged(image, size);
    free(image);
}

static int group_setup(void **state)
{
    erofs_walk_quiet();
    if (!mkdtemp(temp))
        return -1;
    snprintf(source, sizeof(source), "%s/source", temp);
    snprintf(image_path, sizeof(image_path), "%s/image", temp);
    return 0;
}

static int group_teardown(void **state)
{
    tree_remove(temp);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images_of_every_layout_are_read_as_their_source),
        cmocka_unit_test(test_fixed_times_are_read),
        cmocka_unit_test(test_unusable_super_blocks_are_refused),
        cmocka_unit_test(test_each_byte_of_the_metadata_may_be_wrong),
        cmocka_unit_test(test_random_damage_and_truncation_do_no_harm),
        cmocka_unit_test(test_directories_may_lead_in_circles),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
