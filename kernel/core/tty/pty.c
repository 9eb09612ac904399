/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals as files: /dev/ptmx and /dev/pts, pty(7), ioctl_tty(2). */
#include "fs/vfs.h"
#include "proc/signal.h"
#include "proc/timer.h"
#include "tty.h"

#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TCSBRK 0x5409u
#define TCXONC 0x540au
#define TCFLSH 0x540bu
#define TIOCEXCL 0x540cu
#define TIOCNXCL 0x540du
#define TIOCOUTQ 0x5411u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD 0x541bu
#define TIOCPKT 0x5420u
#define TIOCGETD 0x5424u
#define TCSBRKP 0x5425u
#define TCGETS2 0x802c542au
#define TCSETS2 0x402c542bu
#define TCSETSW2 0x402c542cu
#define TCSETSF2 0x402c542du
#define TIOCGPTN 0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCSIG 0x40045436u
#define TIOCGPKT 0x80045438u
#define TIOCGPTLCK 0x80045439u
#define TIOCGEXCL 0x80045440u
#define TIOCGPTPEER 0x5441u

#define PKT_FLUSHREAD 1
#define PKT_FLUSHWRITE 2
#define PKT_STOP 4
#define PKT_START 8

static const struct file_operations master_fops, slave_fops;

/* ---- life ---- */

static void tty_put(struct tty *tty)
{
    if (--tty->refs)
        return;
    list_del(&tty->all);
    kfree(tty);
}

static struct tty *tty_find(u32 index)
{
    struct tty *tty;

    list_for_each_entry (tty, &tty_list, all)
        if (tty->index == index)
            return tty;
    return NULL;
}

static void pts_name(char name[32], u32 index) { snprintf(name, 32, "/dev/pts/%u", index); }

int ptmx_open(struct file *f)
{
    struct tty *tty;
    char name[32];
    u32 index = 1; /* 0 is the caller's terminal, devfs.c */
    int r;

    while (index <= PTS_MAX && tty_find(index))
        index++;
    if (index > PTS_MAX)
        return -ENOSPC;
    tty = kmalloc(sizeof(*tty));
    if (!tty)
        return -ENOMEM;
    tty->refs = 1;
    tty->index = index;
    tty->locked = tty->master_open = true;
    n_tty_init(tty);
    wait_queue_init(&tty->read_wait);
    wait_queue_init(&tty->write_wait);
    wait_queue_init(&tty->master_read);
    wait_queue_init(&tty->master_write);
    list_add_tail(&tty->all, &tty_list);
    pts_name(name, index);
    r = vfs_make_device(name, S_IFCHR | 0620, MKDEV(PTS_MAJOR, index));
    if (r < 0) {
        tty_put(tty);
        return r;
    }
    f->op = &master_fops;
    f->private = tty;
    return 0;
}

static void master_release(struct file *f)
{
    struct tty *tty = f->private;
    char name[32];

    pts_name(name, tty->index);
    vfs_remove(name, false);
    tty->master_open = false;
    tty->hung_up = true;
    tty_hangup(tty);
    wake_up(&tty->read_wait);
    wake_up(&tty->write_wait);
    tty_put(tty);
}

static int slave_open(struct tty *tty, struct file *f)
{
    if (!tty->master_open || tty->locked)
        return -EIO;
    tty->refs++;
    tty->slaves++;
    tty->slave_was_open = true;
    f->op = &slave_fops;
    f->private = tty;
    return 0;
}

int pts_open(u32 index, struct file *f)
{
    struct tty *tty = tty_find(index);
    int r = tty ? slave_open(tty, f) : -EIO;

    if (r == 0)
        tty_open_session(tty, f->flags & O_NOCTTY);
    return r;
}

int ctty_open(struct file *f)
{
    struct tty *tty = tty_of_session(current->process->sid);

    return tty ? slave_open(tty, f) : -ENXIO;
}

static void slave_release(struct file *f)
{
    struct tty *tty = f->private;

    if (--tty->slaves == 0) {
        tty->stopped = false;
        wake_up(&tty->master_read);
        wake_up(&tty->master_write);
    }
    tty_put(tty);
}

/* ---- the slave: what programs see as their terminal ---- */

static ssize_t slave_read_raw(struct file *f, struct tty *tty, u8 *buf, size_t n)
{
    u32 vmin = tty->termios.cc[VMIN], least = (u32)min((size_t)vmin, n);
    u64 step = tty->termios.cc[VTIME] * (NSEC_PER_SEC / 10), deadline = 0;
    size_t done = 0;
    bool line;

    /* VTIME without VMIN is for the whole read, with VMIN between two characters. */
    if (!vmin && step)
        deadline = deadline_after(machine_clock(CLOCK_MONOTONIC), step);
    for (;;) {
        size_t got = n_tty_take(tty, buf + done, n - done, &line);
        long r;

        done += got;
        if (done == n || (done && done >= least) || (!vmin && (done || !step)) || tty->hung_up)
            return (ssize_t)done;
        if (f->flags & O_NONBLOCK)
            return done ? (ssize_t)done : -EAGAIN;
        if (vmin && step && got)
            deadline = deadline_after(machine_clock(CLOCK_MONOTONIC), step);
        r = wait_event_deadline(&tty->read_wait, tty->in_len || tty->hung_up || (tty->termios.lflag & ICANON),
                                deadline);
        if (r == -ETIMEDOUT || (done && r < 0) || (tty->termios.lflag & ICANON))
            return r < 0 && r != -ETIMEDOUT && !done ? r : (ssize_t)done;
        if (r < 0)
            return r;
    }
}

static ssize_t slave_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct tty *tty = f->private;
    bool line;
    size_t done;

    if (tty->hung_up)
        return 0;
    for (;;) {
        int r = tty_check_read(tty);
        long w;

        if (r < 0)
            return r;
        if (!(tty->termios.lflag & ICANON)) {
            ssize_t got = slave_read_raw(f, tty, buf, n);

            if (got || !(tty->termios.lflag & ICANON))
                return got;
            continue;
        }
        if (n_tty_ready(tty, false)) {
            done = n_tty_take(tty, buf, n, &line);
            return (ssize_t)done;
        }
        if (tty->hung_up)
            return 0;
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        w = wait_event(&tty->read_wait, tty->hung_up || n_tty_ready(tty, false) || !(tty->termios.lflag & ICANON));
        if (w < 0)
            return w;
    }
}

static ssize_t slave_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    struct tty *tty = f->private;
    size_t done = 0;

    if (tty->termios.lflag & TOSTOP) {
        int r = tty_check_change(tty);

        if (r < 0)
            return r;
    }
    while (done < n) {
        size_t got;
        long r;

        if (tty->hung_up)
            return done ? (ssize_t)done : -EIO;
        got = n_tty_write(tty, (const u8 *)buf + done, n - done);
        done += got;
        if (done == n)
            break;
        if (f->flags & O_NONBLOCK)
            return done ? (ssize_t)done : -EAGAIN;
        r = wait_event(&tty->write_wait, tty->hung_up || n_tty_may_write(tty));
        if (r < 0)
            return done ? (ssize_t)done : r;
    }
    return (ssize_t)done;
}

static u32 slave_poll(struct file *f, struct poll_table *pt)
{
    struct tty *tty = f->private;
    u32 events = 0;

    poll_wait(f, &tty->read_wait, pt);
    poll_wait(f, &tty->write_wait, pt);
    if (n_tty_ready(tty, true))
        events |= POLLIN | POLLRDNORM;
    if (n_tty_may_write(tty))
        events |= POLLOUT | POLLWRNORM;
    if (tty->hung_up)
        events |= POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
    return events;
}

/* ---- the master: who plays the terminal ---- */

/* Nobody has the slave open any more. */
static bool slave_gone(const struct tty *tty) { return tty->slave_was_open && !tty->slaves; }

static ssize_t master_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct tty *tty = f->private;
    u8 *to = buf;

    if (!n)
        return 0;
    while (!tty->out_len && !(tty->packet && tty->packet_status)) {
        long r;

        if (slave_gone(tty))
            return -EIO;
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        r = wait_event(&tty->master_read, tty->out_len || slave_gone(tty) || (tty->packet && tty->packet_status));
        if (r < 0)
            return r;
    }
    if (!tty->packet)
        return (ssize_t)n_tty_take_output(tty, to, n);
    to[0] = tty->packet_status;
    if (tty->packet_status) {
        tty->packet_status = 0;
        return 1;
    }
    return 1 + (ssize_t)n_tty_take_output(tty, to + 1, n - 1);
}

static ssize_t master_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    struct tty *tty = f->private;
    size_t done = 0;

    while (done < n) {
        long r;

        if (slave_gone(tty))
            return done ? (ssize_t)done : -EIO;
        done += n_tty_receive(tty, (const u8 *)buf + done, n - done);
        if (done == n)
            break;
        if (f->flags & O_NONBLOCK)
            return done ? (ssize_t)done : -EAGAIN;
        r = wait_event(&tty->master_write, n_tty_room(tty) || slave_gone(tty));
        if (r < 0)
            return done ? (ssize_t)done : r;
    }
    return (ssize_t)done;
}

static u32 master_poll(struct file *f, struct poll_table *pt)
{
    struct tty *tty = f->private;
    u32 events = 0;

    poll_wait(f, &tty->master_read, pt);
    poll_wait(f, &tty->master_write, pt);
    if (tty->out_len)
        events |= POLLIN | POLLRDNORM;
    if (tty->packet && tty->packet_status)
        events |= POLLIN | POLLRDNORM | POLLPRI;
    if (n_tty_room(tty))
        events |= POLLOUT | POLLWRNORM;
    if (slave_gone(tty))
        events |= POLLHUP;
    return events;
}

/* ---- ioctl ---- */

static int put_int(u64 arg, s32 v) { return copy_to_user((void __user *)arg, &v, sizeof(v)); }

static int get_int(u64 arg, s32 *v) { return copy_from_user(v, (const void __user *)arg, sizeof(*v)); }

static long get_termios(const struct tty *tty, u64 arg, size_t size)
{
    struct termios2 t = {tty->termios, 38400, 38400};

    return copy_to_user((void __user *)arg, &t, size);
}

static long set_termios(struct tty *tty, u64 arg, size_t size, bool flush)
{
    struct termios2 t;
    int r = tty_check_change(tty);

    if (r < 0)
        return r;
    if (copy_from_user(&t, (const void __user *)arg, size))
        return -EFAULT;
    /* TCSETSW need not wait: on a pseudo-terminal what was written has arrived. */
    if (flush)
        n_tty_flush_input(tty);
    n_tty_set_termios(tty, &t.t);
    return 0;
}

static long set_winsize(struct tty *tty, u64 arg)
{
    struct winsize ws;

    if (copy_from_user(&ws, (const void __user *)arg, sizeof(ws)))
        return -EFAULT;
    if (!memcmp(&ws, &tty->winsize, sizeof(ws)))
        return 0;
    tty->winsize = ws;
    tty_signal(tty, SIGWINCH);
    return 0;
}

/* The slave's view: 0 input, 1 output, 2 both. */
static long flush_queues(struct tty *tty, u64 which, bool master)
{
    if (which > 2)
        return -EINVAL;
    if (which != 1) {
        if (master)
            n_tty_flush_output(tty);
        else
            n_tty_flush_input(tty);
        tty->packet_status |= master ? 0 : PKT_FLUSHREAD;
    }
    if (which != 0) {
        if (master)
            n_tty_flush_input(tty);
        else
            n_tty_flush_output(tty);
        tty->packet_status |= master ? 0 : PKT_FLUSHWRITE;
    }
    wake_up(&tty->master_read);
    return 0;
}

static long flow(struct tty *tty, u64 action)
{
    if (action > 3)
        return -EINVAL;
    if (action == 0 && !tty->stopped) {
        tty->stopped = true;
        tty->packet_status |= PKT_STOP;
    } else if (action == 1 && tty->stopped) {
        tty->stopped = false;
        tty->packet_status |= PKT_START;
        wake_up(&tty->write_wait);
    }
    wake_up(&tty->master_read);
    return 0; /* 2 and 3 would type ^S or ^Q to who plays the terminal */
}

static long tty_ioctl(struct tty *tty, u32 cmd, u64 arg, bool master)
{
    s32 v;

    switch (cmd) {
    case TCGETS: return get_termios(tty, arg, sizeof(struct termios));
    case TCGETS2: return get_termios(tty, arg, sizeof(struct termios2));
    case TCSETS:
    case TCSETSW:
    case TCSETSF: return set_termios(tty, arg, sizeof(struct termios), cmd == TCSETSF);
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2: return set_termios(tty, arg, sizeof(struct termios2), cmd == TCSETSF2);
    case TIOCGWINSZ: return copy_to_user((void __user *)arg, &tty->winsize, sizeof(tty->winsize));
    case TIOCSWINSZ: return set_winsize(tty, arg);
    case TIOCOUTQ: return put_int(arg, master ? 0 : (s32)tty->out_len);
    case FIONREAD: return put_int(arg, master ? (s32)tty->out_len : (s32)n_tty_available(tty));
    case TCFLSH: return master ? flush_queues(tty, arg, true) : tty_check_change(tty) ?: flush_queues(tty, arg, false);
    case TCXONC: return tty_check_change(tty) ?: flow(tty, arg);
    case TCSBRK:
    case TCSBRKP: return tty_check_change(tty); /* a break goes nowhere; draining has been done */
    case TIOCEXCL:
    case TIOCNXCL: tty->exclusive = cmd == TIOCEXCL; return 0;
    case TIOCGEXCL: return put_int(arg, tty->exclusive);
    case TIOCGETD: return put_int(arg, 0); /* N_TTY */
    case TIOCGPTN: return master ? put_int(arg, (s32)tty->index) : -ENOTTY;
    case TIOCSPTLCK:
        if (!master)
            return -ENOTTY;
        if (get_int(arg, &v))
            return -EFAULT;
        tty->locked = v;
        return 0;
    case TIOCGPTLCK: return master ? put_int(arg, tty->locked) : -ENOTTY;
    case TIOCPKT:
        if (!master)
            return -ENOTTY;
        if (get_int(arg, &v))
            return -EFAULT;
        tty->packet = v;
        tty->packet_status = 0;
        return 0;
    case TIOCGPKT: return master ? put_int(arg, tty->packet) : -ENOTTY;
    case TIOCSIG:
        if (!master || arg < 1 || arg > NSIG)
            return master ? -EINVAL : -ENOTTY;
        tty_signal(tty, (int)arg);
        return 0;
    }
    return tty_job_ioctl(tty, cmd, arg, master);
}

/* Opens the slave without its name. ioctl_tty(2). */
static long open_peer(struct tty *tty, u32 flags)
{
    struct path path;
    struct file *f;
    char name[32];
    int r;

    pts_name(name, tty->index);
    r = path_lookup(name, 0, &path);
    if (r < 0)
        return r;
    f = file_open_path(&path, flags, false);
    if (IS_ERR(f)) {
        path_put(&path);
        return PTR_ERR(f);
    }
    return fd_install(f, flags & O_CLOEXEC, 0);
}

static long master_ioctl(struct file *f, u32 cmd, u64 arg)
{
    if (cmd == TIOCGPTPEER)
        return open_peer(f->private, (u32)arg);
    return tty_ioctl(f->private, cmd, arg, true);
}

static long slave_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct tty *tty = f->private;

    return tty->hung_up ? -EIO : tty_ioctl(tty, cmd, arg, false);
}

static loff_t tty_llseek(struct file *f, loff_t off, int whence) { return -ESPIPE; }

static const struct file_operations master_fops = {
    .read = master_read,
    .write = master_write,
    .llseek = tty_llseek,
    .poll = master_poll,
    .ioctl = master_ioctl,
    .release = master_release,
};

static const struct file_operations slave_fops = {
    .read = slave_read,
    .write = slave_write,
    .llseek = tty_llseek,
    .poll = slave_poll,
    .ioctl = slave_ioctl,
    .release = slave_release,
};
