/* SPDX-License-Identifier: MIT */
/* From a number to the function that serves it, and the log of it (thaw run --strace). */
#include "snapshot.h"
#include "syscall.h"
#include "task.h"

#define NR_rt_sigreturn 15
#define NR_execve 59
#define NR_exit 60
#define NR_restart_syscall 219
#define NR_exit_group 231
#define NR_execveat 322

#define LOG_STRING 64 /* bytes of a string that are shown */

struct pt_regs *current_regs(void) { return current->regs; }

/* A call that a signal interrupted, with the arguments it had; its deadline is in restart_deadline. */
SYSCALL(restart_syscall)
{
    struct task *t = current;
    u32 nr = t->restart_nr;

    t->restart_nr = 0;
    if (!nr || nr == NR_restart_syscall || nr >= syscall_table_size || !syscall_table[nr].fn)
        return -EINTR;
    s64 ret = syscall_table[nr].fn(a0, a1, a2, a3, a4, a5);
    if (ret == -ERESTART_RESTARTBLOCK)
        t->restart_nr = nr;
    return ret;
}

/* ---- the log ---- */

struct log_line {
    char buf[768];
    size_t len;
};

static void __printf(2, 3) log_put(struct log_line *l, const char *fmt, ...)
{
    va_list ap;
    size_t room = sizeof(l->buf) - l->len;
    va_start(ap, fmt);
    size_t n = (size_t)vsnprintf(l->buf + l->len, room, fmt, ap);
    va_end(ap);
    l->len += min(n, room - 1);
}

static void log_escaped(struct log_line *l, const char *s, size_t n, bool more)
{
    static const char letters[] = "abtnvfr"; /* 7 to 13 */

    log_put(l, "\"");
    for (size_t i = 0; i < n; i++) {
        u8 c = (u8)s[i];
        if (c == '"' || c == '\\')
            log_put(l, "\\%c", c);
        else if (c >= 7 && c <= 13)
            log_put(l, "\\%c", letters[c - 7]);
        else if (c < 32 || c >= 127)
            log_put(l, "\\x%02x", c);
        else
            log_put(l, "%c", c);
    }
    log_put(l, more ? "\"..." : "\"");
}

static void log_string(struct log_line *l, u64 uaddr)
{
    char s[LOG_STRING + 1];
    ssize_t n = uaddr ? strncpy_from_user(s, (const char __user *)uaddr, sizeof(s)) : -EFAULT;

    if (n == -ENAMETOOLONG && !copy_from_user(s, (const void __user *)uaddr, LOG_STRING))
        log_escaped(l, s, LOG_STRING, true);
    else if (n >= 0)
        log_escaped(l, s, (size_t)n, false);
    else if (!uaddr)
        log_put(l, "NULL");
    else
        log_put(l, "%#lx", (unsigned long)uaddr);
}

static void log_buffer(struct log_line *l, u64 uaddr, u64 len)
{
    char s[LOG_STRING];
    size_t n = min(len, (u64)LOG_STRING);

    if (!uaddr)
        log_put(l, "NULL");
    else if (copy_from_user(s, (const void __user *)uaddr, n))
        log_put(l, "%#lx", (unsigned long)uaddr);
    else
        log_escaped(l, s, n, n < len);
}

static void log_args(struct log_line *l, const struct syscall_desc *d, const u64 *a, s64 ret, bool ended)
{
    for (int i = 0; i < 6 && d->args && d->args[i]; i++) {
        log_put(l, i ? ", " : "");
        switch (d->args[i]) {
        case 'd': log_put(l, "%d", (int)a[i]); break;
        case 'u': log_put(l, "%lu", (unsigned long)a[i]); break;
        case 'x': log_put(l, a[i] ? "%#lx" : "%lx", (unsigned long)a[i]); break;
        case 'o': log_put(l, "%#o", (u32)a[i]); break;
        case 'f':
            if ((int)a[i] == -100)
                log_put(l, "AT_FDCWD");
            else
                log_put(l, "%d", (int)a[i]);
            break;
        case 's': log_string(l, a[i]); break;
        case 'b':
            /* What a call that failed has left in its buffer means nothing. */
            if (ended && ret >= 0 && i < 5)
                log_buffer(l, a[i], min((u64)ret, a[i + 1]));
            else
                log_put(l, "%#lx", (unsigned long)a[i]);
            break;
        default:
            if (a[i])
                log_put(l, "%#lx", (unsigned long)a[i]);
            else
                log_put(l, "NULL");
        }
    }
}

static const char *error_name(s64 error)
{
    static const char *const names[] = {
        [EPERM] = "EPERM",
        [ENOENT] = "ENOENT",
        [ESRCH] = "ESRCH",
        [EINTR] = "EINTR",
        [EIO] = "EIO",
        [ENXIO] = "ENXIO",
        [E2BIG] = "E2BIG",
        [ENOEXEC] = "ENOEXEC",
        [EBADF] = "EBADF",
        [ECHILD] = "ECHILD",
        [EAGAIN] = "EAGAIN",
        [ENOMEM] = "ENOMEM",
        [EACCES] = "EACCES",
        [EFAULT] = "EFAULT",
        [EBUSY] = "EBUSY",
        [EEXIST] = "EEXIST",
        [EXDEV] = "EXDEV",
        [ENODEV] = "ENODEV",
        [ENOTDIR] = "ENOTDIR",
        [EISDIR] = "EISDIR",
        [EINVAL] = "EINVAL",
        [ENFILE] = "ENFILE",
        [EMFILE] = "EMFILE",
        [ENOTTY] = "ENOTTY",
        [ETXTBSY] = "ETXTBSY",
        [EFBIG] = "EFBIG",
        [ENOSPC] = "ENOSPC",
        [ESPIPE] = "ESPIPE",
        [EROFS] = "EROFS",
        [EMLINK] = "EMLINK",
        [EPIPE] = "EPIPE",
        [EDOM] = "EDOM",
        [ERANGE] = "ERANGE",
        [EDEADLK] = "EDEADLK",
        [ENAMETOOLONG] = "ENAMETOOLONG",
        [ENOSYS] = "ENOSYS",
        [ENOTEMPTY] = "ENOTEMPTY",
        [ELOOP] = "ELOOP",
        [ENODATA] = "ENODATA",
        [EOVERFLOW] = "EOVERFLOW",
        [ENOTSOCK] = "ENOTSOCK",
        [EOPNOTSUPP] = "EOPNOTSUPP",
        [EAFNOSUPPORT] = "EAFNOSUPPORT",
        [EADDRINUSE] = "EADDRINUSE",
        [ENETUNREACH] = "ENETUNREACH",
        [ECONNRESET] = "ECONNRESET",
        [ENOTCONN] = "ENOTCONN",
        [ETIMEDOUT] = "ETIMEDOUT",
        [ECONNREFUSED] = "ECONNREFUSED",
        [EALREADY] = "EALREADY",
        [EINPROGRESS] = "EINPROGRESS",
    };
    if (error == ERESTARTSYS || error == 513 || error == ERESTARTNOHAND || error == ERESTART_RESTARTBLOCK)
        return "ERESTART";
    return error < (s64)ARRAY_SIZE(names) ? names[error] : NULL;
}

static void log_begin(struct log_line *l, const struct task *t, const char *name, u64 nr)
{
    l->len = 0;
    log_put(l, "[%d] ", t->tid);
    if (name)
        log_put(l, "%s(", name);
    else
        log_put(l, "syscall_%lu(", (unsigned long)nr);
}

static void log_end(struct log_line *l, s64 ret)
{
    const char *name = ret < 0 && ret >= -4095 ? error_name(-ret) : NULL;

    if (name)
        log_put(l, ") = -%s", name);
    else if (ret >= -4095 && ret < 0x10000000)
        log_put(l, ") = %ld", (long)ret);
    else
        log_put(l, ") = %#lx", (unsigned long)ret); /* an address */
    printk("%s\n", l->buf);
}

/* These do not come back, or leave nothing of their arguments behind. */
static bool log_before(u64 nr)
{
    return nr == NR_exit || nr == NR_exit_group || nr == NR_rt_sigreturn || nr == NR_execve || nr == NR_execveat;
}

static s64 call_logged(struct task *t, const struct syscall_desc *d, u64 nr, const u64 *a)
{
    static const struct syscall_desc unknown = {.args = "xxx"};
    struct log_line line;
    s64 ret = -ENOSYS;

    if (!d)
        d = &unknown;
    if (log_before(nr)) {
        log_begin(&line, t, d->name, nr);
        log_args(&line, d, a, 0, false);
        if (nr != NR_execve && nr != NR_execveat) {
            printk("%s) = ?\n", line.buf);
            return d->fn(a[0], a[1], a[2], a[3], a[4], a[5]);
        }
        ret = d->fn(a[0], a[1], a[2], a[3], a[4], a[5]);
    } else {
        if (d->fn)
            ret = d->fn(a[0], a[1], a[2], a[3], a[4], a[5]);
        log_begin(&line, t, d->name, nr);
        log_args(&line, d, a, ret, true);
    }
    log_end(&line, ret);
    return ret;
}

/* ---- entries ---- */

void syscall_dispatch(struct pt_regs *regs)
{
    struct task *t = current;
    struct thaw_boot *boot = machine_boot();
    u64 nr = regs->orig_rax;
    const struct syscall_desc *d = nr < syscall_table_size && syscall_table[nr].fn ? &syscall_table[nr] : NULL;
    s64 ret;

    t->regs = regs;
    t->syscalls++;
    boot->stats.syscalls++;
    if (!d)
        boot->stats.unimplemented++;
    if (nr != NR_restart_syscall) {
        t->restart_nr = 0;
        t->restart_deadline = 0;
    }
    if (unlikely(boot->flags & THAW_BOOT_STRACE)) {
        const u64 a[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
        ret = call_logged(t, d, nr, a);
    } else {
        ret = d ? d->fn(regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9) : -ENOSYS;
    }
    /* execve and rt_sigreturn have set the registers themselves; their value is the same then. */
    regs->rax = (u64)ret;
}

void int80_dispatch(struct pt_regs *regs)
{
    struct task *t = current;
    struct thaw_boot *boot = machine_boot();
    u32 nr = (u32)regs->orig_rax;
    s64 ret = -ENOSYS;

    t->regs = regs;
    boot->stats.syscalls++;
    if (nr == THAW_SNAPSHOT_NR) {
        ret = snapshot_syscall();
        boot = machine_boot();
    } else {
        boot->stats.unimplemented++;
    }
    if (boot->flags & THAW_BOOT_STRACE) {
        struct log_line line;
        log_begin(&line, t, nr == THAW_SNAPSHOT_NR ? "int80_snapshot" : "int80", nr);
        log_end(&line, ret);
    }
    regs->rax = (u64)ret;
    regs->orig_rax = (u64)-1; /* never restarted */
}
