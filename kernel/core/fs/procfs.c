/* SPDX-License-Identifier: MIT */
/* /proc, proc(5): what programs read there, in Linux's words. */
#include "net/procnet.h"
#include "machine.h"
#include "mm.h"
#include "poll.h"
#include "proc/signal.h"
#include "proc/timer.h"
#include "pseudo.h"
#include "sys/uts.h"
#include "vfs.h"

#define PROC_MAGIC 0x9fa0u
#define CAP_LAST 40
#define HZ 100u /* of the times in stat files: sysconf(_SC_CLK_TCK) */
#define TICK_NS (NSEC_PER_SEC / HZ)
#define PID_MAX 4194304

/* ---- who a file is about ---- */

static struct process *ref_process(const struct pseudo_ref *ref)
{
    struct task *t = task_by_tid(ref->pid);
    struct process *p = process_or_zombie(ref->pid);

    return p ? p : t ? t->process : NULL;
}

/* The thread, or the process's first that is left; NULL when all are gone. */
static struct task *ref_task(const struct pseudo_ref *ref)
{
    struct task *t = task_by_tid(ref->tid);
    struct process *p = t ? NULL : ref_process(ref);

    return t ? t : p && !list_empty(&p->threads) ? list_first_entry(&p->threads, struct task, sibling) : NULL;
}

static bool pid_ref(const struct pseudo_ref *dir, u64 number, struct pseudo_ref *ref)
{
    ref->pid = ref->tid = (pid_t)number;
    return number && number <= PID_MAX && ref_process(ref);
}

static s64 pid_next(const struct pseudo_ref *dir, u64 number)
{
    struct process *p;
    s64 best = -1;

    list_for_each_entry (p, &process_list, all)
        if ((u64)p->pid >= number && (best < 0 || p->pid < best))
            best = p->pid;
    return best;
}

static bool tid_ref(const struct pseudo_ref *dir, u64 number, struct pseudo_ref *ref)
{
    struct task *t = number <= PID_MAX ? task_by_tid((pid_t)number) : NULL;

    ref->tid = (pid_t)number;
    return t && t->process == ref_process(dir);
}

static s64 tid_next(const struct pseudo_ref *dir, u64 number)
{
    struct process *p = ref_process(dir);
    struct task *t;
    s64 best = -1;

    if (!p)
        return -1;
    list_for_each_entry (t, &p->threads, sibling)
        if ((u64)t->tid >= number && (best < 0 || t->tid < best))
            best = t->tid;
    return best;
}

static s64 fd_next(const struct pseudo_ref *dir, u64 number)
{
    struct process *p = ref_process(dir);

    return p && p->files && number < NR_OPEN ? files_next_fd(p->files, (int)number) : -1;
}

static bool fd_ref(const struct pseudo_ref *dir, u64 number, struct pseudo_ref *ref)
{
    ref->fd = (int)number;
    return number < NR_OPEN && fd_next(dir, number) == (s64)number;
}

static struct file *ref_file(const struct pseudo_ref *ref)
{
    struct process *p = ref_process(ref);

    return p && p->files ? files_get_file(p->files, ref->fd) : NULL;
}

/* ---- a process's links ---- */

static ssize_t link_text(char *buf, size_t size, const char *text)
{
    size_t n = min(size, strlen(text));

    memcpy(buf, text, n);
    return (ssize_t)n;
}

static ssize_t link_path(char *buf, size_t size, const struct path *path)
{
    char *text = kmalloc(PATH_MAX + 16);
    ssize_t r = text ? path_string(path, text, PATH_MAX + 16) : -ENOMEM;

    if (r >= 0)
        r = link_text(buf, size, text);
    kfree(text);
    return r;
}

static int self_path(const struct pseudo_ref *ref, struct path *cwd, struct path *root)
{
    struct process *p = ref_process(ref);

    if (!p || !p->fs)
        return -ENOENT;
    fs_get_paths(p->fs, cwd, root);
    return (cwd ? cwd : root)->dentry ? 0 : -ENOENT; /* nothing is mounted yet */
}

static int cwd_follow(const struct pseudo_ref *ref, struct path *res) { return self_path(ref, res, NULL); }
static int root_follow(const struct pseudo_ref *ref, struct path *res) { return self_path(ref, NULL, res); }

static ssize_t cwd_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    struct path path;
    ssize_t r = self_path(ref, &path, NULL);

    if (r < 0)
        return r;
    r = link_path(buf, size, &path);
    path_put(&path);
    return r;
}

static ssize_t root_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    struct path path;
    ssize_t r = self_path(ref, NULL, &path);

    if (r < 0)
        return r;
    r = link_path(buf, size, &path);
    path_put(&path);
    return r;
}

static ssize_t exe_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    const struct process *p = ref_process(ref);

    return p && p->exe[0] ? link_text(buf, size, p->exe) : -ENOENT;
}

static ssize_t fd_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    struct file *f = ref_file(ref);
    ssize_t r;

    if (!f)
        return -ENOENT;
    /* The caller's terminal, whose file has no place in the tree. */
    if (console_number(f) >= 0 && !f->path.mnt && inode_refresh(f->inode) == 0 && S_ISCHR(f->inode->mode))
        r = link_text(buf, size, "/dev/pts/0");
    else
        r = link_path(buf, size, &f->path);
    file_put(f);
    return r;
}

static int fd_follow(const struct pseudo_ref *ref, struct path *res)
{
    struct file *f = ref_file(ref);

    if (!f)
        return -ENOENT;
    *res = f->path;
    path_get(res);
    file_put(f);
    return 0;
}

static ssize_t self_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", current->process->pid);
    return link_text(buf, size, text);
}

static ssize_t thread_self_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    char text[40];

    snprintf(text, sizeof(text), "%d/task/%d", current->process->pid, current->tid);
    return link_text(buf, size, text);
}

static ssize_t mounts_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    return link_text(buf, size, "self/mounts");
}

static ssize_t net_readlink(const struct pseudo_ref *ref, char *buf, size_t size)
{
    return link_text(buf, size, "self/net");
}

/* ---- a process's files ---- */

static int cmdline_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct process *p = ref_process(ref);

    if (!p)
        return -ESRCH;
    seq_write(s, p->cmdline, p->cmdline ? p->cmdline_len : 0);
    return 0;
}

static int environ_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct process *p = ref_process(ref);

    if (!p)
        return -ESRCH;
    seq_write(s, p->environ, p->environ ? p->environ_len : 0);
    return 0;
}

static int comm_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct task *t = ref_task(ref);

    if (!t)
        return -ESRCH;
    seq_printf(s, "%.16s\n", t->comm);
    return 0;
}

static ssize_t comm_write(const struct pseudo_ref *ref, const char *buf, size_t n)
{
    struct task *t = ref_task(ref);
    size_t len = min(n, sizeof(t->comm) - 1);

    if (!t)
        return -ESRCH;
    memset(t->comm, 0, sizeof(t->comm));
    memcpy(t->comm, buf, len);
    if (len && t->comm[len - 1] == '\n')
        t->comm[len - 1] = 0;
    return (ssize_t)n;
}

static int oom_score_adj_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct process *p = ref_process(ref);

    if (!p)
        return -ESRCH;
    seq_printf(s, "%d\n", p->oom_score_adj);
    return 0;
}

static ssize_t oom_score_adj_write(const struct pseudo_ref *ref, const char *buf, size_t n)
{
    struct process *p = ref_process(ref);
    size_t i = 0, len = n;
    s32 value = 0, sign = 1;

    while (len && (buf[len - 1] == '\n' || buf[len - 1] == ' '))
        len--;
    if (i < len && (buf[i] == '-' || buf[i] == '+'))
        sign = buf[i++] == '-' ? -1 : 1;
    if (i == len || len - i > 4)
        return -EINVAL;
    for (; i < len; i++) {
        if (buf[i] < '0' || buf[i] > '9')
            return -EINVAL;
        value = value * 10 + (buf[i] - '0');
    }
    if (value > 1000)
        return -EINVAL;
    if (!p)
        return -ESRCH;
    p->oom_score_adj = sign * value;
    return (ssize_t)n;
}

static int cgroup_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "0::/\n");
    return 0;
}

/* Bytes of mappings: all that exist, and those that may hold something. */
struct mm_sizes {
    u64 total, resident, shared, text, data, stack;
};

static void mm_measure(const struct mm *mm, struct mm_sizes *sz)
{
    memset(sz, 0, sizeof(*sz));
    for (u32 i = 0; mm && i < mm->nr_vmas; i++) {
        const struct vma *v = &mm->vmas[i];
        u64 len = v->end - v->start;

        sz->total += len;
        /* The host does the paging and is not asked: what is promised counts as resident, what is only reserved not. */
        if ((v->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) && !(v->flags & VMA_LAZY))
            sz->resident += len;
        if (v->file)
            sz->shared += len;
        if (v->prot & PROT_EXEC)
            sz->text += len;
        if (v->flags & VMA_STACK)
            sz->stack += len;
        else if ((v->prot & PROT_WRITE) && !(v->flags & VMA_SHARED))
            sz->data += len;
    }
}

static void maps_name(struct seq *s, const struct mm *mm, const struct vma *v, char *text)
{
    if (v->file) {
        ssize_t n = file_path(v->file, text, PATH_MAX);

        for (ssize_t i = 0; i < n; i++)
            if (text[i] == '\n')
                seq_printf(s, "\\012");
            else
                seq_write(s, text + i, 1);
    } else if (mm->brk > mm->start_brk && v->start < mm->brk && v->end > mm->start_brk) {
        seq_printf(s, "[heap]");
    } else if (v->flags & VMA_STACK) {
        seq_printf(s, "[stack]");
    } else if (v->start == VDSO_ADDR(mm)) {
        seq_printf(s, "[vdso]");
    }
}

static int maps_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct process *p = ref_process(ref);
    const struct mm *mm = p ? p->mm : NULL;
    char *text;

    if (!p)
        return -ESRCH;
    if (!mm)
        return 0;
    text = kmalloc(PATH_MAX);
    if (!text)
        return -ENOMEM;
    for (u32 i = 0; i < mm->nr_vmas; i++) {
        const struct vma *v = &mm->vmas[i];
        u64 dev = v->file ? v->file->inode->sb->dev : 0, ino = v->file ? v->file->inode->ino : 0;
        size_t start = s->len;

        seq_printf(s, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ", (unsigned long long)v->start,
                   (unsigned long long)v->end, v->prot & PROT_READ ? 'r' : '-', v->prot & PROT_WRITE ? 'w' : '-',
                   v->prot & PROT_EXEC ? 'x' : '-', v->flags & VMA_SHARED ? 's' : 'p',
                   (unsigned long long)(v->file ? v->pgoff : 0), (u32)(dev >> 8), (u32)(dev & 0xff),
                   (unsigned long long)ino);
        if (v->file || (v->flags & VMA_STACK) || v->start == VDSO_ADDR(mm) ||
            (v->start < mm->brk && v->end > mm->start_brk)) {
            while (!s->failed && s->len - start < 73)
                seq_write(s, " ", 1);
            maps_name(s, mm, v, text);
        }
        seq_write(s, "\n", 1);
    }
    kfree(text);
    return 0;
}

static char task_state(const struct process *p, const struct task *t)
{
    return p->zombie ? 'Z' : p->stopped ? 'T' : t == current || !t || !t->waiting ? 'R' : 'S';
}

/* Signals that are ignored, that have a handler. */
static void sigaction_sets(const struct process *p, u64 *ignored, u64 *caught)
{
    *ignored = *caught = 0;
    for (int sig = 1; sig <= NSIG; sig++) {
        u64 handler = p->sigaction[sig - 1].handler;

        if (handler == SIG_IGN)
            *ignored |= sigmask(sig);
        else if (handler != SIG_DFL)
            *caught |= sigmask(sig);
    }
}

static u32 cpu_count(void)
{
    u32 n = ((const struct thaw_boot *)machine_boot())->cpus;

    return n ? min(n, 64u) : 1;
}

static u64 cpu_mask(void) { return ~0ull >> (64 - cpu_count()); }

static void cpu_list(struct seq *s)
{
    if (cpu_count() == 1)
        seq_printf(s, "0\n");
    else
        seq_printf(s, "0-%u\n", cpu_count() - 1);
}

static void status_mask(struct seq *s, const char *name, u64 mask)
{
    seq_printf(s, "%s:\t%016llx\n", name, (unsigned long long)mask);
}

static void status_kb(struct seq *s, const char *name, u64 bytes)
{
    seq_printf(s, "%s:\t%8llu kB\n", name, (unsigned long long)(bytes >> 10));
}

static void status_memory(struct seq *s, const struct mm *mm)
{
    struct mm_sizes sz;

    mm_measure(mm, &sz);
    status_kb(s, "VmPeak", sz.total);
    status_kb(s, "VmSize", sz.total);
    status_kb(s, "VmLck", 0);
    status_kb(s, "VmPin", 0);
    status_kb(s, "VmHWM", sz.resident);
    status_kb(s, "VmRSS", sz.resident);
    status_kb(s, "RssAnon", sz.resident - min(sz.resident, sz.shared));
    status_kb(s, "RssFile", min(sz.resident, sz.shared));
    status_kb(s, "RssShmem", 0);
    status_kb(s, "VmData", sz.data);
    status_kb(s, "VmStk", sz.stack);
    status_kb(s, "VmExe", mm->end_code - min(mm->end_code, mm->start_code));
    status_kb(s, "VmLib", sz.text - min(sz.text, mm->end_code - min(mm->end_code, mm->start_code)));
    status_kb(s, "VmPTE", (sz.resident >> 9) + PAGE_SIZE);
    status_kb(s, "VmSwap", 0);
    status_kb(s, "HugetlbPages", 0);
}

static int status_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct process *p = ref_process(ref);
    const struct task *t = ref_task(ref);
    char state = p ? task_state(p, t) : 0;
    u64 ignored, caught, caps, all = ~0ull >> (63 - CAP_LAST);

    if (!p)
        return -ESRCH;
    seq_printf(s, "Name:\t%.16s\nUmask:\t%04o\nState:\t%c (%s)\n", t ? t->comm : p->comm,
               p->fs ? fs_get_umask(p->fs) : 0, state,
               state == 'Z'   ? "zombie"
               : state == 'T' ? "stopped"
               : state == 'R' ? "running"
                              : "sleeping");
    seq_printf(s, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", p->pid, t ? t->tid : p->pid, p->ppid);
    const struct cred *c = &p->cred;
    seq_printf(s, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", c->user.real, c->user.effective, c->user.saved,
               c->user.fs, c->group.real, c->group.effective, c->group.saved, c->group.fs);
    seq_printf(s, "FDSize:\t%u\nGroups:\t", p->files ? files_count_slots(p->files) : 0);
    for (u32 i = 0; c->groups && i < c->groups->count; i++)
        seq_printf(s, "%u ", c->groups->gid[i]);
    seq_printf(s, "\n");
    seq_printf(s, "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", p->pid, t ? t->tid : p->pid, p->pgid, p->sid);
    if (p->mm)
        status_memory(s, p->mm);
    seq_printf(s, "CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t%u\nSigQ:\t%u/%llu\n", p->nr_threads, p->nr_sigqueue,
               (unsigned long long)p->rlimit[RLIMIT_SIGPENDING].cur);
    sigaction_sets(p, &ignored, &caught);
    status_mask(s, "SigPnd", t ? t->pending.set : 0);
    status_mask(s, "ShdPnd", p->pending.set);
    status_mask(s, "SigBlk", t ? t->blocked : 0);
    status_mask(s, "SigIgn", ignored);
    status_mask(s, "SigCgt", caught);
    caps = cred_capable(&p->cred) ? all : 0;
    status_mask(s, "CapInh", 0);
    status_mask(s, "CapPrm", caps);
    status_mask(s, "CapEff", caps);
    status_mask(s, "CapBnd", all);
    status_mask(s, "CapAmb", 0);
    seq_printf(s, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", p->no_new_privs);
    seq_printf(s, "Cpus_allowed:\t%llx\nCpus_allowed_list:\t", (unsigned long long)cpu_mask());
    cpu_list(s);
    seq_printf(s, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
    seq_printf(s, "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
    return 0;
}

static int stat_show(struct seq *s, const struct pseudo_ref *ref)
{
    static const struct mm no_mm;
    const struct process *p = ref_process(ref);
    const struct task *t = ref_task(ref);
    const struct mm *mm = p && p->mm ? p->mm : &no_mm;
    struct mm_sizes sz;
    u64 ignored, caught, cpu = 0;

    if (!p)
        return -ESRCH;
    mm_measure(p->mm, &sz);
    sigaction_sets(p, &ignored, &caught);
    if (t == current)
        cpu = machine_clock(ref->pid == ref->tid ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID);
    seq_printf(s, "%d (%.16s) %c %d %d %d 0 -1 4194304 0 0 0 0 %llu 0 0 0 %d %d %u 0 %llu %llu %llu %llu ",
               t ? t->tid : p->pid, t ? t->comm : p->comm, task_state(p, t), p->ppid, p->pgid, p->sid,
               (unsigned long long)(cpu / TICK_NS), 20 + p->nice, p->nice, p->nr_threads,
               (unsigned long long)(p->start_time / TICK_NS), (unsigned long long)sz.total,
               (unsigned long long)(sz.resident >> PAGE_SHIFT), (unsigned long long)p->rlimit[RLIMIT_RSS].cur);
    seq_printf(s, "%llu %llu %llu 0 0 %llu %llu %llu %llu 0 0 0 17 0 0 0 0 0 0 ", (unsigned long long)mm->start_code,
               (unsigned long long)mm->end_code, (unsigned long long)mm->start_stack,
               (unsigned long long)((t ? t->pending.set : 0) & 0x7fffffff),
               (unsigned long long)((t ? t->blocked : 0) & 0x7fffffff), (unsigned long long)(ignored & 0x7fffffff),
               (unsigned long long)(caught & 0x7fffffff));
    seq_printf(s, "%llu %llu %llu %llu %llu %llu %llu %d\n", (unsigned long long)mm->start_data,
               (unsigned long long)mm->end_data, (unsigned long long)mm->start_brk, (unsigned long long)mm->arg_start,
               (unsigned long long)mm->arg_end, (unsigned long long)mm->env_start, (unsigned long long)mm->env_end,
               p->zombie ? p->exit_status : 0);
    return 0;
}

static int statm_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct process *p = ref_process(ref);
    struct mm_sizes sz;

    if (!p)
        return -ESRCH;
    mm_measure(p->mm, &sz);
    seq_printf(s, "%llu %llu %llu %llu 0 %llu 0\n", (unsigned long long)(sz.total >> PAGE_SHIFT),
               (unsigned long long)(sz.resident >> PAGE_SHIFT),
               (unsigned long long)(min(sz.resident, sz.shared) >> PAGE_SHIFT),
               (unsigned long long)(sz.text >> PAGE_SHIFT), (unsigned long long)((sz.data + sz.stack) >> PAGE_SHIFT));
    return 0;
}

static void limit_value(struct seq *s, u64 value)
{
    if (value == RLIM_INFINITY)
        seq_printf(s, "%-20s ", "unlimited");
    else
        seq_printf(s, "%-20llu ", (unsigned long long)value);
}

static int limits_show(struct seq *s, const struct pseudo_ref *ref)
{
    static const struct {
        const char *name, *unit;
    } rows[RLIM_NLIMITS] = {
        [RLIMIT_CPU] = {"Max cpu time", "seconds"},         [RLIMIT_FSIZE] = {"Max file size", "bytes"},
        [RLIMIT_DATA] = {"Max data size", "bytes"},         [RLIMIT_STACK] = {"Max stack size", "bytes"},
        [RLIMIT_CORE] = {"Max core file size", "bytes"},    [RLIMIT_RSS] = {"Max resident set", "bytes"},
        [RLIMIT_NPROC] = {"Max processes", "processes"},    [RLIMIT_NOFILE] = {"Max open files", "files"},
        [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},  [RLIMIT_AS] = {"Max address space", "bytes"},
        [RLIMIT_LOCKS] = {"Max file locks", "locks"},       [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"}, [RLIMIT_NICE] = {"Max nice priority", NULL},
        [RLIMIT_RTPRIO] = {"Max realtime priority", NULL},  [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
    };
    const struct process *p = ref_process(ref);

    if (!p)
        return -ESRCH;
    seq_printf(s, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (u32 i = 0; i < RLIM_NLIMITS; i++) {
        seq_printf(s, "%-25s ", rows[i].name);
        limit_value(s, p->rlimit[i].cur);
        limit_value(s, p->rlimit[i].max);
        if (rows[i].unit)
            seq_printf(s, "%-10s\n", rows[i].unit);
        else
            seq_printf(s, "\n");
    }
    return 0;
}

static int fdinfo_show(struct seq *s, const struct pseudo_ref *ref)
{
    struct file *f = ref_file(ref);

    if (!f)
        return -ENOENT;
    seq_printf(s, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%llu\n", (long long)f->pos, f->flags, 0,
               (unsigned long long)f->inode->ino);
    file_put(f);
    return 0;
}

/* ---- mounts ---- */

/* Blanks and backslashes as octal numbers. */
static void seq_escaped(struct seq *s, const char *text)
{
    for (; *text; text++)
        if (strchr(" \t\n\\", *text))
            seq_printf(s, "\\%03o", (u8)*text);
        else
            seq_write(s, text, 1);
}

static bool mounts_line(void *arg, const struct mount_info *m)
{
    struct seq *s = arg;

    seq_escaped(s, m->source);
    seq_write(s, " ", 1);
    seq_escaped(s, m->target);
    seq_printf(s, " %s %s 0 0\n", m->type, m->options);
    return true;
}

static bool mountinfo_line(void *arg, const struct mount_info *m)
{
    struct seq *s = arg;

    seq_printf(s, "%u %u %u:%u ", m->id, m->parent_id, (u32)(m->dev >> 8), (u32)(m->dev & 0xff));
    seq_escaped(s, m->root);
    seq_write(s, " ", 1);
    seq_escaped(s, m->target);
    seq_printf(s, " %s - %s ", m->options, m->type);
    seq_escaped(s, m->source);
    seq_printf(s, " %s\n", !strncmp(m->options, "ro", 2) ? "ro" : "rw");
    return true;
}

static int mounts_show(struct seq *s, const struct pseudo_ref *ref)
{
    vfs_for_each_mount(mounts_line, s);
    return 0;
}

static int mountinfo_show(struct seq *s, const struct pseudo_ref *ref)
{
    vfs_for_each_mount(mountinfo_line, s);
    return 0;
}

/* ---- the whole system ---- */

static bool locks_line(void *arg, const char *line)
{
    seq_write(arg, line, strlen(line));
    return true;
}

static int locks_show(struct seq *s, const struct pseudo_ref *ref)
{
    locks_for_each(locks_line, s);
    return 0;
}

static int filesystems_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tpipefs\nnodev\thostfs\n"
                  "nodev\toverlay\n\terofs\n");
    return 0;
}

static int version_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "%s version %s (thaw) %s\n", UTS_SYSNAME, UTS_RELEASE, UTS_VERSION);
    return 0;
}

static int uptime_show(struct seq *s, const struct pseudo_ref *ref)
{
    u64 up = machine_clock(CLOCK_MONOTONIC), busy = machine_clock(CLOCK_PROCESS_CPUTIME_ID);
    u64 idle = up * cpu_count() - min(up * cpu_count(), busy);

    seq_printf(s, "%llu.%02llu %llu.%02llu\n", (unsigned long long)(up / NSEC_PER_SEC),
               (unsigned long long)(up % NSEC_PER_SEC / 10000000), (unsigned long long)(idle / NSEC_PER_SEC),
               (unsigned long long)(idle % NSEC_PER_SEC / 10000000));
    return 0;
}

static int loadavg_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "0.00 0.00 0.00 1/%u %d\n", task_count(), current->tid);
    return 0;
}

static int system_stat_show(struct seq *s, const struct pseudo_ref *ref)
{
    u64 up = machine_clock(CLOCK_MONOTONIC) / TICK_NS, user = machine_clock(CLOCK_PROCESS_CPUTIME_ID) / TICK_NS;
    u32 cpus = cpu_count();
    u64 total = up * cpus, idle = total - min(total, user);

    seq_printf(s, "cpu  %llu 0 0 %llu 0 0 0 0 0 0\n", (unsigned long long)user, (unsigned long long)idle);
    for (u32 i = 0; i < cpus; i++)
        seq_printf(s, "cpu%u %llu 0 0 %llu 0 0 0 0 0 0\n", i, (unsigned long long)(user / cpus),
                   (unsigned long long)(idle / cpus));
    seq_printf(s,
               "intr 0\nctxt 0\nbtime %llu\nprocesses %u\nprocs_running 1\nprocs_blocked 0\n"
               "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
               (unsigned long long)((machine_clock(CLOCK_REALTIME) - machine_clock(CLOCK_MONOTONIC)) / NSEC_PER_SEC),
               task_count());
    return 0;
}

static int meminfo_show(struct seq *s, const struct pseudo_ref *ref)
{
    const struct thaw_boot *boot = machine_boot();
    u64 total = boot->memory_limit, used = kmalloc_in_use(), free;
    struct process *p;

    list_for_each_entry (p, &process_list, all) {
        struct mm_sizes sz;

        mm_measure(p->mm, &sz);
        used += sz.resident - min(sz.resident, sz.shared);
    }
    free = total - min(total, used);
    status_kb(s, "MemTotal", total);
    status_kb(s, "MemFree", free);
    status_kb(s, "MemAvailable", free);
    status_kb(s, "Buffers", 0);
    status_kb(s, "Cached", 0);
    status_kb(s, "SwapCached", 0);
    status_kb(s, "Active", used);
    status_kb(s, "Inactive", 0);
    status_kb(s, "SwapTotal", 0);
    status_kb(s, "SwapFree", 0);
    status_kb(s, "Dirty", 0);
    status_kb(s, "Writeback", 0);
    status_kb(s, "AnonPages", used);
    status_kb(s, "Mapped", 0);
    status_kb(s, "Shmem", 0);
    status_kb(s, "Slab", kmalloc_in_use());
    status_kb(s, "KernelStack", task_count() * KSTACK_SIZE);
    status_kb(s, "PageTables", 0);
    status_kb(s, "CommitLimit", total);
    status_kb(s, "Committed_AS", used);
    status_kb(s, "VmallocTotal", 0);
    status_kb(s, "VmallocUsed", 0);
    return 0;
}

/* ---- /proc/cpuinfo ---- */

struct cpuid {
    u32 a, b, c, d;
};

static struct cpuid cpuid(u32 leaf, u32 sub)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

/* Names of bits, lowest first, blanks between; "-": a bit that is not shown. */
static void cpu_flags(struct seq *s, u32 bits, const char *names)
{
    for (u32 bit = 0; bit < 32 && *names; bit++) {
        const char *end = strchr(names, ' ');
        size_t len = end ? (size_t)(end - names) : strlen(names);

        if ((bits >> bit & 1) && names[0] != '-') {
            seq_write(s, " ", 1);
            seq_write(s, names, len);
        }
        names += len + (end != NULL);
    }
}

static int cpuinfo_show(struct seq *s, const struct pseudo_ref *ref)
{
    struct cpuid max_leaf = cpuid(0, 0), id = cpuid(1, 0), ext = cpuid(0x80000000u, 0), ext1 = {0, 0, 0, 0};
    struct cpuid seven = {0, 0, 0, 0}, seven1 = {0, 0, 0, 0}, xsave = {0, 0, 0, 0};
    u32 family = id.a >> 8 & 15, model = id.a >> 4 & 15, brand[13];
    char vendor[13];

    memcpy(vendor, &max_leaf.b, 4);
    memcpy(vendor + 4, &max_leaf.d, 4);
    memcpy(vendor + 8, &max_leaf.c, 4);
    vendor[12] = 0;
    if (family == 6 || family == 15)
        model |= id.a >> 12 & 0xf0;
    if (family == 15)
        family += id.a >> 20 & 0xff;
    memset(brand, 0, sizeof(brand));
    for (u32 i = 0; ext.a >= 0x80000004u && i < 3; i++) {
        struct cpuid r = cpuid(0x80000002u + i, 0);

        memcpy(brand + 4 * i, &r, 16);
    }
    if (ext.a >= 0x80000001u)
        ext1 = cpuid(0x80000001u, 0);
    if (max_leaf.a >= 7)
        seven = cpuid(7, 0);
    if (seven.a >= 1)
        seven1 = cpuid(7, 1);
    if (max_leaf.a >= 13)
        xsave = cpuid(13, 1);
    const struct {
        u32 bits;
        const char *names;
    } flags[] = {
        {id.d, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi "
               "mmx fxsr sse sse2 ss ht tm - pbe"},
        {ext1.d, "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm "
                 "3dnowext 3dnow"},
        {id.c, "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr pdcm - pcid dca "
               "sse4_1 sse4_2 x2apic movbe popcnt - aes xsave - avx f16c rdrand hypervisor"},
        {ext1.c, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw"},
        {seven.b, "fsgsbase - - bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - mpx - avx512f avx512dq rdseed adx "
                  "smap avx512ifma - clflushopt clwb - avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"},
        {xsave.a, "xsaveopt xsavec xgetbv1 xsaves"},
        {seven1.a, "- - - - avx_vnni avx512_bf16"},
        {seven.c, "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg "
                  "tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd"},
        {seven.d, "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - - - - - serialize - tsxldtrk - "
                  "pconfig - ibt - amx_bf16 avx512_fp16 amx_tile amx_int8"},
    };
    for (u32 i = 0; i < cpu_count(); i++) {
        seq_printf(s, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n", i,
                   vendor, family, model, brand[0] ? (const char *)brand : "unknown");
        seq_printf(s, "stepping\t: %u\nphysical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n", id.a & 15,
                   cpu_count(), i, cpu_count());
        seq_printf(s, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\nflags\t\t:", max_leaf.a);
        for (u32 k = 0; k < ARRAY_SIZE(flags); k++)
            cpu_flags(s, flags[k].bits, flags[k].names);
        seq_printf(s,
                   "\nbugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: %u\ncache_alignment\t: %u\n"
                   "address sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n",
                   (id.b >> 8 & 0xff) * 8, (id.b >> 8 & 0xff) * 8);
    }
    return 0;
}

/* ---- /proc/sys ---- */

static void seq_uuid(struct seq *s, const u8 u[16])
{
    for (int i = 0; i < 16; i++)
        seq_printf(s, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
    seq_printf(s, "\n");
}

static void uuid_random(u8 u[16])
{
    random_bytes(u, 16);
    u[6] = (u[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
    u[8] = (u[8] & 0x3f) | 0x80;
}

static int uuid_show(struct seq *s, const struct pseudo_ref *ref)
{
    u8 u[16];

    uuid_random(u);
    seq_uuid(s, u);
    return 0;
}

/* One for each start: a restore is a boot of its own. */
static int boot_id_show(struct seq *s, const struct pseudo_ref *ref)
{
    static u64 start;
    static bool made;
    static u8 u[16];
    u64 now = ((const struct thaw_boot *)machine_boot())->stats.t_entry_ns;

    if (!made || start != now) {
        uuid_random(u);
        start = now;
        made = true;
    }
    seq_uuid(s, u);
    return 0;
}

#define CONSTANT(fn, ...)                                             \
    static int fn##_show(struct seq *s, const struct pseudo_ref *ref) \
    {                                                                 \
        seq_printf(s, __VA_ARGS__);                                   \
        return 0;                                                     \
    }
CONSTANT(entropy_avail, "256\n")
CONSTANT(osrelease, "%s\n", UTS_RELEASE)
CONSTANT(ostype, "%s\n", UTS_SYSNAME)
CONSTANT(osversion, "%s\n", UTS_VERSION)
CONSTANT(hostname, "%s\n", uts_nodename())
CONSTANT(domainname, "%s\n", uts_domainname())
CONSTANT(pid_max, "%d\n", PID_MAX)
CONSTANT(threads_max, "%d\n", NR_TASKS)
CONSTANT(ngroups_max, "65536\n")
CONSTANT(cap_last_cap, "%d\n", CAP_LAST)
CONSTANT(overcommit_memory, "0\n")
CONSTANT(overcommit_ratio, "50\n")
CONSTANT(swappiness, "60\n")
CONSTANT(max_map_count, "%d\n", NR_VMAS)
CONSTANT(mmap_min_addr, "%llu\n", (unsigned long long)THAW_USER_START)
CONSTANT(file_max, "9223372036854775807\n")
static int file_nr_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "%u\t0\t9223372036854775807\n", file_count());
    return 0;
}

static int inode_nr_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "%u\t0\n", inode_count());
    return 0;
}

CONSTANT(pipe_max_size, "1048576\n")
CONSTANT(nr_open, "%d\n", NR_OPEN)
CONSTANT(somaxconn, "4096\n")

/* Linux's "magic SysRq key" has many letters; here is the one that shows what a crash of this kernel looks like. */
static ssize_t sysrq_write(const struct pseudo_ref *ref, const char *buf, size_t n)
{
    static volatile int *volatile const nowhere;
    if (n && buf[0] == 'c')
        *nowhere = 1;
    return (ssize_t)n;
}

/* ---- the tree ---- */

#define FILE_ENTRY(n, fn)                                    \
    {                                                        \
        .name = n, .mode = S_IFREG | 0444, .show = fn##_show \
    }
#define DIR_ENTRY(n, table)                                  \
    {                                                        \
        .name = n, .mode = S_IFDIR | 0555, .children = table \
    }
#define LINK_ENTRY(n, fn)                                            \
    {                                                                \
        .name = n, .mode = S_IFLNK | 0777, .readlink = fn##_readlink \
    }

static const struct pseudo_entry fd_entry = {
    .name = "fd", .mode = S_IFLNK | 0700, .readlink = fd_readlink, .follow = fd_follow};
static const struct pseudo_entry fdinfo_entry = FILE_ENTRY("fdinfo", fdinfo);

/* Of a process and of each of its threads. */
#define TASK_ENTRIES                                                                                                  \
    {.name = "fd", .mode = S_IFDIR | 0500, .numbered = &fd_entry, .number_ref = fd_ref, .number_next = fd_next},      \
        {.name = "fdinfo",                                                                                            \
         .mode = S_IFDIR | 0555,                                                                                      \
         .numbered = &fdinfo_entry,                                                                                   \
         .number_ref = fd_ref,                                                                                        \
         .number_next = fd_next},                                                                                     \
        FILE_ENTRY("cmdline", cmdline), {.name = "environ", .mode = S_IFREG | 0400, .show = environ_show},            \
        {.name = "comm", .mode = S_IFREG | 0644, .show = comm_show, .write = comm_write}, LINK_ENTRY("exe", exe),     \
        {.name = "cwd", .mode = S_IFLNK | 0777, .readlink = cwd_readlink, .follow = cwd_follow},                      \
        {.name = "root", .mode = S_IFLNK | 0777, .readlink = root_readlink, .follow = root_follow},                   \
        FILE_ENTRY("maps", maps), FILE_ENTRY("status", status), FILE_ENTRY("stat", stat), FILE_ENTRY("statm", statm), \
        FILE_ENTRY("limits", limits), FILE_ENTRY("mounts", mounts), FILE_ENTRY("mountinfo", mountinfo),               \
        FILE_ENTRY("cgroup", cgroup), DIR_ENTRY("net", procnet_table),                                                \
    {                                                                                                                 \
        .name = "oom_score_adj", .mode = S_IFREG | 0644, .show = oom_score_adj_show, .write = oom_score_adj_write     \
    }

static const struct pseudo_entry tid_table[] = {TASK_ENTRIES, {.name = NULL}};
static const struct pseudo_entry tid_entry = DIR_ENTRY("tid", tid_table);
static const struct pseudo_entry pid_table[] = {
    TASK_ENTRIES,
    {.name = "task", .mode = S_IFDIR | 0555, .numbered = &tid_entry, .number_ref = tid_ref, .number_next = tid_next},
    {.name = NULL},
};
static const struct pseudo_entry pid_entry = DIR_ENTRY("pid", pid_table);

static const struct pseudo_entry random_table[] = {
    FILE_ENTRY("boot_id", boot_id),
    FILE_ENTRY("entropy_avail", entropy_avail),
    FILE_ENTRY("poolsize", entropy_avail),
    FILE_ENTRY("uuid", uuid),
    {.name = NULL},
};
static const struct pseudo_entry sys_kernel_table[] = {
    FILE_ENTRY("cap_last_cap", cap_last_cap),
    FILE_ENTRY("domainname", domainname),
    FILE_ENTRY("hostname", hostname),
    FILE_ENTRY("ngroups_max", ngroups_max),
    FILE_ENTRY("osrelease", osrelease),
    FILE_ENTRY("ostype", ostype),
    FILE_ENTRY("pid_max", pid_max),
    DIR_ENTRY("random", random_table),
    FILE_ENTRY("threads-max", threads_max),
    FILE_ENTRY("version", osversion),
    {.name = NULL},
};
static const struct pseudo_entry sys_vm_table[] = {
    FILE_ENTRY("max_map_count", max_map_count),
    FILE_ENTRY("mmap_min_addr", mmap_min_addr),
    FILE_ENTRY("overcommit_memory", overcommit_memory),
    FILE_ENTRY("overcommit_ratio", overcommit_ratio),
    FILE_ENTRY("swappiness", swappiness),
    {.name = NULL},
};
static const struct pseudo_entry sys_fs_table[] = {
    FILE_ENTRY("file-max", file_max),           FILE_ENTRY("file-nr", file_nr),
    FILE_ENTRY("inode-nr", inode_nr),           FILE_ENTRY("nr_open", nr_open),
    FILE_ENTRY("pipe-max-size", pipe_max_size), {.name = NULL},
};
static const struct pseudo_entry sys_net_core_table[] = {FILE_ENTRY("somaxconn", somaxconn), {.name = NULL}};
static const struct pseudo_entry sys_net_table[] = {DIR_ENTRY("core", sys_net_core_table), {.name = NULL}};
static const struct pseudo_entry sys_table[] = {
    DIR_ENTRY("fs", sys_fs_table),
    DIR_ENTRY("kernel", sys_kernel_table),
    DIR_ENTRY("net", sys_net_table),
    DIR_ENTRY("vm", sys_vm_table),
    {.name = NULL},
};
static const struct pseudo_entry root_table[] = {
    FILE_ENTRY("cpuinfo", cpuinfo),
    FILE_ENTRY("filesystems", filesystems),
    FILE_ENTRY("loadavg", loadavg),
    FILE_ENTRY("locks", locks),
    FILE_ENTRY("meminfo", meminfo),
    LINK_ENTRY("mounts", mounts),
    LINK_ENTRY("net", net),
    LINK_ENTRY("self", self),
    FILE_ENTRY("stat", system_stat),
    {.name = "sysrq-trigger", .mode = S_IFREG | 0200, .write = sysrq_write},
    DIR_ENTRY("sys", sys_table),
    LINK_ENTRY("thread-self", thread_self),
    FILE_ENTRY("uptime", uptime),
    FILE_ENTRY("version", version),
    {.name = NULL},
};
static const struct pseudo_entry root_entry = {
    .name = "",
    .mode = S_IFDIR | 0555,
    .children = root_table,
    .numbered = &pid_entry,
    .number_ref = pid_ref,
    .number_next = pid_next,
};

struct process *proc_pid_process(const struct inode *inode)
{
    const struct pseudo_ref *ref = pseudo_ref_of(inode, &pid_entry);
    return ref ? ref_process(ref) : NULL;
}

struct super_block *proc_mount(void) { return pseudo_mount("proc", PROC_MAGIC, &root_entry); }

/* ---- /sys: the processors, which is what programs look for there ---- */

#define SYSFS_MAGIC 0x62656572u

static int cpu_online_show(struct seq *s, const struct pseudo_ref *ref)
{
    cpu_list(s);
    return 0;
}

static const struct pseudo_entry sys_cpu_table[] = {
    FILE_ENTRY("online", cpu_online),
    FILE_ENTRY("possible", cpu_online),
    FILE_ENTRY("present", cpu_online),
    {.name = NULL},
};
static const struct pseudo_entry sys_system_table[] = {DIR_ENTRY("cpu", sys_cpu_table), {.name = NULL}};
static const struct pseudo_entry sys_devices_table[] = {DIR_ENTRY("system", sys_system_table), {.name = NULL}};
static const struct pseudo_entry sysfs_table[] = {DIR_ENTRY("devices", sys_devices_table), {.name = NULL}};
static const struct pseudo_entry sysfs_entry = DIR_ENTRY("", sysfs_table);

struct super_block *sysfs_mount(void) { return pseudo_mount("sysfs", SYSFS_MAGIC, &sysfs_entry); }
