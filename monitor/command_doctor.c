/* SPDX-License-Identifier: MIT */
/* `thaw doctor`: what this host can do, and what `thaw run` will make of it. */
#define _GNU_SOURCE
#include "choice.h"
#include "command.h"
#include "image.h"
#include "libthaw.h"
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static const char help[] =
    "Usage: thaw doctor\n"
    "\n"
    "Says what this host can do, and which machine `thaw run` takes and why. Exit status: 0 if sandboxes can run.\n";

enum need { MUST, USEFUL };

struct doctor {
    bool failed;
    struct kvm_verdict kvm;
};

static void report(struct doctor *d, enum need need, bool ok, const char *what, const char *more)
{
    printf("%-9s %-34s %s\n", ok ? "ok" : need == MUST ? "MISSING" : "no", what, more ? more : "");
    if (!ok && need == MUST)
        d->failed = true;
}

static void report_advice(const char *text) { printf("%-9s %-34s to change that: %s\n", "", "", text); }

static bool has_seccomp_filter(void)
{
    uint32_t action = SECCOMP_RET_TRAP;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool has_user_namespaces(void)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
    if (pid < 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool has_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool has_populate_write(void)
{
    void *p = mmap(NULL, THAW_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool ok = p != MAP_FAILED && madvise(p, THAW_PAGE_SIZE, MADV_POPULATE_WRITE) == 0;

    if (p != MAP_FAILED)
        munmap(p, THAW_PAGE_SIZE);
    return ok;
}

/* The sandbox's kernel lives at fixed addresses. */
static bool has_window(void)
{
    void *want = (void *)(uintptr_t)THAW_BOOT_ADDR;
    void *p = mmap(want, THAW_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (p == MAP_FAILED)
        return false;
    munmap(p, THAW_PAGE_SIZE);
    return p == want;
}

static void read_line(const char *path, char *dst, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, dst, size - 1);

    if (fd >= 0)
        close(fd);
    dst[n > 0 ? n : 0] = 0;
    dst[strcspn(dst, "\n")] = 0;
}

/* Measured anew, and remembered: after a change to the host this is how a start comes to know of it. */
static void report_kvm(struct doctor *d, const struct thaw_store *store)
{
    char why[KVM_VERDICT_TEXT], advice[KVM_VERDICT_TEXT];

    d->kvm = kvm_verdict_get(store, true);
    kvm_verdict_explain(&d->kvm, why, advice);
    report(d, USEFUL, d->kvm.finding == KVM_USABLE, "KVM", why);
    if (advice[0])
        report_advice(advice);
}

static void report_host(struct doctor *d)
{
    char text[160];
    struct utsname u;
    long landlock;

    if (uname(&u) == 0) {
        snprintf(text, sizeof text, "%.60s %.60s", u.release, u.machine);
        report(d, MUST, strcmp(u.machine, "x86_64") == 0, "x86-64 Linux", text);
    }
    report(d, MUST, has_seccomp_filter(), "seccomp filters", "the sandbox's boundary");
    report(d, MUST, has_pidfd(), "pidfd", "to watch the sandbox; Linux 5.3");
    report(d, MUST, has_window(), "address space for the kernel", "0x700000000000");
    report(d, MUST, share_supported(), "openat2", "to share directories safely; Linux 5.6");
    report(d, USEFUL, has_populate_write(), "MADV_POPULATE_WRITE", "faster restores; Linux 5.14");
    report(d, USEFUL, getauxval(AT_HWCAP2) & 2, "FSGSBASE", "cheaper thread switches; Linux 5.9");
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text);
    report(d, USEFUL, strstr(text, "[always]") || strstr(text, "[madvise]"), "transparent huge pages", text);
    landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    snprintf(text, sizeof text,
             landlock > 0 ? "version %ld; for the kvm machine and --harden" : "for the kvm machine and --harden",
             landlock);
    report(d, USEFUL, landlock > 0, "Landlock", text);
    report(d, USEFUL, has_user_namespaces(), "user namespaces", "for --harden");
}

static void report_images(struct doctor *d, const struct thaw_store *store)
{
    static const char *const mkfs[] = {"/usr/bin/mkfs.erofs", "/usr/sbin/mkfs.erofs", "/sbin/mkfs.erofs",
                                       "/usr/local/bin/mkfs.erofs"};
    struct image *image = malloc(sizeof *image);
    struct thaw_error err;
    bool has_mkfs = false;

    for (size_t i = 0; i < sizeof mkfs / sizeof *mkfs; i++)
        has_mkfs |= access(mkfs[i], X_OK) == 0;
    report(d, USEFUL, has_mkfs, "mkfs.erofs", "for `thaw image build`; package erofs-utils");
    if (!image)
        return;
    if (image_open(image, store, "python", false, &err) < 0) {
        report(d, USEFUL, false, "image python", err.text);
    } else {
        report(d, USEFUL, true, "image python", image->path);
        image_close(image);
    }
    free(image);
}

/* The nearest directory above path that exists can be written to. */
static bool is_writable(const char *path)
{
    char dir[PATH_MAX];
    char *slash;

    snprintf(dir, sizeof dir, "%s", path);
    while (access(dir, F_OK) < 0 && (slash = strrchr(dir, '/')) && slash != dir)
        *slash = 0;
    return access(dir, W_OK | X_OK) == 0;
}

static int count_one(void *arg, const char *dir, const char *name)
{
    (void)dir;
    (void)name;
    ++*(unsigned *)arg;
    return 0;
}

static void report_snapshots(struct doctor *d, const struct thaw_store *store)
{
    char automatic[PATH_MAX], named[PATH_MAX], text[PATH_MAX + 64];
    unsigned a = 0, n = 0;
    struct thaw_error err;

    if (store_snapshot_dirs(store, automatic, named, &err) < 0) {
        report(d, USEFUL, false, "snapshots", err.text);
        return;
    }
    store_list(automatic, ".snap", count_one, &a);
    store_list(named, ".snap", count_one, &n);
    snprintf(text, sizeof text, "%u in %s", a, automatic);
    report(d, USEFUL, is_writable(automatic), "automatic snapshots can be kept", text);
    snprintf(text, sizeof text, "%u in %s", n, named);
    report(d, USEFUL, is_writable(named), "named snapshots can be kept", text);
}

static const char *machine_summary(const struct kvm_verdict *kvm)
{
    if (kvm->finding == KVM_USABLE)
        return "\n`thaw run` takes the machine kvm: a VM, confined by the hardware. `--machine process` takes a host "
               "process that seccomp\nconfines: a weaker boundary, and more than one processor.";
    return "\n`thaw run` takes the machine process: a host process confined by seccomp. The machine kvm, a VM, would "
           "be "
           "a\nstronger boundary, but this host's KVM cannot be used, as said above.";
}

int command_doctor(char **argv)
{
    struct doctor d = {false};
    struct thaw_store *store;
    struct thaw_error err;

    if (argv[1] && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return command_print(help);
    if (argv[1]) {
        thaw_error_set(&err, THAW_STATUS_FAILED, EINVAL, "unknown option '%.200s'; see `thaw doctor --help`", argv[1]);
        return command_fail(&err);
    }
    report_host(&d);
    if (thaw_store_open(&store, &err) == 0) {
        report_kvm(&d, store);
        report_images(&d, store);
        report_snapshots(&d, store);
        thaw_store_close(store);
    } else {
        report(&d, USEFUL, false, "data directories", err.text);
    }
    if (d.failed)
        puts("\n`thaw run` cannot run here: what is MISSING above is needed.");
    else
        puts(machine_summary(&d.kvm));
    if (command_flush())
        return THAW_STATUS_FAILED;
    return d.failed ? THAW_STATUS_FAILED : 0;
}
