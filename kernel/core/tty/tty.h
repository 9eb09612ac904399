/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals, pty(7), termios(3). Everything is under the big kernel lock. */
#ifndef CORE_TTY_H
#define CORE_TTY_H

#include "fs/fs_impl.h"
#include "fs/poll.h"
#include "kernel.h"
#include "wait.h"

struct process;

/* c_iflag */
#define IGNBRK 0000001u
#define BRKINT 0000002u
#define ISTRIP 0000040u
#define INLCR 0000100u
#define IGNCR 0000200u
#define ICRNL 0000400u
#define IUCLC 0001000u
#define IXON 0002000u
#define IXANY 0004000u
#define IMAXBEL 0020000u
#define IUTF8 0040000u
/* c_oflag */
#define OPOST 0000001u
#define OLCUC 0000002u
#define ONLCR 0000004u
#define OCRNL 0000010u
#define ONOCR 0000020u
#define ONLRET 0000040u
#define TABDLY 0014000u
#define XTABS 0014000u
/* c_lflag */
#define ISIG 0000001u
#define ICANON 0000002u
#define ECHO 0000010u
#define ECHOE 0000020u
#define ECHOK 0000040u
#define ECHONL 0000100u
#define NOFLSH 0000200u
#define TOSTOP 0000400u
#define ECHOCTL 0001000u
#define ECHOKE 0004000u
#define IEXTEN 0100000u
/* c_cc */
enum {
    VINTR,
    VQUIT,
    VERASE,
    VKILL,
    VEOF,
    VTIME,
    VMIN,
    VSWTC,
    VSTART,
    VSTOP,
    VSUSP,
    VEOL,
    VREPRINT,
    VDISCARD,
    VWERASE,
    VLNEXT,
    VEOL2,
    NCCS = 19
};

struct termios {
    u32 iflag, oflag, cflag, lflag;
    u8 line;
    u8 cc[NCCS];
};
struct termios2 {
    struct termios t;
    u32 ispeed, ospeed;
};
_Static_assert(sizeof(struct termios) == 36 && sizeof(struct termios2) == 44, "the ABI's");

struct winsize {
    u16 row, col, xpixel, ypixel;
};

#define TTY_IN 4096u  /* what was typed and nobody has read; a line is one less at most */
#define TTY_OUT 8192u /* what was written and the master has not read */

struct tty {
    u32 refs;
    u32 index; /* /dev/pts/N */
    struct list_head all;
    struct termios termios;
    struct winsize winsize;
    s32 session, pgrp; /* whose controlling terminal it is; 0: nobody's */
    bool locked, exclusive;
    bool master_open, slave_was_open, hung_up;
    u32 slaves;   /* open files of the slave */
    bool stopped; /* ^S */
    bool packet;  /* TIOCPKT */
    u8 packet_status;

    /* n_tty.c: a ring of what was typed; marks: a line ends here, and with its end-of-file character */
    u8 in[TTY_IN], line_end[TTY_IN / 8], line_eof[TTY_IN / 8];
    u32 in_tail, in_len, canon_len; /* canon_len: up to the last end of a line */
    bool literal;                   /* the next character is taken as it is */
    u8 out[TTY_OUT];
    u32 out_tail, out_len;
    u32 column, canon_column;                /* the cursor's; where the line that is being typed begins */
    struct wait_queue read_wait, write_wait; /* of the slave: input, room for output */
    struct wait_queue master_read, master_write;
};

/* ---- n_tty.c: the line discipline ---- */
void n_tty_init(struct tty *tty);
/* Typed: bytes taken, at most n. 0: there is no room. */
size_t n_tty_receive(struct tty *tty, const u8 *buf, size_t n);
bool n_tty_room(const struct tty *tty);
/* Written by a program: bytes taken. 0: there is no room, or the output is stopped. */
size_t n_tty_write(struct tty *tty, const u8 *buf, size_t n);
bool n_tty_may_write(const struct tty *tty);
/* What a read of the slave would get, in canonical mode of one line. */
size_t n_tty_available(const struct tty *tty);
/* A complete line, or VMIN characters: a read gets something now. */
bool n_tty_ready(const struct tty *tty, bool poll);
/* Takes at most n bytes; at most one line in canonical mode, *line: there was one (perhaps an empty one: end of file). */
size_t n_tty_take(struct tty *tty, u8 *buf, size_t n, bool *line);
void n_tty_flush_input(struct tty *tty);
void n_tty_flush_output(struct tty *tty);
void n_tty_set_termios(struct tty *tty, const struct termios *t);
size_t n_tty_take_output(struct tty *tty, u8 *buf, size_t n);

/* ---- tty_job.c: sessions and job control, credentials(7) ---- */
struct tty *tty_of_session(s32 sid); /* no reference; NULL: it has none */
/* May the caller read from, or change, its controlling terminal? 0, -EIO, -ERESTARTSYS after a signal was sent. */
int tty_check_read(struct tty *tty);
int tty_check_change(struct tty *tty);
void tty_signal(struct tty *tty, int sig); /* to the foreground */
void tty_hangup(struct tty *tty);          /* the session hears SIGHUP */
void tty_leader_exit(s32 sid);             /* setsid(2): the session loses its terminal, the foreground gets SIGHUP */
void tty_open_session(struct tty *tty, bool noctty);
long tty_job_ioctl(struct tty *tty, u32 cmd, u64 arg, bool master); /* -ENOTTY: none of these */
extern struct list_head tty_list;

/* ---- pty.c ---- */
int ptmx_open(struct file *f);
int pts_open(u32 index, struct file *f);
int ctty_open(struct file *f); /* /dev/tty, when it is a pseudo-terminal; -ENXIO: the session has none */

#define DEV_PTMX MKDEV(5, 2)
#define PTS_MAJOR 136
#define PTS_MAX 255u

#endif
