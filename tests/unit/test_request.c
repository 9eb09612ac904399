/* SPDX-License-Identifier: MIT */
/* The request: every string where its offset says, nothing beyond its size, and clear refusals. */
#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const argv_hello[] = {"python3", "hello.py", "", "an argument", NULL};

static const char *string_at(const struct thaw_request *r, uint32_t off, unsigned index)
{
    const char *p = (const char *)r + off, *end = (const char *)r + r->size;

    for (unsigned i = 0; i < index; i++) {
        p = memchr(p, 0, (size_t)(end - p));
        assert_non_null(p);
        p++;
    }
    assert_true(p < end);
    assert_non_null(memchr(p, 0, (size_t)(end - p)));
    return p;
}

static void test_all_parts_are_where_the_offsets_say(void **state)
{
    static const char *const env[] = {"A=1", "HOME=/elsewhere", NULL};
    static const char *const defaults[] = {"PATH=/bin", "HOME=/root", NULL};
    const struct request_mount mounts[] = {{"/work", THAW_SHARE_RDONLY}, {"/data", 0}};
    const struct request_source source = {
        .exe = "/usr/lib/thaw/python",
        .argv = argv_hello,
        .env = env,
        .defaults = defaults,
        .cwd = "/work",
        .umask = 022,
        .stdio_tty = 5,
        .mounts = mounts,
        .mount_count = 2,
    };
    struct thaw_error err;
    struct thaw_request *r = request_build(&source, &err);
    const struct thaw_share *shares;

    (void)state;
    assert_non_null(r);
    assert_int_equal(r->magic, THAW_REQUEST_MAGIC);
    assert_int_equal(r->argc, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_string_equal(string_at(r, r->argv_off, i), argv_hello[i]);
    assert_int_equal(r->envc, 3);
    assert_string_equal(string_at(r, r->env_off, 0), "PATH=/bin");
    assert_string_equal(string_at(r, r->env_off, 1), "A=1");
    assert_string_equal(string_at(r, r->env_off, 2), "HOME=/elsewhere");
    assert_string_equal(string_at(r, r->cwd_off, 0), "/work");
    assert_string_equal(string_at(r, r->exe_off, 0), "/usr/lib/thaw/python");
    assert_int_equal(r->umask, 022);
    assert_int_equal(r->stdio_tty, 5);
    assert_int_equal(r->share_count, 2);
    assert_int_equal(r->share_off % _Alignof(struct thaw_share), 0);
    shares = (const struct thaw_share *)((const char *)r + r->share_off);
    assert_string_equal(string_at(r, shares[0].path_off, 0), "/work");
    assert_int_equal(shares[0].flags, THAW_SHARE_RDONLY);
    assert_string_equal(string_at(r, shares[1].path_off, 0), "/data");
    assert_int_equal(shares[1].flags, 0);
    free(r);
}

static void test_the_last_of_several_values_counts(void **state)
{
    static const char *const env[] = {"A=1", "AB=2", "A=3", NULL};
    const struct request_source source = {.argv = argv_hello, .env = env, .cwd = "/"};
    struct thaw_error err;
    struct thaw_request *r = request_build(&source, &err);

    (void)state;
    assert_non_null(r);
    assert_int_equal(r->envc, 2);
    assert_string_equal(string_at(r, r->env_off, 0), "AB=2");
    assert_string_equal(string_at(r, r->env_off, 1), "A=3");
    free(r);
}

static void refuse(const struct request_source *source, int error)
{
    struct thaw_error err;

    assert_null(request_build(source, &err));
    assert_int_equal(err.error, error);
    assert_int_equal(err.exit_status, THAW_STATUS_FAILED);
    assert_true(err.text[0] != 0);
}

static void test_too_long_a_request_is_e2big(void **state)
{
    size_t n = THAW_REQUEST_MAX;
    char *big = malloc(n + 1);
    const char *argv[] = {"python3", big, NULL};
    struct request_source source = {.argv = argv, .cwd = "/"};
    struct thaw_request *r;
    struct thaw_error err;

    (void)state;
    memset(big, 'x', n);
    big[n] = 0;
    refuse(&source, E2BIG);
    /* The most that fits: header, "python3", this, "/" and the executable. */
    big[n - sizeof(struct thaw_request) - 8 - 1 - 2 - 8] = 0;
    r = request_build(&source, &err);
    assert_non_null(r);
    assert_int_equal(r->size, THAW_REQUEST_MAX);
    free(r);
    free(big);
}

static void test_wrong_input_is_refused(void **state)
{
    static const char *const nothing[] = {NULL};
    static const char *const no_equals[] = {"NAME", NULL}, *const no_name[] = {"=1", NULL};
    const struct request_mount relative[] = {{"work", 0}};
    struct request_mount many[THAW_SHARE_MAX + 1];

    (void)state;
    for (size_t i = 0; i <= THAW_SHARE_MAX; i++)
        many[i] = (struct request_mount){"/m", 0};
    refuse(&(struct request_source){.argv = nothing, .cwd = "/"}, EINVAL);
    refuse(&(struct request_source){.argv = argv_hello, .cwd = "work"}, EINVAL);
    refuse(&(struct request_source){.argv = argv_hello}, EINVAL);
    refuse(&(struct request_source){.argv = argv_hello, .cwd = "/", .env = no_equals}, EINVAL);
    refuse(&(struct request_source){.argv = argv_hello, .cwd = "/", .env = no_name}, EINVAL);
    refuse(&(struct request_source){.argv = argv_hello, .cwd = "/", .mounts = relative, .mount_count = 1}, EINVAL);
    refuse(&(struct request_source){.argv = argv_hello, .cwd = "/", .mounts = many, .mount_count = THAW_SHARE_MAX + 1},
           EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_parts_are_where_the_offsets_say),
        cmocka_unit_test(test_the_last_of_several_values_counts),
        cmocka_unit_test(test_too_long_a_request_is_e2big),
        cmocka_unit_test(test_wrong_input_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
