/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "kvm_verdict.h"

#include "kvm_probe_guest.h"
#include "snapshot.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- memory: a file of the user's own, good for one boot ---- */

#define MEMO_MAGIC "THAWKVM"
#define MEMO_FOREVER UINT64_MAX
#define MEMO_BUSY_NS 60000000000ull /* for so long nobody asks a busy host again */

struct memo {
    char magic[8];
    char boot_id[36];
    uint32_t verdict_size;
    uint64_t until_ns; /* CLOCK_BOOTTIME */
    struct kvm_verdict verdict;
    uint8_t sum[16]; /* of all that stands before it: finds damage */
};

static uint64_t boottime_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool boot_id_read(char id[36])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, id, 36);

    if (fd >= 0)
        close(fd);
    return n == 36;
}

static bool memo_path(const struct thaw_store *store, char *path)
{
    struct thaw_error ignored;

    return store_path(path, &ignored, "%s/kvm-verdict", store->cache) == 0;
}

/* What another user could have written is not believed: it would choose the machine for us. */
static bool memo_read(const struct thaw_store *store, const char boot_id[36], struct kvm_verdict *v)
{
    struct memo m, more;
    uint8_t sum[16];
    char path[PATH_MAX];
    struct stat st;
    bool ok;
    int fd;

    if (!memo_path(store, path) || (fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) < 0)
        return false;
    ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) &&
         st.st_size == sizeof m && read(fd, &m, sizeof m) == sizeof m && read(fd, &more, 1) == 0;
    close(fd);
    if (!ok)
        return false;
    snapshot_sum(&m, offsetof(struct memo, sum), sum);
    if (memcmp(m.magic, MEMO_MAGIC, sizeof m.magic) != 0 || memcmp(m.boot_id, boot_id, sizeof m.boot_id) != 0 ||
        m.verdict_size != sizeof m.verdict || memcmp(m.sum, sum, sizeof sum) != 0 || m.until_ns < boottime_ns() ||
        m.verdict.finding < KVM_USABLE || m.verdict.finding > KVM_UNDECIDED || m.verdict.step > STEP_BAD)
        return false;
    *v = m.verdict;
    v->remembered = 1;
    return true;
}

/* Best effort: without it the next start probes again. */
static void memo_write(const struct thaw_store *store, const char boot_id[36], const struct kvm_verdict *v)
{
    struct memo m = {.magic = MEMO_MAGIC, .verdict_size = sizeof m.verdict, .verdict = *v};
    char path[PATH_MAX - 16], temporary[PATH_MAX];
    struct thaw_error ignored;
    bool ok;
    int fd;

    memcpy(m.boot_id, boot_id, sizeof m.boot_id);
    m.until_ns = v->finding == KVM_UNDECIDED ? boottime_ns() + MEMO_BUSY_NS : MEMO_FOREVER;
    snapshot_sum(&m, offsetof(struct memo, sum), m.sum);
    if ((size_t)snprintf(path, sizeof path, "%s/kvm-verdict", store->cache) >= sizeof path ||
        store_make_parents(path, &ignored) < 0)
        return;
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    fd = mkostemp(temporary, O_CLOEXEC); /* 0600, and no one else's */
    if (fd < 0)
        return;
    ok = write(fd, &m, sizeof m) == sizeof m;
    if (close(fd) < 0 || !ok || rename(temporary, path) < 0)
        unlink(temporary);
}

/* True: it can be opened, now, by us. */
static bool device_try(struct kvm_verdict *v)
{
    int fd = kvm_device_open(v);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

struct kvm_verdict kvm_verdict_get(const struct thaw_store *store, bool fresh)
{
    struct kvm_verdict v = {0};
    char boot_id[36];
    bool known;

    if (!device_try(&v))
        return v;
    known = boot_id_read(boot_id);
    if (known && !fresh && memo_read(store, boot_id, &v))
        return v;
    v = kvm_probe();
    if (known && v.finding != KVM_ABSENT && v.finding != KVM_DENIED)
        memo_write(store, boot_id, &v);
    return v;
}

/* ---- in words ---- */

static const char *step_missed(uint32_t step)
{
    switch (step) {
    case STEP_NONE: return "a VM was not set up";
    case STEP_CREATED: return "the first instruction of ring 0 did not run";
    case STEP_RUNS: return "a loop in ring 0 did not end";
    case STEP_LOOPED: return "a system call of ring 3 did not reach ring 0 and come back";
    case STEP_SYSCALLS: return "a page fault of ring 3 was not served";
    default: return "all was done, too late";
    }
}

void kvm_verdict_explain(const struct kvm_verdict *v, char why[KVM_VERDICT_TEXT], char advice[KVM_VERDICT_TEXT])
{
    const char *a = "";

    switch (v->finding) {
    case KVM_USABLE:
        snprintf(why, KVM_VERDICT_TEXT,
                 "it works: a system call takes %u ns, a page fault %u ns (probed in %u.%u ms%s)", v->syscall_ns,
                 v->fault_ns, v->total_us / 1000, v->total_us / 100 % 10, v->remembered ? ", earlier since boot" : "");
        break;
    case KVM_ABSENT:
        snprintf(why, KVM_VERDICT_TEXT, "there is no KVM here (/dev/kvm: %s)", strerror(v->error));
        a = "turn on virtualization in the firmware, or nesting for this VM, and load the module kvm_intel or kvm_amd";
        break;
    case KVM_DENIED:
        snprintf(why, KVM_VERDICT_TEXT, "this user may not open /dev/kvm (%s)", strerror(v->error));
        a = "add the user to the group of /dev/kvm, as with `usermod -aG kvm USER`, and log in anew";
        break;
    case KVM_UNFIT:
        snprintf(why, KVM_VERDICT_TEXT, "the host's KVM cannot set up a VM (%s)", strerror(v->error));
        a = "see what the host's kernel says of it in `dmesg`; Linux 5.10 or newer is needed";
        break;
    case KVM_SLOW:
        snprintf(why, KVM_VERDICT_TEXT,
                 "code in ring 0 is interpreted: a loop that takes %u us in a process takes %u us in a VM",
                 v->native_us, v->loop_us);
        a = "a KVM inside a VM needs nested virtualization from the hardware; without it only the machine process "
            "works";
        break;
    case KVM_WRONG:
        snprintf(why, KVM_VERDICT_TEXT, "the host's KVM does not run code as the CPU would: %s", step_missed(v->step));
        a = "a KVM that is itself emulated is of no use here; the machine process works";
        break;
    case KVM_LATE:
        snprintf(why, KVM_VERDICT_TEXT, "within %u ms the host's KVM did not get there: %s", v->deadline_ms,
                 step_missed(v->step));
        a = "a KVM that is itself emulated is of no use here; the machine process works";
        break;
    default: snprintf(why, KVM_VERDICT_TEXT, "the host was too busy to tell"); a = "ask again with `thaw doctor`";
    }
    snprintf(advice, KVM_VERDICT_TEXT, "%s", a);
}
