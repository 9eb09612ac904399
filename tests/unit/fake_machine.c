/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fake_machine.h"
#include "task_impl.h"

#define WEAK __attribute__((weak))

struct fake_thread {
    pthread_t thread;
    int event; /* eventfd: wakes that have not been taken */
    u32 console[3];
    void (*fn)(void *arg);
    void *arg;
    sigset_t sent;
};

int fake_console[3] = {-1, -1, -1};
s64 (*fake_monitor)(struct thaw_call *, const void *, void *, size_t);
const void *fake_image;
long fake_allocated, fake_alloc_fail;
bool fake_quiet;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct task *self;
static struct process first;
static pid_t last_tid = 1;

static union {
    struct thaw_boot boot;
    char area[1 << 16];
} boot_area;
#define REQUEST_OFF 4096
struct thaw_request *fake_request = (void *)(boot_area.area + REQUEST_OFF);

/* ---- threads ---- */

void kernel_lock(void) { pthread_mutex_lock(&lock); }
void kernel_unlock(void) { pthread_mutex_unlock(&lock); }

static struct fake_thread *fake(struct task *t) { return t->machine; }

static struct task *task_make(void)
{
    struct task *t = calloc(1, sizeof(*t));
    struct fake_thread *ft = calloc(1, sizeof(*ft));

    t->machine = ft;
    t->tid = ++last_tid;
    t->process = &first;
    list_init(&t->pending.queue);
    list_add_tail(&t->sibling, &first.threads);
    list_add_tail(&t->all, &task_list);
    first.nr_threads++;
    ft->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return t;
}

void fake_init(void)
{
    struct thaw_boot *boot = &boot_area.boot;

    boot->magic = THAW_BOOT_MAGIC;
    boot->memory_limit = 256 << 20;
    boot->cpus = 2;
    boot->request_off = REQUEST_OFF;
    boot->request_size = sizeof(*fake_request);
    fake_request->magic = THAW_REQUEST_MAGIC;
    fake_request->size = sizeof(*fake_request);
    kernel_lock();
    first.pid = 2;
    first.ppid = 1;
    first.pgid = first.sid = 2;
    list_init(&first.threads);
    list_init(&first.pending.queue);
    list_add_tail(&first.all, &process_list);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        first.rlimit[i].cur = first.rlimit[i].max = RLIM_INFINITY;
    first.rlimit[RLIMIT_NOFILE].cur = NR_OPEN_SOFT;
    wait_queue_init(&first.child_wait);
    self = task_make();
}

static void *thread_main(void *arg)
{
    self = arg;
    kernel_lock();
    fake(self)->fn(fake(self)->arg);
    kernel_unlock();
    return NULL;
}

struct task *fake_thread(void (*fn)(void *arg), void *arg)
{
    struct task *t = task_make();

    fake(t)->fn = fn;
    fake(t)->arg = arg;
    if (pthread_create(&fake(t)->thread, NULL, thread_main, t))
        abort();
    return t;
}

void fake_join(struct task *t)
{
    kernel_unlock();
    pthread_join(fake(t)->thread, NULL);
    kernel_lock();
    list_del(&t->sibling);
    list_del(&t->all);
    first.nr_threads--;
    close(fake(t)->event);
    free(t->machine);
    free(t);
}

void fake_sleep_ms(unsigned ms)
{
    kernel_unlock();
    usleep(ms * 1000);
    kernel_lock();
}

struct task *machine_current(void) { return self; }

void machine_block_prepare(void)
{
    u64 n;

    if (read(fake(self)->event, &n, sizeof(n)) < 0)
        return;
}

void machine_wake(struct task *t)
{
    u64 one = 1;

    if (write(fake(t)->event, &one, sizeof(one)) < 0)
        abort();
}

void machine_kick(struct task *t) { machine_wake(t); }

void machine_block_on_console(int fd, u32 events) { fake(self)->console[fd] |= events; }

int machine_block(u64 deadline)
{
    struct fake_thread *ft = fake(self);
    struct pollfd fds[4] = {{.fd = ft->event, .events = POLLIN}};
    struct timespec ts, *timeout = NULL;
    nfds_t n = 1;
    int r;

    for (int i = 0; i < 3; i++)
        if (ft->console[i])
            fds[n++] = (struct pollfd){.fd = fake_console[i], .events = (short)(ft->console[i] & (POLLIN | POLLOUT))};
    memset(ft->console, 0, sizeof(ft->console));
    if (deadline) {
        u64 now = machine_clock(1), left = deadline > now ? deadline - now : 0;

        ts.tv_sec = (time_t)(left / 1000000000);
        ts.tv_nsec = (long)(left % 1000000000);
        timeout = &ts;
    }
    kernel_unlock();
    r = ppoll(fds, n, timeout, NULL);
    kernel_lock();
    return r == 0 ? -ETIMEDOUT : 0;
}

/* ---- user memory: the first 64 KiB and negative addresses are nobody's ---- */

static bool user_ok(const void *p, size_t n)
{
    u64 end;

    return (u64)(uintptr_t)p >= 65536 && !check_add((u64)(uintptr_t)p, (u64)n, &end) && end < 1ull << 63;
}

int copy_from_user(void *dst, const void *src, size_t n)
{
    if (!n)
        return 0;
    if (!user_ok(src, n))
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

int copy_to_user(void *dst, const void *src, size_t n)
{
    if (!n)
        return 0;
    if (!user_ok(dst, n))
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

int clear_user(void *dst, size_t n)
{
    if (!n)
        return 0;
    if (!user_ok(dst, n))
        return -EFAULT;
    memset(dst, 0, n);
    return 0;
}

ssize_t strncpy_from_user(char *dst, const char *src, size_t size)
{
    size_t n;

    if (!user_ok(src, 1))
        return -EFAULT;
    n = strnlen(src, size);
    if (n == size)
        return -ENAMETOOLONG;
    memcpy(dst, src, n + 1);
    return (ssize_t)n;
}

/* ---- the rest of machine.h ---- */

struct thaw_boot *machine_boot(void) { return &boot_area.boot; }
const void *machine_image(void) { return fake_image; }

u64 machine_clock(int id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

void machine_set_timer(u64 deadline) {}

ssize_t machine_console_read(int fd, void *buf, size_t n, bool nonblock)
{
    struct pollfd p = {.fd = fake_console[fd], .events = POLLIN};
    ssize_t r;

    if (nonblock && poll(&p, 1, 0) == 0)
        return -EAGAIN;
    kernel_unlock();
    r = read(fake_console[fd], buf, n);
    kernel_lock();
    return r < 0 ? -errno : r;
}

ssize_t machine_console_write(int fd, const void *buf, size_t n, bool nonblock)
{
    struct pollfd p = {.fd = fake_console[fd], .events = POLLOUT};
    ssize_t r;

    if (nonblock && poll(&p, 1, 0) == 0)
        return -EAGAIN;
    kernel_unlock();
    r = write(fake_console[fd], buf, n);
    kernel_lock();
    return r < 0 ? -errno : r;
}

u32 machine_console_poll(int fd)
{
    struct pollfd p = {.fd = fake_console[fd], .events = POLLIN | POLLOUT};

    return poll(&p, 1, 0) > 0 ? (u32)p.revents & (POLLIN | POLLOUT | POLLHUP | POLLERR) : 0;
}

int machine_console_ioctl(int fd, u32 cmd, void *arg, size_t size)
{
    int r = ioctl(fake_console[fd], cmd, arg);

    return r < 0 ? -errno : r;
}

s64 machine_monitor_call(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    return fake_monitor ? fake_monitor(call, data, reply, reply_size) : -EIO;
}

const struct thaw_request *request_get(void);
WEAK const struct thaw_request *request_get(void) { return fake_request; }

s64 snapshot_syscall(void);
WEAK s64 snapshot_syscall(void) { return -ENOSYS; }

/* ---- lib ---- */

static bool alloc_fails(void) { return fake_alloc_fail && --fake_alloc_fail == 0; }

WEAK void *kmalloc(size_t size)
{
    void *p = alloc_fails() ? NULL : calloc(1, size ? size : 1);

    fake_allocated += p != NULL;
    return p;
}

WEAK void *krealloc(void *p, size_t old_size, size_t new_size)
{
    char *n = alloc_fails() ? NULL : realloc(p, new_size ? new_size : 1);

    if (!n)
        return NULL;
    fake_allocated += !p;
    if (new_size > old_size)
        memset(n + old_size, 0, new_size - old_size);
    return n;
}

WEAK void kfree(void *p)
{
    fake_allocated -= p != NULL;
    free(p);
}

WEAK void *page_alloc(size_t npages)
{
    void *p = alloc_fails() ? NULL : aligned_alloc(PAGE_SIZE, npages * PAGE_SIZE);

    if (p)
        memset(p, 0, npages * PAGE_SIZE);
    fake_allocated += p != NULL;
    return p;
}

WEAK void page_free(void *p, size_t npages) { kfree(p); }
WEAK size_t kmalloc_in_use(void) { return (size_t)fake_allocated; }

WEAK char *kstrdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = kmalloc(n);

    return p ? memcpy(p, s, n) : NULL;
}

WEAK size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t n = strlen(src);

    if (size) {
        size_t copy = n < size ? n : size - 1;

        memcpy(dst, src, copy);
        dst[copy] = 0;
    }
    return n;
}

WEAK void random_bytes(void *buf, size_t n)
{
    if (getrandom(buf, n, 0) != (ssize_t)n)
        abort();
}

WEAK void printk(const char *fmt, ...)
{
    va_list ap;

    if (fake_quiet)
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

WEAK void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

/* ---- proc ---- */

WEAK struct list_head task_list = LIST_HEAD_INIT(task_list), process_list = LIST_HEAD_INIT(process_list);

WEAK bool signal_pending(struct task *t) { return (t->pending.set & ~t->blocked) || t->process->exiting; }

WEAK int signal_send_task(struct task *t, int sig, const struct siginfo *info)
{
    fake(t)->sent |= sigmask(sig);
    return 0;
}

sigset_t fake_signals_sent(void)
{
    sigset_t set = fake(self)->sent;

    fake(self)->sent = 0;
    return set;
}

void fake_signal(struct task *t, int sig)
{
    t->pending.set |= sigmask(sig);
    machine_kick(t);
}

WEAK int sigmask_set_user(u64 uset, u64 size)
{
    sigset_t set;

    if (!uset)
        return 0;
    if (size != sizeof(set))
        return -EINVAL;
    if (copy_from_user(&set, (const void *)uset, sizeof(set)))
        return -EFAULT;
    self->saved_blocked = self->blocked;
    self->blocked = set;
    self->restore_blocked = true;
    return 0;
}

WEAK void sigmask_restore(void)
{
    if (!self->restore_blocked)
        return;
    self->blocked = self->saved_blocked;
    self->restore_blocked = false;
}

WEAK struct task *task_by_tid(pid_t tid)
{
    struct task *t;

    list_for_each_entry (t, &task_list, all)
        if (t->tid == tid)
            return t;
    return NULL;
}

WEAK struct wait_queue signalfd_wait = {LIST_HEAD_INIT(signalfd_wait.head)};
WEAK int signal_dequeue(struct task *t, sigset_t set, struct siginfo *info) { return 0; }
WEAK int signal_send_process(struct process *p, int sig, const struct siginfo *info) { return 0; }
WEAK struct process *process_by_pid(pid_t pid) { return pid == first.pid ? &first : NULL; }
WEAK struct process *process_or_zombie(pid_t pid) { return process_by_pid(pid); }
WEAK void process_notify_parent(struct process *p, int code, int status) {}
WEAK u32 task_count(void) { return first.nr_threads; }

struct timespec_user {
    s64 sec, nsec;
};

WEAK int get_timespec(u64 *ns, u64 uaddr)
{
    struct timespec_user ts;

    if (copy_from_user(&ts, (const void *)uaddr, sizeof(ts)))
        return -EFAULT;
    if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= 1000000000)
        return -EINVAL;
    *ns = ts.sec >= 9000000000 ? INT64_MAX : (u64)ts.sec * 1000000000u + (u64)ts.nsec;
    return 0;
}

WEAK int put_timespec(u64 uaddr, u64 ns)
{
    struct timespec_user ts = {(s64)(ns / 1000000000), (s64)(ns % 1000000000)};

    return copy_to_user((void *)uaddr, &ts, sizeof(ts));
}

WEAK const char *uts_nodename(void) { return "thaw"; }
WEAK const char *uts_domainname(void) { return "(none)"; }
