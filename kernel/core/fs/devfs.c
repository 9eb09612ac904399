/* SPDX-License-Identifier: MIT */
/*
 * /dev: a tmpfs with the devices that programs expect, and the caller's stdio as files.
 *
 * What the caller's descriptors are (a terminal, or anything else) is known per start, from the request; files that
 * were opened before a snapshot look it up anew each time and so follow the new start. What is no terminal shows
 * itself as a FIFO, be it a file or a pipe on the host: a stream without a position.
 */
#include "poll.h"
#include "proc/signal.h"
#include "sys/request.h"
#include "tty/tty.h"
#include "sys/snapshot.h"
#include "vfs.h"

#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TCSBRK 0x5409u
#define TCXONC 0x540au
#define TCFLSH 0x540bu
#define TIOCSCTTY 0x540eu
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCOUTQ 0x5411u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD 0x541bu
#define TIOCNOTTY 0x5422u
#define TIOCGSID 0x5429u

#define TERMIOS_SIZE 36u /* the kernel's struct termios, without the speeds of termios2 */
#define WINSIZE_SIZE 8u

#define DEV_MEM_NULL MKDEV(1, 3)
#define DEV_MEM_ZERO MKDEV(1, 5)
#define DEV_MEM_FULL MKDEV(1, 7)
#define DEV_MEM_RANDOM MKDEV(1, 8)
#define DEV_MEM_URANDOM MKDEV(1, 9)
#define DEV_TTY MKDEV(5, 0)
#define DEV_CONSOLE MKDEV(5, 1)
#define DEV_PTS MKDEV(136, 0)  /* what a terminal on the caller's side shows itself as */
#define CONSOLE_SESSION 1      /* whose controlling terminal that is */
#define DEV_THAW MKDEV(240, 0) /* 240 to 254: for local use */

/* ---- memory devices ---- */

static ssize_t null_read(struct file *f, void *buf, size_t n, loff_t *pos) { return 0; }
static ssize_t null_write(struct file *f, const void *buf, size_t n, loff_t *pos) { return (ssize_t)n; }
static ssize_t full_write(struct file *f, const void *buf, size_t n, loff_t *pos) { return n ? -ENOSPC : 0; }

static ssize_t zero_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    memset(buf, 0, n);
    return (ssize_t)n;
}

static ssize_t random_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    random_bytes(buf, n);
    return (ssize_t)n;
}

/* What is written would be mixed in; the generator has the monitor's entropy and does not need it. */
static ssize_t random_write(struct file *f, const void *buf, size_t n, loff_t *pos) { return (ssize_t)n; }

#define RNDGETENTCNT 0x80045200u
static long random_ioctl(struct file *f, u32 cmd, u64 arg)
{
    s32 bits = 256;

    if (cmd != RNDGETENTCNT)
        return -ENOTTY;
    return copy_to_user((void __user *)arg, &bits, sizeof(bits));
}

static u32 random_poll(struct file *f, struct poll_table *pt) { return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM; }

/* Any position is as good as 0. */
static loff_t mem_llseek(struct file *f, loff_t off, int whence) { return f->pos = 0; }

static const struct file_operations null_fops = {.read = null_read, .write = null_write, .llseek = mem_llseek};
static const struct file_operations zero_fops = {.read = zero_read, .write = null_write, .llseek = mem_llseek};
static const struct file_operations full_fops = {.read = zero_read, .write = full_write, .llseek = mem_llseek};
static const struct file_operations random_fops = {
    .read = random_read,
    .write = random_write,
    .llseek = mem_llseek,
    .poll = random_poll,
    .ioctl = random_ioctl,
};

/* ---- /dev/thaw: the request, each time that of the present start ---- */

static ssize_t thaw_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    const struct thaw_boot *boot = machine_boot();
    const u8 *request = (const void *)request_get();
    u64 size = boot->request_size;

    if (*pos < 0)
        return -EINVAL;
    if ((u64)*pos >= size)
        return 0;
    n = (size_t)min((u64)n, size - (u64)*pos);
    memcpy(buf, request + *pos, n);
    *pos += (loff_t)n;
    return (ssize_t)n;
}

/* The word "snapshot" is the snapshot call, for who cannot execute int $0x80. The position stays. */
static ssize_t thaw_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    static const char word[] = "snapshot";
    size_t len = sizeof(word) - 1;

    if ((n != len && (n != len + 1 || ((const char *)buf)[len] != '\n')) || memcmp(buf, word, len))
        return -EINVAL;
    s64 ret = snapshot_syscall();
    return ret < 0 ? (ssize_t)ret : (ssize_t)n;
}

static loff_t thaw_llseek(struct file *f, loff_t off, int whence)
{
    loff_t base = whence == 1 ? f->pos : whence == 2 ? (loff_t)((struct thaw_boot *)machine_boot())->request_size : 0;

    if (whence < 0 || whence > 2 || check_add(base, off, &off) || off < 0)
        return -EINVAL;
    return f->pos = off;
}

static const struct file_operations thaw_fops = {.read = thaw_read, .write = thaw_write, .llseek = thaw_llseek};

/* ---- the caller's stdio ---- */

static const struct file_operations console_fops;

int console_number(const struct file *f) { return f->op == &console_fops ? (int)(uintptr_t)f->private : -1; }

static bool console_is_tty(int n) { return request_get()->stdio_tty >> n & 1; }

/* The first of the caller's descriptors that is a terminal, or -1. */
static int console_find_tty(void)
{
    for (int n = 0; n < 3; n++)
        if (console_is_tty(n))
            return n;
    return -1;
}

static ssize_t console_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    ssize_t r = n ? machine_console_read(console_number(f), buf, n, f->flags & O_NONBLOCK) : 0;

    return r == -EINTR ? -ERESTARTSYS : r;
}

static ssize_t console_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r = machine_console_write(console_number(f), (const u8 *)buf + done, n - done, f->flags & O_NONBLOCK);

        if (r == -EPIPE)
            signal_send_task(current, SIGPIPE, NULL);
        if (r <= 0)
            return done ? (ssize_t)done : r == -EINTR ? -ERESTARTSYS : r;
        done += (size_t)r;
        if (f->flags & O_NONBLOCK)
            break;
    }
    return (ssize_t)done;
}

static u32 console_poll(struct file *f, struct poll_table *pt)
{
    int n = console_number(f);
    u32 ready, events = 0;

    poll_wait_console(n, pt);
    ready = machine_console_poll(n);
    if (ready & CONSOLE_IN)
        events |= POLLIN | POLLRDNORM;
    if (ready & CONSOLE_OUT)
        events |= POLLOUT | POLLWRNORM;
    return events | (ready & (POLLERR | POLLHUP));
}

/* A terminal's call that hands over size bytes, in or out. */
static long console_ioctl_data(int n, u32 cmd, u64 arg, size_t size, bool in)
{
    u8 buf[TERMIOS_SIZE + 28];
    int r;

    memset(buf, 0, sizeof(buf));
    if (in && copy_from_user(buf, (const void __user *)arg, size))
        return -EFAULT;
    r = machine_console_ioctl(n, cmd, buf, size);
    if (r >= 0 && !in && copy_to_user((void __user *)arg, buf, size))
        return -EFAULT;
    return r;
}

static long console_ioctl(struct file *f, u32 cmd, u64 arg)
{
    const struct process *p = current->process;
    int n = console_number(f);

    if (cmd == FIONREAD)
        return console_ioctl_data(n, cmd, arg, sizeof(s32), false);
    if (!console_is_tty(n))
        return -ENOTTY;
    switch (cmd) {
    case TCGETS: return console_ioctl_data(n, cmd, arg, TERMIOS_SIZE, false);
    case TCSETS:
    case TCSETSW:
    case TCSETSF: return console_ioctl_data(n, cmd, arg, TERMIOS_SIZE, true);
    case TIOCGWINSZ: return console_ioctl_data(n, cmd, arg, WINSIZE_SIZE, false);
    case TIOCSWINSZ: return console_ioctl_data(n, cmd, arg, WINSIZE_SIZE, true);
    case TIOCOUTQ: return console_ioctl_data(n, cmd, arg, sizeof(s32), false);
    case TCSBRK:
    case TCXONC:
    case TCFLSH: /* the argument is a number, not an address */
        return machine_console_ioctl(n, cmd, (void *)(uintptr_t)(arg & 0xff), 0);
    case TIOCGPGRP: /* the sandbox is one job: whoever asks is in the foreground */
        return copy_to_user((void __user *)arg, &p->pgid, sizeof(p->pgid));
    case TIOCGSID: return copy_to_user((void __user *)arg, &p->sid, sizeof(p->sid));
    case TIOCSPGRP:
    case TIOCSCTTY:
    case TIOCNOTTY: return 0;
    default: return -ENOTTY;
    }
}

static const struct file_operations console_fops = {
    .read = console_read,
    .write = console_write,
    .poll = console_poll,
    .ioctl = console_ioctl,
};

static int console_inode_number(const struct inode *inode) { return (int)(uintptr_t)inode->private; }

static int console_getattr(struct inode *inode)
{
    bool tty = console_is_tty(console_inode_number(inode));

    inode->mode = tty ? S_IFCHR | 0620 : S_IFIFO | 0600;
    inode->rdev = tty ? DEV_PTS : 0;
    return 0;
}

/* Once more, through /proc/self/fd or /dev/stdin. */
static int console_reopen(struct inode *inode, struct file *f)
{
    f->op = &console_fops;
    f->private = inode->private;
    return 0;
}

static int console_setattr(struct inode *inode, const struct inode *attr, u32 which)
{
    return which & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

static const struct inode_operations console_iops = {
    .getattr = console_getattr,
    .open = console_reopen,
    .setattr = console_setattr,
};

struct file *console_open(int n)
{
    char name[16];
    struct file *f;

    /* /proc/self/fd shows it so; for a terminal procfs.c says "/dev/pts/0". */
    snprintf(name, sizeof(name), "pipe:[%d]", n + 1);
    f = file_anon(name, &console_fops, (void *)(uintptr_t)n, O_RDWR, S_IFIFO | 0600);
    if (IS_ERR(f))
        return f;
    f->inode->private = (void *)(uintptr_t)n;
    f->inode->op = &console_iops;
    console_getattr(f->inode);
    return f;
}

/* ---- opens by device number ---- */

int chrdev_open(struct inode *inode, struct file *f)
{
    static const struct {
        u64 dev;
        const struct file_operations *fops;
    } devices[] = {
        {DEV_MEM_NULL, &null_fops},     {DEV_MEM_ZERO, &zero_fops},      {DEV_MEM_FULL, &full_fops},
        {DEV_MEM_RANDOM, &random_fops}, {DEV_MEM_URANDOM, &random_fops}, {DEV_THAW, &thaw_fops},
    };

    if (inode->op && inode->op->open)
        return inode->op->open(inode, f);
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        if (devices[i].dev == inode->rdev) {
            f->op = devices[i].fops;
            return 0;
        }
    if (inode->rdev == DEV_PTMX)
        return ptmx_open(f);
    if (inode->rdev > DEV_PTS && inode->rdev <= DEV_PTS + PTS_MAX)
        return pts_open((u32)(inode->rdev - DEV_PTS), f);
    if (inode->rdev == DEV_TTY) {
        int r = ctty_open(f);

        if (r == 0 || current->process->sid != CONSOLE_SESSION)
            return r;
    }
    if (inode->rdev == DEV_TTY || inode->rdev == DEV_CONSOLE || inode->rdev == DEV_PTS) {
        int n = console_find_tty();

        if (n < 0)
            return -ENXIO;
        f->op = &console_fops;
        f->private = (void *)(uintptr_t)n;
        return 0;
    }
    return -ENXIO;
}

/* ---- the tree ---- */

static int dev_make(struct inode *dir, const char *name, mode_t mode, u64 rdev, struct inode **res)
{
    struct inode *inode;
    int r = dir->op->create(dir, name, strlen(name), mode, rdev, &inode);

    if (r < 0)
        return r;
    if (res)
        *res = inode;
    else
        inode_put(inode);
    return 0;
}

static int dev_link(struct inode *dir, const char *name, const char *target)
{
    struct inode *inode;
    int r = dir->op->symlink(dir, name, strlen(name), target, &inode);

    if (r == 0)
        inode_put(inode);
    return r;
}

static int dev_fill(struct inode *root)
{
    static const struct {
        const char *name;
        mode_t mode;
        u64 rdev;
    } nodes[] = {
        {"null", S_IFCHR | 0666, DEV_MEM_NULL},       {"zero", S_IFCHR | 0666, DEV_MEM_ZERO},
        {"full", S_IFCHR | 0666, DEV_MEM_FULL},       {"random", S_IFCHR | 0666, DEV_MEM_RANDOM},
        {"urandom", S_IFCHR | 0666, DEV_MEM_URANDOM}, {"tty", S_IFCHR | 0666, DEV_TTY},
        {"console", S_IFCHR | 0600, DEV_CONSOLE},     {"thaw", S_IFCHR | 0600, DEV_THAW},
        {"ptmx", S_IFCHR | 0666, DEV_PTMX},           {"shm", S_IFDIR | S_ISVTX | 0777, 0},
        {"mqueue", S_IFDIR | S_ISVTX | 0777, 0},
    };
    static const char *const links[][2] = {
        {"fd", "/proc/self/fd"},
        {"stdin", "/proc/self/fd/0"},
        {"stdout", "/proc/self/fd/1"},
        {"stderr", "/proc/self/fd/2"},
    };
    struct inode *pts;
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(nodes) && r == 0; i++)
        r = dev_make(root, nodes[i].name, nodes[i].mode, nodes[i].rdev, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(links) && r == 0; i++)
        r = dev_link(root, links[i][0], links[i][1]);
    if (r == 0)
        r = dev_make(root, "pts", S_IFDIR | 0755, 0, &pts);
    if (r == 0) {
        r = dev_make(pts, "0", S_IFCHR | 0620, DEV_PTS, NULL);
        inode_put(pts);
    }
    return r;
}

struct super_block *dev_mount(void)
{
    struct super_block *sb = tmpfs_mount(0755, 1ull << 20);
    int r;

    if (IS_ERR(sb))
        return sb;
    sb->type = "devtmpfs";
    r = dev_fill(sb->root->inode);
    if (r < 0) {
        super_put(sb);
        return ERR_PTR(r);
    }
    return sb;
}
