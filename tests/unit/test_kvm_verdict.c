/* SPDX-License-Identifier: MIT */
/* What is known of the host's KVM is asked of it once per boot, and not of what somebody else could have written. */
#define _GNU_SOURCE
#include "kvm_verdict.h"
#include "snapshot.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* In place of the host's: linked with --wrap. */
static unsigned probes;
static uint32_t finding;
static int device_error;

struct kvm_verdict __wrap_kvm_probe(void);
struct kvm_verdict __wrap_kvm_probe(void)
{
    probes++;
    return (struct kvm_verdict){.finding = finding, .step = 5, .loop_us = probes};
}

int __wrap_kvm_device_open(volatile struct kvm_verdict *v);
int __wrap_kvm_device_open(volatile struct kvm_verdict *v)
{
    if (!device_error)
        return open("/dev/null", O_RDONLY);
    v->error = device_error;
    v->finding = device_error == ENOENT ? KVM_ABSENT : KVM_DENIED;
    return -1;
}

static char dir[64], file[128];
static struct thaw_store *store;

static int set_up(void **state)
{
    struct thaw_error err;

    (void)state;
    strcpy(dir, "/tmp/thaw-verdict.XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
    assert_int_equal(thaw_store_open(&store, &err), 0);
    snprintf(file, sizeof file, "%s/thaw/kvm-verdict", dir);
    probes = 0;
    finding = KVM_USABLE;
    device_error = 0;
    return 0;
}

static int tear_down(void **state)
{
    char parent[96];

    (void)state;
    thaw_store_close(store);
    unlink(file);
    snprintf(parent, sizeof parent, "%s/thaw", dir);
    rmdir(parent);
    return rmdir(dir);
}

static void forget_and_expect_probe(void)
{
    unsigned before = probes;
    struct kvm_verdict v = kvm_verdict_get(store, false);

    assert_int_equal(probes, before + 1);
    assert_int_equal(v.finding, finding);
    assert_false(v.remembered);
}

static void expect_remembered(uint32_t want)
{
    unsigned before = probes;
    struct kvm_verdict v = kvm_verdict_get(store, false);

    assert_int_equal(probes, before);
    assert_int_equal(v.finding, want);
    assert_true(v.remembered);
}

static void test_one_probe_a_boot(void **state)
{
    struct stat st;

    (void)state;
    forget_and_expect_probe();
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    expect_remembered(KVM_USABLE);
    finding = KVM_SLOW;
    expect_remembered(KVM_USABLE);
}

static void test_fresh_replaces(void **state)
{
    (void)state;
    forget_and_expect_probe();
    finding = KVM_LATE;
    assert_int_equal(kvm_verdict_get(store, true).finding, KVM_LATE);
    assert_int_equal(probes, 2);
    expect_remembered(KVM_LATE);
}

static void test_what_cannot_be_opened_is_not_probed(void **state)
{
    (void)state;
    device_error = EACCES;
    assert_int_equal(kvm_verdict_get(store, false).finding, KVM_DENIED);
    assert_int_equal(probes, 0);
    assert_int_equal(access(file, F_OK), -1);
    device_error = 0;
    forget_and_expect_probe();
    /* The device is looked at each time, whatever is remembered. */
    device_error = ENOENT;
    assert_int_equal(kvm_verdict_get(store, false).finding, KVM_ABSENT);
}

static void change(size_t at, uint8_t with, bool resign)
{
    uint8_t bytes[512], sum[16];
    int fd = open(file, O_RDWR);
    ssize_t n = read(fd, bytes, sizeof bytes);

    assert_true(n > 64 && n < (ssize_t)sizeof bytes && (size_t)n > at);
    bytes[at] ^= with;
    if (resign) {
        snapshot_sum(bytes, (size_t)n - 16, sum);
        memcpy(bytes + n - 16, sum, 16);
    }
    assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
    close(fd);
}

static void test_another_boot(void **state)
{
    (void)state;
    forget_and_expect_probe();
    change(8, 1, true); /* the boot's id */
    forget_and_expect_probe();
    expect_remembered(KVM_USABLE);
}

static void test_damage(void **state)
{
    struct stat st;

    (void)state;
    forget_and_expect_probe();
    assert_int_equal(stat(file, &st), 0);
    for (size_t i = 0; i < (size_t)st.st_size; i++) {
        change(i, 0x10, false);
        forget_and_expect_probe();
    }
    for (off_t n = 0; n < st.st_size; n += 7) {
        assert_int_equal(truncate(file, n), 0);
        forget_and_expect_probe();
    }
    assert_int_equal(truncate(file, st.st_size + 1), 0);
    forget_and_expect_probe();
    expect_remembered(KVM_USABLE);
}

static void test_a_finding_that_there_is_not(void **state)
{
    (void)state;
    forget_and_expect_probe();
    change(56, 0x60, true); /* the finding */
    forget_and_expect_probe();
}

static void test_writable_by_others(void **state)
{
    (void)state;
    forget_and_expect_probe();
    assert_int_equal(chmod(file, 0660), 0);
    forget_and_expect_probe();
    assert_int_equal(chmod(file, 0602), 0);
    forget_and_expect_probe();
    expect_remembered(KVM_USABLE);
}

static void test_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    forget_and_expect_probe();
    assert_int_equal(chown(file, 65534, 65534), 0);
    forget_and_expect_probe();
    expect_remembered(KVM_USABLE);
}

static void test_symbolic_link(void **state)
{
    char elsewhere[160];

    (void)state;
    forget_and_expect_probe();
    snprintf(elsewhere, sizeof elsewhere, "%s.elsewhere", file);
    assert_int_equal(rename(file, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, file), 0);
    forget_and_expect_probe();
    unlink(elsewhere);
    expect_remembered(KVM_USABLE);
}

static void test_each_finding_explained(void **state)
{
    (void)state;
    for (uint32_t f = 0; f <= KVM_UNDECIDED + 1; f++)
        for (uint32_t step = 0; step < 8; step++) {
            struct kvm_verdict v = {.finding = f, .step = step, .deadline_ms = UINT32_MAX, .loop_us = UINT32_MAX};
            char why[KVM_VERDICT_TEXT], advice[KVM_VERDICT_TEXT];

            kvm_verdict_explain(&v, why, advice);
            assert_true(strlen(why) > 10 && strlen(why) < KVM_VERDICT_TEXT - 1);
            assert_true(strlen(advice) < KVM_VERDICT_TEXT - 1 && (advice[0] != 0) == (f != KVM_USABLE));
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_probe_a_boot),       TEST(test_fresh_replaces),  TEST(test_what_cannot_be_opened_is_not_probed),
        TEST(test_another_boot),           TEST(test_damage),          TEST(test_a_finding_that_there_is_not),
        TEST(test_writable_by_others),     TEST(test_of_another_user), TEST(test_symbolic_link),
        TEST(test_each_finding_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
