/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the monitor's loader of images: NAME.erofs, and NAME.json that describes it. The input is a byte of flags, the
 * length of the description, the description, the image. What is inside the image is the kernel's: fuzz_erofs.c.
 */
#define _GNU_SOURCE
#include "image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIBE 1 /* write the description that fits, instead of the input's */
#define MAGIC 2    /* make it look like EROFS */

static char dir[4000], file[4096], side[4096];

static void clean(void)
{
    unlink(file);
    unlink(side);
    rmdir(dir);
}

static void put(const char *path, const void *data, size_t size, size_t file_size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || ftruncate(fd, (off_t)file_size) < 0)
        abort();
    close(fd);
}

static void set_up(void)
{
    if (file[0])
        return;
    snprintf(dir, sizeof dir, "%s/thaw-fuzz-image.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(dir))
        abort();
    snprintf(file, sizeof file, "%s/x.erofs", dir);
    snprintf(side, sizeof side, "%s/x.json", dir);
    atexit(clean);
}

static int describe(size_t size, char *text, size_t room)
{
    uint8_t sum[16];
    int n, fd = open(file, O_RDONLY);

    if (fd < 0 || image_checksum(fd, size, sum) < 0)
        abort();
    close(fd);
    n = snprintf(text, room, "{\"size\": %zu, \"created\": 1, \"source\": \"s\", \"xxh128\": \"", size);
    for (int i = 0; i < 16; i++)
        n += snprintf(text + n, room - (size_t)n, "%02x", sum[i]);
    return n + snprintf(text + n, room - (size_t)n, "\"}\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct thaw_store store = {.data = (char *)"/nonexistent", .cache = (char *)"/nonexistent"};
    static const uint8_t magic[4] = {0xe2, 0xe1, 0xf5, 0xe0};
    struct thaw_error err = {0};
    struct image image;
    struct image_info *info;
    char text[256];
    unsigned flags;
    size_t n;
    int fd;

    if (size < 3)
        return -1;
    set_up();
    flags = data[0];
    n = data[1] | data[2] << 8;
    data += 3;
    size -= 3;
    if (n > size)
        n = size;
    put(side, data, n, n);
    put(file, data + n, size - n, size - n < 4096 && (flags & MAGIC) ? 4096 : size - n);
    if (flags & MAGIC) {
        fd = open(file, O_WRONLY);
        if (pwrite(fd, magic, sizeof magic, 1024) != sizeof magic)
            abort();
        close(fd);
    }
    if (flags & DESCRIBE) {
        struct stat st;

        if (stat(file, &st) < 0)
            abort();
        n = (size_t)describe((size_t)st.st_size, text, sizeof text);
        put(side, text, n, n);
    }
    if (image_open(&image, &store, file, true, &err) == 0) {
        if (image.size < 4096 || image.fd < 0)
            abort();
        image_close(&image);
    } else if (!err.text[0] || strchr(err.text, '\n')) {
        abort();
    } else if ((flags & (DESCRIBE | MAGIC)) == (DESCRIBE | MAGIC)) {
        abort(); /* all was right with it */
    }
    info = malloc(sizeof *info);
    if (!info)
        abort();
    if (image_info_read(info, file, &err) == 0 && (strlen(info->source) >= sizeof info->source || !info->name[0]))
        abort();
    free(info);
    return 0;
}
