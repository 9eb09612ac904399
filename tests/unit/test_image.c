/* SPDX-License-Identifier: MIT */
/* Images: what is built opens, and what is damaged in any byte, or cut short, does not. */
#define _GNU_SOURCE
#include "image.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    char dir[32];
    struct thaw_store *store;
    struct image image;
    char file[64], side[64];
};

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct thaw_error err;
    char path[128];

    strcpy(w->dir, "/tmp/thaw-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(path, sizeof path, "%s/root", w->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    strcat(path, "/hello");
    write_file(path, "hello", 5);
    snprintf(path, sizeof path, "%s/images", w->dir);
    setenv("THAW_IMAGE_PATH", path, 1);
    snprintf(path, sizeof path, "%s/home", w->dir);
    setenv("HOME", path, 1);
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_CACHE_HOME");
    assert_int_equal(thaw_store_open(&w->store, &err), 0);
    snprintf(w->file, sizeof w->file, "%s/images/small.erofs", w->dir);
    snprintf(w->side, sizeof w->side, "%s/images/small.json", w->dir);
    snprintf(path, sizeof path, "%s/root", w->dir);
    assert_int_equal(image_build(w->store, "small", path, NULL, NULL, NULL, NULL, &err), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[64];

    thaw_store_close(w->store);
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", w->dir, w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void assert_refused(struct world *w, const char *name, const char *file)
{
    struct thaw_error err = {0};

    assert_int_equal(image_open(&w->image, w->store, name, false, &err), -1);
    assert_int_equal(err.exit_status, THAW_STATUS_FAILED);
    assert_non_null(strstr(err.text, file));
    assert_null(strchr(err.text, '\n'));
}

static void assert_opens(struct world *w, const char *name)
{
    struct thaw_error err = {0};

    if (image_open(&w->image, w->store, name, false, &err) < 0)
        fail_msg("%s", err.text);
    image_close(&w->image);
}

static unsigned char *read_image(const struct world *w, size_t *size)
{
    unsigned char *data;
    struct stat st;
    int fd = open(w->file, O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    *size = (size_t)st.st_size;
    data = malloc(*size);
    assert_int_equal(read(fd, data, *size), *size);
    close(fd);
    return data;
}

static void test_what_was_built_opens_and_says_what_it_is(void **state)
{
    struct world *w = *state;
    struct image_info info;
    struct thaw_error err;
    char path[128];

    assert_opens(w, "small");
    assert_opens(w, w->file);
    assert_int_equal(image_info_read(&info, w->file, &err), 0);
    snprintf(path, sizeof path, "%s/root", w->dir);
    assert_string_equal(info.source, path);
    assert_string_equal(info.name, "small");
    assert_int_equal(info.size, w->image.size);
    assert_memory_equal(info.checksum, w->image.checksum, 16);
}

static void test_every_flipped_byte_is_found(void **state)
{
    struct world *w = *state;
    size_t size;
    unsigned char *data = read_image(w, &size);
    int fd = open(w->file, O_WRONLY);

    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = data[i] ^ (unsigned char)(1u << (i % 8));

        assert_int_equal(pwrite(fd, &c, 1, (off_t)i), 1);
        assert_refused(w, "small", w->file);
        assert_int_equal(pwrite(fd, &data[i], 1, (off_t)i), 1);
    }
    close(fd);
    assert_opens(w, "small");
    free(data);
}

static void test_truncation_and_growth_are_found(void **state)
{
    struct world *w = *state;
    size_t size;
    unsigned char *data = read_image(w, &size);

    for (size_t n = 0; n < size; n += n < 2048 ? 127 : 1009) {
        assert_int_equal(truncate(w->file, (off_t)n), 0);
        assert_refused(w, "small", w->file);
        write_file(w->file, data, size);
    }
    assert_int_equal(truncate(w->file, (off_t)size + 4096), 0);
    assert_refused(w, "small", w->file);
    write_file(w->file, data, size);
    assert_opens(w, "small");
    free(data);
}

static void test_a_stamp_does_not_hide_a_later_change(void **state)
{
    struct world *w = *state;
    struct thaw_error err;
    struct stat st;
    unsigned char c;
    int fd;

    /* Old enough for a stamp to be believed. */
    usleep(1200000);
    assert_opens(w, "small");
    assert_opens(w, "small");
    assert_int_equal(image_open(&w->image, w->store, "small", true, &err), 0);
    image_close(&w->image);
    assert_int_equal(stat(w->file, &st), 0);
    fd = open(w->file, O_RDWR);
    assert_int_equal(pread(fd, &c, 1, st.st_size - 1), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, st.st_size - 1), 1);
    /* Even with the time of writing put back: the time of the change stays. */
    assert_int_equal(futimens(fd, (struct timespec[2]){st.st_atim, st.st_mtim}), 0);
    close(fd);
    assert_refused(w, "small", w->file);
    assert_refused(w, "small", w->file);
}

static void test_a_damaged_or_missing_sidecar_is_an_error(void **state)
{
    struct world *w = *state;
    char text[2048] = "", bad[2048];
    int fd = open(w->side, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    struct image_info info;
    struct thaw_error err;

    close(fd);
    assert_true(n > 0);
    /* Whatever one changed byte makes of it: an error, or the same facts about the image. */
    for (ssize_t i = 0; i < n; i++) {
        memcpy(bad, text, (size_t)n);
        bad[i] ^= 4;
        write_file(w->side, bad, (size_t)n);
        if (image_info_read(&info, w->file, &err) < 0)
            assert_non_null(strstr(err.text, w->side));
        write_file(w->side, text, (size_t)i);
        assert_int_equal(image_info_read(&info, w->file, &err) == 0, i >= n - 1);
    }
    write_file(w->side, text, (size_t)n);
    assert_opens(w, "small");
    assert_int_equal(unlink(w->side), 0);
    assert_int_equal(truncate(w->file, 8192), 0); /* no stamp speaks for it */
    assert_refused(w, "small", "small.");
}

static void test_what_is_no_image_is_refused(void **state)
{
    struct world *w = *state;
    char path[128];

    memset(path, 0, sizeof path);
    snprintf(path, sizeof path, "%s/images/zero.erofs", w->dir);
    write_file(path, "not an image", 12);
    assert_refused(w, "zero", path);
    assert_int_equal(truncate(path, 65536), 0);
    assert_refused(w, "zero", path);
    snprintf(path, sizeof path, "%s/images/dir.erofs", w->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_refused(w, "dir", path);
    assert_refused(w, "none", "none");
    assert_refused(w, "../small", "small");
    assert_refused(w, ".hidden", ".hidden");
    assert_refused(w, "", "");
    snprintf(path, sizeof path, "%s/images/fifo.erofs", w->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(w, "fifo", path); /* and does not wait */
}

static void test_building_from_nothing_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct thaw_error err;
    char path[128];

    assert_int_equal(image_build(w->store, "other", "/nonexistent", NULL, NULL, NULL, NULL, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent"));
    assert_int_equal(image_build(w->store, "other", w->file, NULL, NULL, NULL, NULL, &err), -1);
    assert_int_equal(image_build(w->store, "a/../b", w->dir, NULL, NULL, NULL, NULL, &err), -1);
    assert_int_equal(image_build(w->store, "-x", w->dir, NULL, NULL, NULL, NULL, &err), -1);
    snprintf(path, sizeof path, "%s/images/other.erofs", w->dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_an_image_made_by_other_means_can_be_sealed(void **state)
{
    struct world *w = *state;
    struct thaw_error err;

    assert_int_equal(unlink(w->side), 0);
    assert_int_equal(image_seal(w->store, w->file, &err), 0);
    assert_opens(w, "small");
    assert_int_equal(image_remove(w->store, "small", &err), 0);
    assert_int_equal(access(w->file, F_OK), -1);
    assert_int_equal(access(w->side, F_OK), -1);
    assert_int_equal(image_remove(w->store, "small", &err), -1);
}

static bool count_member(void *arg, const char *key, const char *value, bool is_number)
{
    (void)key;
    (void)value;
    (void)is_number;
    ++*(unsigned *)arg;
    return true;
}

static void test_json_is_read_strictly(void **state)
{
    static const char *const good[] = {"{}", " {\n} ", "{\"a\":1}", "{\"a\": \"b\\\"\\\\\\u0001/\", \"c\":0}"};
    static const char *const bad[] = {"",
                                      "{",
                                      "}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{\"a\":-1}",
                                      "{\"a\":1.5}",
                                      "{\"a\":1}x",
                                      "{\"a\":\"b}",
                                      "{a:1}",
                                      "[1]",
                                      "{\"a\":{}}",
                                      "{\"a\":null}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\\u00ff\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\" 1}",
                                      "{,}"};
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(json_parse(good[i], strlen(good[i]), count_member, &n));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* Without a NUL behind it, so that the sanitizers see a read beyond the end. */
        size_t len = strlen(bad[i]);
        char *exact = malloc(len ? len : 1);

        memcpy(exact, bad[i], len);
        assert_false(json_parse(exact, len, count_member, &n));
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_built_opens_and_says_what_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_flipped_byte_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncation_and_growth_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stamp_does_not_hide_a_later_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_or_missing_sidecar_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_image_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_building_from_nothing_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_image_made_by_other_means_can_be_sealed, setup, teardown),
        cmocka_unit_test(test_json_is_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
