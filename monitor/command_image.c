/* SPDX-License-Identifier: MIT */
/* `thaw image`. */
#define _GNU_SOURCE
#include "command.h"
#include "image.h"
#include "image_source.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "Usage: thaw image build --from DIR NAME                make an image of a directory (with mkfs.erofs)\n"
    "       thaw image build --from ARCHIVE NAME            of a container image: docker save, skopeo\n"
    "       thaw image build --packages NAME,NAME... NAME   of Debian packages and what they depend on\n"
    "       thaw image seal FILE               record the checksum of an EROFS file made by other means\n"
    "       thaw image list\n"
    "       thaw image inspect NAME            what it is, and whether it is whole\n"
    "       thaw image remove NAME\n"
    "\n"
    "An image is the root file system of sandboxes: an uncompressed EROFS file NAME.erofs, with NAME.json beside it\n"
    "that says what it must be. NAME may be a path. New ones go to the first directory of $THAW_IMAGE_PATH, or to\n"
    "~/.local/share/thaw/images.\n";

/*
 * While other programs work, their signals are theirs: when one of them has ended of it, so do we, after having removed
 * what was begun.
 */
static void signals_ignore(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_IGN);
}

static void progress(void *arg, uint64_t bytes)
{
    bool *shown = arg;

    if (!isatty(2))
        return;
    *shown = true;
    fprintf(stderr, "\r%llu MiB", (unsigned long long)bytes >> 20);
}

static int wrong_use(const char *what, struct thaw_error *err)
{
    return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "%s; see `thaw image --help`", what);
}

static int image_build_command(const struct thaw_store *store, char **argv, struct thaw_error *err)
{
    const char *from = NULL, *packages = NULL, *label = NULL;
    const struct command_option options[] = {{"--from", &from, NULL}, {"--packages", &packages, NULL}};
    static struct image_source source;
    struct stat st;
    bool shown = false;
    int n = command_options(argv, options, 2, "image", err), ret = 0;

    if (n < 0)
        return -1;
    if (n != 1 || !from == !packages)
        return wrong_use("`thaw image build` wants --from DIR|ARCHIVE or --packages LIST, and one NAME", err);
    if (packages) {
        signals_ignore();
        ret = image_source_packages(&source, packages, NULL, NULL, err);
        from = source.root;
        label = packages;
    } else if (stat(from, &st) == 0 && S_ISREG(st.st_mode)) {
        signals_ignore();
        label = from;
        ret = image_source_archive(&source, from, err);
        from = source.root;
    }
    if (ret == 0)
        ret = image_build(store, argv[1], from, label, &source, progress, &shown, err);
    image_source_remove(&source);
    if (shown)
        fprintf(stderr, "\r\033[K");
    return ret;
}

static int print_time(uint64_t seconds, char *dst, size_t size)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    return gmtime_r(&t, &tm) && strftime(dst, size, "%Y-%m-%d %H:%M:%S", &tm) ? 0 : -1;
}

struct listing {
    unsigned count;
};

static int list_one(void *arg, const char *dir, const char *name)
{
    struct listing *l = arg;
    struct image_info *info = malloc(sizeof *info);
    char path[PATH_MAX], when[32] = "?";
    struct thaw_error err;
    struct stat st;

    if (!info || store_path(path, &err, "%s/%s.erofs", dir, name) < 0 || stat(path, &st) < 0) {
        free(info);
        return 0;
    }
    if (l->count++ == 0)
        printf("%-20s %12s  %-19s  %s\n", "NAME", "BYTES", "CREATED (UTC)", "FILE");
    if (image_info_read(info, path, &err) == 0)
        print_time(info->created, when, sizeof when);
    printf("%-20s %12lld  %-19s  %s\n", name, (long long)st.st_size, when, path);
    free(info);
    return 0;
}

static int image_list_command(const struct thaw_store *store, char **argv, struct thaw_error *err)
{
    struct {
        dev_t dev;
        ino_t ino;
    } seen[16];
    unsigned seen_count = 0;
    struct listing l = {0};
    char dir[PATH_MAX];
    int n = command_options(argv, NULL, 0, "image", err);

    if (n < 0)
        return -1;
    if (n != 0)
        return wrong_use("`thaw image list` takes no argument", err);
    for (unsigned i = 0; store_image_dir(store, i, dir); i++) {
        struct stat st;
        unsigned k = 0;

        /* A directory that the search path names twice is listed once. */
        if (stat(dir, &st) < 0)
            continue;
        while (k < seen_count && (seen[k].dev != st.st_dev || seen[k].ino != st.st_ino))
            k++;
        if (k < seen_count)
            continue;
        if (seen_count < sizeof seen / sizeof *seen) {
            seen[seen_count].dev = st.st_dev;
            seen[seen_count++].ino = st.st_ino;
        }
        store_list(dir, ".erofs", list_one, &l);
    }
    if (l.count == 0)
        puts("no images; `thaw image build --from DIR NAME` makes one");
    return 0;
}

static int image_inspect_command(const struct thaw_store *store, char **argv, struct thaw_error *err)
{
    struct image *image = malloc(sizeof *image);
    struct image_info *info = malloc(sizeof *info);
    char when[32] = "?";
    int n = command_options(argv, NULL, 0, "image", err), ret = -1;

    if (n < 0)
        goto out;
    if (n != 1) {
        wrong_use("`thaw image inspect` wants one NAME", err);
        goto out;
    }
    if (!image || !info) {
        thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
        goto out;
    }
    if (image_open(image, store, argv[1], true, err) < 0)
        goto out;
    ret = image_info_read(info, image->path, err);
    image_close(image);
    if (ret < 0)
        goto out;
    print_time(info->created, when, sizeof when);
    printf("file     %s\nsize     %llu\ncreated  %s UTC\nsource   %s\nxxh128   ", info->path,
           (unsigned long long)info->size, when, info->source);
    for (unsigned i = 0; i < 16; i++)
        printf("%02x", info->checksum[i]);
    for (size_t at = 0; at < info->config_len; at += strlen(info->config + at) + 1)
        printf("\n%-8s %s",
               info->config[at] == 'A'   ? "word"
               : info->config[at] == 'E' ? "env"
                                         : "workdir",
               info->config + at + 1);
    printf("\nstate    whole\n");
out:
    free(image);
    free(info);
    return ret;
}

static int image_one_name(const struct thaw_store *store, char **argv,
                          int (*fn)(const struct thaw_store *, const char *, struct thaw_error *), const char *usage,
                          struct thaw_error *err)
{
    int n = command_options(argv, NULL, 0, "image", err);

    if (n < 0)
        return -1;
    return n == 1 ? fn(store, argv[1], err) : wrong_use(usage, err);
}

int command_image(char **argv)
{
    const char *what = argv[1];
    struct thaw_store *store;
    struct thaw_error err = {0};
    int ret;

    for (char **a = argv + 1; *a; a++)
        if (strcmp(*a, "--help") == 0 || strcmp(*a, "-h") == 0)
            return command_print(help);
    if (!what) {
        fputs(help, stderr);
        return THAW_STATUS_FAILED;
    }
    if (thaw_store_open(&store, &err) < 0)
        return command_fail(&err);
    argv++;
    if (strcmp(what, "build") == 0)
        ret = image_build_command(store, argv, &err);
    else if (strcmp(what, "seal") == 0)
        ret = image_one_name(store, argv, image_seal, "`thaw image seal` wants one FILE", &err);
    else if (strcmp(what, "list") == 0)
        ret = image_list_command(store, argv, &err);
    else if (strcmp(what, "inspect") == 0)
        ret = image_inspect_command(store, argv, &err);
    else if (strcmp(what, "remove") == 0)
        ret = image_one_name(store, argv, image_remove, "`thaw image remove` wants one NAME", &err);
    else
        ret = thaw_error_set(&err, THAW_STATUS_FAILED, EINVAL, "no command 'image %.100s'; see `thaw image --help`",
                             what);
    thaw_store_close(store);
    return ret < 0 ? command_fail(&err) : command_flush();
}
