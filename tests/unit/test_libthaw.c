/* SPDX-License-Identifier: MIT */
/* The public library, through nothing but its header, with real sandboxes: $BUILD/images must hold the image `python`. */
#define _GNU_SOURCE
#include "thaw.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND 1000000000ll

static struct thaw_store *store;
static struct thaw_image *image;
static char home[] = "/tmp/thaw-test-XXXXXX";

static int setup(void **state)
{
    const char *build = getenv("BUILD");
    struct thaw_error err;
    char path[512];

    (void)state;
    snprintf(path, sizeof path, "%s/images", build ? build : "build");
    setenv("THAW_IMAGE_PATH", path, 1);
    assert_non_null(mkdtemp(home));
    setenv("HOME", home, 1);
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_CACHE_HOME");
    if (thaw_store_open(&store, &err) < 0 || thaw_image_open(store, "python", &image, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    thaw_image_close(image);
    thaw_store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static unsigned open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static struct thaw_sandbox *start_code(const char *code, enum thaw_mode mode)
{
    const char *argv[] = {"python3", "-c", code, NULL};
    struct thaw_start start = {.size = sizeof start,
                               .image = image,
                               .mode = mode,
                               .argv = argv,
                               .stdio = {THAW_STDIO_PIPE, THAW_STDIO_PIPE, THAW_STDIO_PIPE}};
    struct thaw_sandbox *s = NULL;
    struct thaw_error err = {0};

    if (thaw_sandbox_start(store, &start, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void assert_ends(struct thaw_sandbox *s, enum thaw_end end, int exit_status)
{
    struct thaw_status status;
    struct thaw_error err;

    if (thaw_sandbox_wait(s, 60 * SECOND, &status, &err) != 1)
        fail_msg("%s", err.text);
    if (status.end != end)
        fail_msg("ended in way %d (%s)", status.end, status.text);
    assert_int_equal(status.exit_status, exit_status);
}

static void test_the_first_start_is_cold_and_the_second_restored(void **state)
{
    struct thaw_statistics st;
    struct thaw_sandbox *s = start_code("pass", THAW_MODE_AUTO);

    (void)state;
    assert_true(thaw_sandbox_snapshot_pending(s));
    assert_ends(s, THAW_END_EXITED, 0);
    thaw_sandbox_statistics(s, &st);
    assert_false(st.restored);
    assert_true(st.snapshot_made);
    assert_true(st.syscalls > 100);
    thaw_sandbox_free(s);
    s = start_code("raise SystemExit(7)", THAW_MODE_AUTO);
    assert_false(thaw_sandbox_snapshot_pending(s));
    assert_ends(s, THAW_END_EXITED, 7);
    assert_ends(s, THAW_END_EXITED, 7); /* may be asked again */
    thaw_sandbox_statistics(s, &st);
    assert_true(st.restored);
    assert_true(st.start_ns <= st.fork_ns && st.entry_ns <= st.mapped_ns && st.mapped_ns <= st.exit_ns &&
                st.exit_ns <= st.end_ns && st.entry_ns > st.start_ns);
    assert_true(st.memory_peak > 0);
    thaw_sandbox_free(s);
}

static void test_input_and_both_outputs_are_carried_whole(void **state)
{
    struct thaw_sandbox *s = start_code("import sys\nd = sys.stdin.buffer.read()\nsys.stdout.buffer.write(d[::-1])\n"
                                        "sys.stderr.buffer.write(d)\n",
                                        THAW_MODE_AUTO);
    size_t n = 3000001;
    unsigned char *in = malloc(n);
    struct thaw_output out = {.max = n}, errout = {.max = 1000};
    struct thaw_status status;
    struct thaw_error err;

    (void)state;
    for (size_t i = 0; i < n; i++)
        in[i] = (unsigned char)(i * 2654435761u >> 13);
    assert_int_equal(thaw_sandbox_communicate(s, in, n, &out, &errout, 60 * SECOND, &status, &err), 1);
    assert_int_equal(status.exit_status, 0);
    assert_int_equal(out.len, n);
    assert_int_equal(out.dropped, 0);
    for (size_t i = 0; i < n; i++)
        if (out.data[i] != in[n - 1 - i])
            fail_msg("byte %zu is wrong", i);
    assert_int_equal(errout.len, 1000);
    assert_int_equal(errout.dropped, n - 1000);
    assert_memory_equal(errout.data, in, 1000);
    free(in);
    free(out.data);
    free(errout.data);
    thaw_sandbox_free(s);
}

static void test_a_reader_that_leaves_and_input_that_is_not_read(void **state)
{
    struct thaw_sandbox *s = start_code("print('bye')", THAW_MODE_AUTO);
    struct thaw_output out = {.max = 100};
    struct thaw_status status;
    struct thaw_error err;
    char *in = calloc(1, 1 << 20);

    (void)state;
    /* The program ends without reading: no SIGPIPE for us, no waiting. */
    assert_int_equal(thaw_sandbox_communicate(s, in, 1 << 20, &out, NULL, 60 * SECOND, &status, &err), 1);
    assert_int_equal(status.exit_status, 0);
    assert_int_equal(out.len, 4);
    free(out.data);
    free(in);
    thaw_sandbox_free(s);
    s = start_code("import os, sys\nos.read(0, 1)\nfor i in range(100000): print(i)\n", THAW_MODE_AUTO);
    close(thaw_sandbox_take_stdio(s, 1));
    assert_int_equal(thaw_sandbox_stdio(s, 1), -1);
    assert_int_equal(thaw_sandbox_communicate(s, "x", 1, NULL, NULL, 60 * SECOND, &status, &err), 1);
    assert_int_equal(status.end, THAW_END_EXITED); /* a BrokenPipeError, as natively */
    assert_true(status.exit_status != 0);
    thaw_sandbox_free(s);
}

static void test_waiting_ends_when_its_time_is_over(void **state)
{
    struct thaw_sandbox *s = start_code("while True: pass", THAW_MODE_AUTO);
    struct thaw_status status;
    struct thaw_error err;
    struct timespec a, b;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(thaw_sandbox_wait(s, SECOND / 5, &status, &err), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true((b.tv_sec - a.tv_sec) * SECOND + (b.tv_nsec - a.tv_nsec) >= SECOND / 5);
    assert_int_equal(thaw_sandbox_wait(s, 0, &status, &err), 0);
    thaw_sandbox_stop(s);
    assert_int_equal(thaw_sandbox_wait(s, 0, &status, &err), 1);
    assert_int_equal(status.end, THAW_END_STOPPED);
    assert_int_equal(thaw_sandbox_signal(s, SIGINT, &err), -1);
    assert_int_equal(err.error, ESRCH);
    thaw_sandbox_free(s);
}

static void test_signals_reach_the_program(void **state)
{
    struct thaw_sandbox *s = start_code("import signal, sys, time\n"
                                        "signal.signal(signal.SIGTERM, lambda *a: sys.exit(33))\n"
                                        "print('ready', flush=True)\nwhile True: time.sleep(1)\n",
                                        THAW_MODE_AUTO);
    struct thaw_error err;
    char text[8];

    (void)state;
    assert_int_equal(read(thaw_sandbox_stdio(s, 1), text, sizeof text), 6);
    assert_int_equal(thaw_sandbox_signal(s, SIGTERM, &err), 0);
    assert_ends(s, THAW_END_EXITED, 33);
    thaw_sandbox_free(s);
    s = start_code("import time\nprint('ready', flush=True)\nwhile True: time.sleep(1)\n", THAW_MODE_AUTO);
    assert_int_equal(read(thaw_sandbox_stdio(s, 1), text, sizeof text), 6);
    assert_int_equal(thaw_sandbox_signal(s, SIGTERM, &err), 0);
    assert_ends(s, THAW_END_SIGNALED, 128 + SIGTERM);
    thaw_sandbox_free(s);
    s = start_code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", THAW_MODE_AUTO);
    assert_ends(s, THAW_END_SIGNALED, 137);
    thaw_sandbox_free(s);
}

static void test_many_sandboxes_live_side_by_side_and_leave_nothing(void **state)
{
    enum { COUNT = 20 };
    struct thaw_sandbox *s[COUNT];
    unsigned before = open_files();
    struct thaw_error err;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        char code[64];

        snprintf(code, sizeof code, "import sys; sys.exit(len(input()) + %d)", i);
        s[i] = start_code(code, THAW_MODE_AUTO);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        struct thaw_status status;

        assert_int_equal(thaw_sandbox_communicate(s[i], "abc\n", 4, NULL, NULL, 60 * SECOND, &status, &err), 1);
        assert_int_equal(status.exit_status, i + 3);
    }
    for (int i = 0; i < COUNT; i++)
        thaw_sandbox_free(s[i]);
    for (int i = 0; i < COUNT; i++)
        s[i] = start_code("input()", THAW_MODE_AUTO);
    for (int i = 0; i < COUNT; i++)
        thaw_sandbox_free(s[i]); /* while they run */
    assert_int_equal(open_files(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_a_snapshot_with_a_name_is_made_opened_and_used(void **state)
{
    const char *argv[] = {"python3", "-c", "print(6 * 7)", NULL};
    struct thaw_start start = {.size = sizeof start,
                               .image = image,
                               .mode = THAW_MODE_FROM,
                               .argv = argv,
                               .stdio = {THAW_STDIO_NULL, THAW_STDIO_PIPE, THAW_STDIO_NULL}};
    struct thaw_snapshot *snapshot = NULL;
    struct thaw_output out = {.max = 100};
    struct thaw_status status;
    struct thaw_sandbox *s;
    struct thaw_error err;
    char path[128];

    (void)state;
    assert_int_equal(thaw_snapshot_open(store, image, "mine", &snapshot, &err), -1);
    assert_int_equal(err.error, ENOENT);
    if (thaw_snapshot_create(store, image, "mine", NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(thaw_snapshot_open(store, image, "mine", &snapshot, &err), 0);
    start.snapshot = snapshot;
    for (int i = 0; i < 3; i++) {
        out = (struct thaw_output){.max = 100};
        assert_int_equal(thaw_sandbox_start(store, &start, &s, &err), 0);
        assert_int_equal(thaw_sandbox_communicate(s, NULL, 0, &out, NULL, 60 * SECOND, &status, &err), 1);
        assert_int_equal(out.len, 3);
        assert_memory_equal(out.data, "42\n", 3);
        free(out.data);
        thaw_sandbox_free(s);
    }
    thaw_snapshot_close(snapshot);
    /* Cut short it is an error that names the file, and never a start. */
    snprintf(path, sizeof path, "%s/.local/share/thaw/snapshots/mine.snap", home);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 100000), 0);
    assert_int_equal(thaw_snapshot_open(store, image, "mine", &snapshot, &err), -1);
    assert_int_equal(err.error, EBADMSG);
    assert_non_null(strstr(err.text, path));
}

static void count_notice(void *arg, const char *line)
{
    (void)line;
    ++*(int *)arg;
}

static void test_a_damaged_automatic_snapshot_is_made_anew_with_one_line(void **state)
{
    const char *argv[] = {"python3", "-c", "pass", NULL};
    int notices = 0;
    struct thaw_start start = {.size = sizeof start,
                               .image = image,
                               .argv = argv,
                               .stdio = {THAW_STDIO_NULL, THAW_STDIO_NULL, THAW_STDIO_NULL},
                               .notice = count_notice,
                               .notice_arg = &notices};
    struct thaw_statistics st;
    struct thaw_sandbox *s;
    struct thaw_error err;
    char command[256];

    (void)state;
    snprintf(command, sizeof command,
             "for f in %s/.cache/thaw/snapshots/*.snap; do chmod u+w $f && truncate -s -4096 $f; done", home);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(thaw_sandbox_start(store, &start, &s, &err), 0);
        assert_ends(s, THAW_END_EXITED, 0);
        thaw_sandbox_statistics(s, &st);
        assert_int_equal(st.restored, i == 1);
        assert_int_equal(st.snapshot_made, i == 0);
        thaw_sandbox_free(s);
    }
    assert_int_equal(notices, 1);
}

static void test_what_cannot_be_started_says_why_and_leaves_nothing(void **state)
{
    const char *argv[] = {"python3", "-c", "pass", NULL}, *relative_env[] = {"NAME", NULL};
    const struct thaw_mount absent[] = {{"/nonexistent", "/x", true}}, relative[] = {{"/tmp", "x", true}};
    const struct thaw_start good = {.size = sizeof good, .image = image, .argv = argv, .stdio = {-2, -2, -2}};
    struct thaw_start bad[9];
    unsigned before = open_files();
    struct thaw_sandbox *s;
    struct thaw_error err;

    (void)state;
    for (int i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].size = 1;
    bad[1].argv = NULL;
    bad[2].image = NULL;
    bad[3].mounts = absent, bad[3].mount_count = 1;
    bad[4].mounts = relative, bad[4].mount_count = 1;
    bad[5].env = relative_env;
    bad[6].cwd = "relative";
    bad[7].memory = 1;
    bad[8].mode = THAW_MODE_FROM;
    for (int i = 0; i < 9; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(thaw_sandbox_start(store, &bad[i], &s, &err), -1);
        assert_int_equal(err.exit_status, THAW_STATUS_FAILED);
        assert_true(err.text[0] && !strchr(err.text, '\n'));
    }
    assert_int_equal(open_files(), before);
}

static void test_what_cannot_be_executed_is_126_or_127(void **state)
{
    const char *missing[] = {"/no/such/program", NULL}, *directory[] = {"/usr", NULL};
    struct thaw_start start = {.size = sizeof start,
                               .image = image,
                               .argv = missing,
                               .flags = THAW_START_EXEC,
                               .stdio = {THAW_STDIO_NULL, THAW_STDIO_NULL, THAW_STDIO_NULL}};
    struct thaw_sandbox *s;
    struct thaw_error err;

    (void)state;
    assert_int_equal(thaw_sandbox_start(store, &start, &s, &err), 0);
    assert_ends(s, THAW_END_EXEC, 127);
    thaw_sandbox_free(s);
    start.argv = directory;
    assert_int_equal(thaw_sandbox_start(store, &start, &s, &err), 0);
    assert_ends(s, THAW_END_EXEC, 126);
    thaw_sandbox_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_start_is_cold_and_the_second_restored),
        cmocka_unit_test(test_input_and_both_outputs_are_carried_whole),
        cmocka_unit_test(test_a_reader_that_leaves_and_input_that_is_not_read),
        cmocka_unit_test(test_waiting_ends_when_its_time_is_over),
        cmocka_unit_test(test_signals_reach_the_program),
        cmocka_unit_test(test_many_sandboxes_live_side_by_side_and_leave_nothing),
        cmocka_unit_test(test_a_snapshot_with_a_name_is_made_opened_and_used),
        cmocka_unit_test(test_a_damaged_automatic_snapshot_is_made_anew_with_one_line),
        cmocka_unit_test(test_what_cannot_be_started_says_why_and_leaves_nothing),
        cmocka_unit_test(test_what_cannot_be_executed_is_126_or_127),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
