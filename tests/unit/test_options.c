/* SPDX-License-Identifier: MIT */
/* Durations, sizes, mounts, the command line of run and exec, and paths of scripts. */
#define _GNU_SOURCE
#include "options.h"
#include "script.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"500ms", 500000000}, {"10s", 10000000000}, {"2m", 120000000000}, {"1h", 3600000000000},
                {"7", 7000000000},    {"1.5", 1500000000},  {"0.25s", 250000000}, {"1.5m", 90000000000},
                {"1ns", 1},           {"20us", 20000},      {"0.1ms", 100000},    {"1.0000000000001s", 1000000000}};
    static const char *const bad[] = {"",
                                      "s",
                                      "-1",
                                      "1x",
                                      "1 s",
                                      " 1",
                                      "0",
                                      "0ms",
                                      "1.",
                                      ".5",
                                      "1ss",
                                      "1e3",
                                      "+1",
                                      "99999999999999999999",
                                      "9223372036854775807s",
                                      "1.5.5",
                                      "ms"};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(duration_parse(good[i].text, &ns));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(duration_parse(bad[i], &ns));
}

static void test_sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},           {"4096", 4096},        {"64k", 65536},    {"256M", 268435456}, {"1G", 1073741824},
                {"1g", 1073741824}, {"2T", 2199023255552}, {"1MiB", 1048576}, {"5B", 5},           {"1KB", 1024}};
    static const char *const bad[] = {"",
                                      "M",
                                      "-1M",
                                      "1X",
                                      "1.5G",
                                      "1 M",
                                      "18446744073709551615",
                                      "1MM",
                                      "65T",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(size_parse(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(size_parse(bad[i], &bytes));
}

static void test_mounts_are_split(void **state)
{
    static const char *const bad[] = {"", ":", "/a", ":/b", "/a:", "/a:b", "/a:/b:rx", "/a:/b:ro:x"};
    struct thaw_mount m;
    char text[32];

    (void)state;
    strcpy(text, "/a b:/c:ro");
    assert_true(mount_parse(text, &m));
    assert_string_equal(m.host, "/a b");
    assert_string_equal(m.guest, "/c");
    assert_true(m.rdonly);
    strcpy(text, "rel:/c");
    assert_true(mount_parse(text, &m));
    assert_string_equal(m.host, "rel");
    assert_false(m.rdonly);
    strcpy(text, "rel:/c:rw");
    assert_true(mount_parse(text, &m));
    assert_false(m.rdonly);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        strcpy(text, bad[i]);
        assert_false(mount_parse(text, &m));
    }
}

static int parse(struct options *o, enum options_for what, const char *line, struct thaw_error *err)
{
    static char buf[512];
    char *argv[32], *save = NULL;
    size_t n = 0;

    strcpy(buf, line);
    for (char *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    argv[n] = NULL;
    return options_parse(o, what, argv, err);
}

static void assert_words(const struct options *o, const char *line)
{
    char joined[512] = "";

    for (size_t i = 0; o->argv[i]; i++) {
        if (i)
            strcat(joined, " ");
        strcat(joined, o->argv[i]);
    }
    assert_string_equal(joined, line);
}

static void test_options_end_where_python_has_it(void **state)
{
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"run x.py --cold -c y", "x.py --cold -c y"},
        {"run --cold x.py -v", "x.py -v"},
        {"run -c pass --cold", "-c pass --cold"},
        {"run -cpass a", "-c pass a"},
        {"run -m json.tool -h", "-m json.tool -h"},
        {"run -mjson.tool", "-m json.tool"},
        {"run --timeout=1s - a b", "- a b"},
        {"run", ""},
        {"run -- -odd.py a", "-odd.py a"},
    };
    struct thaw_error err;
    struct options o;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(&o, OPTIONS_RUN, cases[i].line, &err), 0);
        assert_words(&o, cases[i].words);
        assert_string_equal(o.image, "python");
        options_free(&o);
    }
}

static void test_every_option_of_run_is_taken(void **state)
{
    struct thaw_error err;
    struct options o;

    (void)state;
    setenv("PASSED_ON", "it is", 1);
    unsetenv("NOT_THERE");
    assert_int_equal(
        parse(&o, OPTIONS_RUN,
              "run --snapshot s --image i --machine process --memory 64M --cpus 3 --timeout 2s --env A=1 --env "
              "PASSED_ON -e NOT_THERE --env=B= -v /h:/g:ro --volume=h2:/g2 --stats f --strace --harden x.py",
              &err),
        0);
    assert_string_equal(o.snapshot, "s");
    assert_string_equal(o.image, "i");
    assert_int_equal(o.memory, 64 << 20);
    assert_int_equal(o.cpus, 3);
    assert_int_equal(o.timeout, 2000000000);
    assert_int_equal(o.env_count, 3);
    assert_string_equal(o.env[0], "A=1");
    assert_string_equal(o.env[1], "PASSED_ON=it is");
    assert_string_equal(o.env[2], "B=");
    assert_null(o.env[3]);
    assert_int_equal(o.mount_count, 2);
    assert_string_equal(o.mounts[1].guest, "/g2");
    assert_string_equal(o.stats, "f");
    assert_true(o.strace && o.harden && !o.cold);
    free((char *)o.env[1]);
    options_free(&o);
}

static void test_exec_wants_a_root_and_a_program(void **state)
{
    struct thaw_error err;
    struct options o;

    (void)state;
    assert_int_equal(parse(&o, OPTIONS_EXEC, "exec --root /r --cwd /w -- prog -x", &err), 0);
    assert_string_equal(o.root, "/r");
    assert_string_equal(o.cwd, "/w");
    assert_words(&o, "prog -x");
    options_free(&o);
    assert_int_equal(parse(&o, OPTIONS_EXEC, "exec --image i prog", &err), 0);
    options_free(&o);
    assert_int_equal(parse(&o, OPTIONS_EXEC, "exec prog", &err), -1);
    options_free(&o);
    assert_int_equal(parse(&o, OPTIONS_EXEC, "exec --root /r --image i prog", &err), -1);
    options_free(&o);
    assert_int_equal(parse(&o, OPTIONS_EXEC, "exec --root /r", &err), -1);
    options_free(&o);
}

static void test_wrong_options_are_errors_of_one_line(void **state)
{
    static const char *const run[] = {"run --nonsense x",
                                      "run --memory x.py",
                                      "run --memory 1M x.py",
                                      "run --cpus 0 x.py",
                                      "run --cpus 2x x.py",
                                      "run --timeout 0 x.py",
                                      "run --timeout",
                                      "run -c",
                                      "run -m",
                                      "run -v /a x.py",
                                      "run --env =x x.py",
                                      "run --cold=1 x.py",
                                      "run --machine q x",
                                      "run --root / x.py",
                                      "run --cold --snapshot s x.py",
                                      "run -x"};
    struct thaw_error err;
    struct options o;

    (void)state;
    for (size_t i = 0; i < sizeof run / sizeof *run; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(parse(&o, OPTIONS_RUN, run[i], &err), -1);
        assert_int_equal(err.exit_status, THAW_STATUS_FAILED);
        assert_true(err.text[0] && !strchr(err.text, '\n'));
        options_free(&o);
    }
}

static void test_paths_are_normalised(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {{"/", "/"},       {"//a//b/", "/a/b"},        {"/a/./b", "/a/b"},   {"/a/../b", "/b"},
                 {"/../..", "/"},  {"/a/b/..", "/a"},          {"/a/...", "/a/..."}, {"/a/..b", "/a/..b"},
                 {"/.a/.", "/.a"}, {"/a/b/../../c/d/..", "/c"}};
    char path[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        strcpy(path, cases[i].in);
        path_normalise(path);
        assert_string_equal(path, cases[i].out);
    }
}

static void touch(const char *path)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fclose(f);
}

static void test_a_scripts_folder_is_shared_under_its_own_path(void **state)
{
    char dir[] = "/tmp/thaw-test-XXXXXX", want[128], here[PATH_MAX];
    struct thaw_error err;
    struct script s;

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(mkdir("other", 0700), 0);
    touch("sub/x.py");

    assert_int_equal(script_find(&s, "sub/x.py", &err), 0);
    snprintf(want, sizeof want, "%s/sub", dir);
    assert_string_equal(s.cwd, want);
    assert_int_equal(s.mount_count, 1);
    assert_string_equal(s.mounts[0].host, "sub");
    assert_string_equal(s.mounts[0].guest, want);
    assert_true(s.mounts[0].rdonly);
    script_free(&s);

    /* A link: the folder of what it leads to is there as well. */
    assert_int_equal(symlink("../sub/x.py", "other/link.py"), 0);
    assert_int_equal(script_find(&s, "./other/../other/link.py", &err), 0);
    assert_int_equal(s.mount_count, 2);
    snprintf(want, sizeof want, "%s/other", dir);
    assert_string_equal(s.cwd, want);
    snprintf(want, sizeof want, "%s/sub", dir);
    assert_string_equal(s.mounts[1].guest, want);
    assert_true(s.mounts[1].rdonly);
    script_free(&s);

    /* No such file: its folder is there all the same, so that Python says what is wrong; no folder, no share. */
    assert_int_equal(script_find(&s, "sub/none.py", &err), 0);
    assert_int_equal(s.mount_count, 1);
    script_free(&s);
    assert_int_equal(script_find(&s, "none/none.py", &err), 0);
    assert_int_equal(s.mount_count, 0);
    assert_null(s.cwd);
    script_free(&s);

    assert_int_equal(unlink("other/link.py") | unlink("sub/x.py") | rmdir("sub") | rmdir("other"), 0);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void test_a_script_in_a_folder_of_the_sandbox_is_shared_alone(void **state)
{
    char file[] = "/tmp/thaw-test-XXXXXX";
    int fd = mkstemp(file);
    struct thaw_error err;
    struct script s;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(script_find(&s, file, &err), 0);
    assert_int_equal(s.mount_count, 1);
    assert_string_equal(s.mounts[0].host, file);
    assert_string_equal(s.mounts[0].guest, file);
    assert_string_equal(s.cwd, "/tmp");
    script_free(&s);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_are_read),
        cmocka_unit_test(test_sizes_are_read),
        cmocka_unit_test(test_mounts_are_split),
        cmocka_unit_test(test_options_end_where_python_has_it),
        cmocka_unit_test(test_every_option_of_run_is_taken),
        cmocka_unit_test(test_exec_wants_a_root_and_a_program),
        cmocka_unit_test(test_wrong_options_are_errors_of_one_line),
        cmocka_unit_test(test_paths_are_normalised),
        cmocka_unit_test(test_a_scripts_folder_is_shared_under_its_own_path),
        cmocka_unit_test(test_a_script_in_a_folder_of_the_sandbox_is_shared_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
