/* SPDX-License-Identifier: MIT */
/* The line discipline of terminals, termios(3): editing a line, echo, signals typed, output processing. */
#include "tty.h"

#include "proc/signal.h"

#define DISABLED 0 /* a control character that nothing is typed for */

static bool bit_get(const u8 *map, u32 i) { return map[i / 8] >> (i % 8) & 1; }

static void bit_set(u8 *map, u32 i, bool on)
{
    if (on)
        map[i / 8] |= (u8)(1u << (i % 8));
    else
        map[i / 8] &= (u8) ~(1u << (i % 8));
}

static bool lflag(const struct tty *tty, u32 f) { return tty->termios.lflag & f; }
static bool iflag(const struct tty *tty, u32 f) { return tty->termios.iflag & f; }
static bool is_cc(const struct tty *tty, u8 c, int which) { return c != DISABLED && c == tty->termios.cc[which]; }

void n_tty_init(struct tty *tty)
{
    static const u8 cc[NCCS] = {
        [VINTR] = 3,  [VQUIT] = 28, [VERASE] = 127,  [VKILL] = 21,    [VEOF] = 4,     [VMIN] = 1,    [VSTART] = 17,
        [VSTOP] = 19, [VSUSP] = 26, [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22,
    };

    tty->termios.iflag = ICRNL | IXON;
    tty->termios.oflag = OPOST | ONLCR;
    tty->termios.cflag = 0277; /* B38400, CS8, CREAD */
    tty->termios.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
    memcpy(tty->termios.cc, cc, sizeof(cc));
}

/* ---- output ---- */

static u32 out_room(const struct tty *tty) { return TTY_OUT - tty->out_len; }

static void out_byte(struct tty *tty, u8 c) { tty->out[(tty->out_tail + tty->out_len++) % TTY_OUT] = c; }

/* How many bytes c becomes, 0 to 8. */
static u32 out_cost(const struct tty *tty, u8 c)
{
    u32 o = tty->termios.oflag;

    if (!(o & OPOST))
        return 1;
    if (c == '\n' && (o & ONLCR))
        return 2;
    if (c == '\t' && (o & TABDLY) == XTABS)
        return 8 - (tty->column & 7);
    return 1;
}

/* There is room for what it becomes. */
static void out_processed(struct tty *tty, u8 c)
{
    u32 o = tty->termios.oflag;

    if (!(o & OPOST)) {
        out_byte(tty, c);
        return;
    }
    switch (c) {
    case '\n':
        if (o & ONLRET)
            tty->column = 0;
        if (o & ONLCR) {
            out_byte(tty, '\r');
            tty->column = 0;
        }
        break;
    case '\r':
        if ((o & ONOCR) && tty->column == 0)
            return;
        if (o & OCRNL) {
            c = '\n';
            if (o & ONLRET)
                tty->column = 0;
        } else {
            tty->column = 0;
        }
        break;
    case '\t':
        if ((o & TABDLY) == XTABS) {
            for (u32 n = 8 - (tty->column & 7); n; n--, tty->column++)
                out_byte(tty, ' ');
            return;
        }
        tty->column += 8 - (tty->column & 7);
        break;
    case '\b':
        if (tty->column)
            tty->column--;
        break;
    default:
        if ((o & OLCUC) && c >= 'a' && c <= 'z')
            c -= 32;
        if (c >= 32 && c != 127 && (!iflag(tty, IUTF8) || (c & 0xc0) != 0x80))
            tty->column++;
    }
    out_byte(tty, c);
}

bool n_tty_may_write(const struct tty *tty) { return !tty->stopped && out_room(tty) >= 8; }

size_t n_tty_write(struct tty *tty, const u8 *buf, size_t n)
{
    size_t done = 0;

    if (tty->stopped)
        return 0;
    while (done < n && out_room(tty) >= out_cost(tty, buf[done]))
        out_processed(tty, buf[done++]);
    if (done)
        wake_up(&tty->master_read);
    return done;
}

size_t n_tty_take_output(struct tty *tty, u8 *buf, size_t n)
{
    size_t take = min(n, (size_t)tty->out_len), first = min(take, (size_t)(TTY_OUT - tty->out_tail));

    memcpy(buf, tty->out + tty->out_tail, first);
    memcpy(buf + first, tty->out, take - first);
    tty->out_tail = (u32)(tty->out_tail + take) % TTY_OUT;
    tty->out_len -= (u32)take;
    if (take)
        wake_up(&tty->write_wait);
    return take;
}

void n_tty_flush_output(struct tty *tty)
{
    tty->out_len = 0;
    wake_up(&tty->write_wait);
}

/* ---- echo: dropped when nobody reads what there is ---- */

static void echo_raw(struct tty *tty, u8 c)
{
    if (out_room(tty) >= out_cost(tty, c))
        out_processed(tty, c);
}

static bool shown_with_caret(const struct tty *tty, u8 c)
{
    return lflag(tty, ECHOCTL) && (c < 32 || c == 127) && c != '\t' && c != '\n';
}

static void echo(struct tty *tty, u8 c)
{
    if (shown_with_caret(tty, c)) {
        echo_raw(tty, '^');
        echo_raw(tty, c ^ 0100);
    } else {
        echo_raw(tty, c);
    }
}

/* ---- input ---- */

static u8 in_at(const struct tty *tty, u32 i) { return tty->in[(tty->in_tail + i) % TTY_IN]; }

static void in_byte(struct tty *tty, u8 c)
{
    u32 at = (tty->in_tail + tty->in_len) % TTY_IN;

    tty->in[at] = c;
    bit_set(tty->line_end, at, false);
    bit_set(tty->line_eof, at, false);
    tty->in_len++;
}

static void in_end_line(struct tty *tty, u8 c, bool eof)
{
    u32 at = (tty->in_tail + tty->in_len) % TTY_IN;

    in_byte(tty, c);
    bit_set(tty->line_end, at, true);
    bit_set(tty->line_eof, at, eof);
    tty->canon_len = tty->in_len;
    wake_up(&tty->read_wait);
}

void n_tty_flush_input(struct tty *tty)
{
    tty->in_len = tty->canon_len = 0;
    tty->literal = false;
    wake_up(&tty->master_write);
}

/* Columns that the character at i took when it was echoed. */
static u32 echoed_width(const struct tty *tty, u32 i)
{
    u8 c = in_at(tty, i);

    if (c == '\t')
        return 0; /* see erase_one() */
    if (shown_with_caret(tty, c))
        return 2;
    return c < 32 || (iflag(tty, IUTF8) && (c & 0xc0) == 0x80) ? 0 : 1;
}

static void erase_columns(struct tty *tty, u32 n)
{
    while (n--) {
        echo_raw(tty, '\b');
        echo_raw(tty, ' ');
        echo_raw(tty, '\b');
    }
}

/* Where the cursor was before the last character of the line, a tab. */
static u32 column_without_last(const struct tty *tty)
{
    u32 column = tty->canon_column;

    for (u32 i = tty->canon_len; i + 1 < tty->in_len; i++)
        column += in_at(tty, i) == '\t' ? 8 - (column & 7) : echoed_width(tty, i);
    return column;
}

/* Takes the last character, of several bytes perhaps, off the line that is being typed. */
static void erase_one(struct tty *tty)
{
    bool more;

    do {
        u32 last = tty->in_len - 1;
        u8 c = in_at(tty, last);

        more = iflag(tty, IUTF8) && (c & 0xc0) == 0x80 && last > tty->canon_len;
        if (lflag(tty, ECHO) && lflag(tty, ECHOE)) {
            if (c == '\t')
                for (u32 to = column_without_last(tty); tty->column > to;)
                    echo_raw(tty, '\b');
            else
                erase_columns(tty, echoed_width(tty, last));
        }
        tty->in_len--;
    } while (more);
    if (lflag(tty, ECHO) && !lflag(tty, ECHOE))
        echo(tty, tty->termios.cc[VERASE]);
}

static bool is_word(u8 c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c >= 128;
}

static void erase_word(struct tty *tty)
{
    bool word = false;

    while (tty->in_len > tty->canon_len) {
        if (is_word(in_at(tty, tty->in_len - 1)))
            word = true;
        else if (word)
            break;
        erase_one(tty);
    }
}

static void erase_line(struct tty *tty)
{
    bool show = lflag(tty, ECHO);

    if (show && lflag(tty, ECHOK) && !(lflag(tty, ECHOKE) && lflag(tty, ECHOE))) {
        tty->in_len = tty->canon_len;
        echo(tty, tty->termios.cc[VKILL]);
        echo_raw(tty, '\n');
        return;
    }
    while (tty->in_len > tty->canon_len)
        erase_one(tty);
}

static void reprint(struct tty *tty)
{
    echo(tty, tty->termios.cc[VREPRINT]);
    echo_raw(tty, '\n');
    for (u32 i = tty->canon_len; i < tty->in_len; i++)
        echo(tty, in_at(tty, i));
}

/* ISIG: true if c was a signal. */
static bool receive_signal(struct tty *tty, u8 c)
{
    int sig = is_cc(tty, c, VINTR) ? SIGINT : is_cc(tty, c, VQUIT) ? SIGQUIT : is_cc(tty, c, VSUSP) ? SIGTSTP : 0;

    if (!sig)
        return false;
    if (!lflag(tty, NOFLSH)) {
        n_tty_flush_input(tty);
        n_tty_flush_output(tty);
    }
    if (iflag(tty, IXON))
        tty->stopped = false;
    if (lflag(tty, ECHO))
        echo(tty, c);
    tty_signal(tty, sig);
    return true;
}

static bool receive_edit(struct tty *tty, u8 c)
{
    bool ext = lflag(tty, IEXTEN);

    if (is_cc(tty, c, VERASE)) {
        if (tty->in_len > tty->canon_len)
            erase_one(tty);
        return true;
    }
    if (is_cc(tty, c, VKILL)) {
        erase_line(tty);
        return true;
    }
    if (ext && is_cc(tty, c, VWERASE)) {
        erase_word(tty);
        return true;
    }
    if (ext && is_cc(tty, c, VLNEXT)) {
        tty->literal = true;
        if (lflag(tty, ECHO) && lflag(tty, ECHOCTL)) {
            echo_raw(tty, '^');
            echo_raw(tty, '\b');
        }
        return true;
    }
    if (ext && is_cc(tty, c, VREPRINT) && lflag(tty, ECHO)) {
        reprint(tty);
        return true;
    }
    if (c == '\n') {
        if (lflag(tty, ECHO) || lflag(tty, ECHONL))
            echo_raw(tty, '\n');
        in_end_line(tty, c, false);
        return true;
    }
    if (is_cc(tty, c, VEOF)) {
        in_end_line(tty, 0, true);
        return true;
    }
    if (is_cc(tty, c, VEOL) || (ext && is_cc(tty, c, VEOL2))) {
        if (lflag(tty, ECHO))
            echo(tty, c);
        in_end_line(tty, c, false);
        return true;
    }
    return false;
}

/* IXON: true if c stops or starts the output. */
static bool receive_flow(struct tty *tty, u8 c)
{
    bool start = is_cc(tty, c, VSTART), stop = is_cc(tty, c, VSTOP);

    if (tty->stopped && !stop && (start || iflag(tty, IXANY))) {
        tty->stopped = false;
        tty->packet_status |= 8; /* TIOCPKT_START */
        wake_up(&tty->write_wait);
    }
    if (stop && !start && !tty->stopped) {
        tty->stopped = true;
        tty->packet_status |= 4; /* TIOCPKT_STOP */
    }
    return start || stop;
}

static void receive_plain(struct tty *tty, u8 c)
{
    bool canon = lflag(tty, ICANON);

    /* The last place is for the end of the line. */
    if (tty->in_len >= TTY_IN - 1) {
        if (iflag(tty, IMAXBEL))
            echo_raw(tty, '\a');
        return;
    }
    if (lflag(tty, ECHO)) {
        if (canon && tty->in_len == tty->canon_len)
            tty->canon_column = tty->column;
        echo(tty, c);
    }
    in_byte(tty, c);
    if (!canon)
        wake_up(&tty->read_wait);
}

static void receive_one(struct tty *tty, u8 c)
{
    if (iflag(tty, ISTRIP))
        c &= 0x7f;
    if (tty->literal) {
        tty->literal = false;
        receive_plain(tty, c);
        return;
    }
    if (iflag(tty, IUCLC) && lflag(tty, IEXTEN) && c >= 'A' && c <= 'Z')
        c += 32;
    if (iflag(tty, IXON) && receive_flow(tty, c))
        return;
    if (lflag(tty, ISIG) && receive_signal(tty, c))
        return;
    if (c == '\r') {
        if (iflag(tty, IGNCR))
            return;
        if (iflag(tty, ICRNL))
            c = '\n';
    } else if (c == '\n' && iflag(tty, INLCR)) {
        c = '\r';
    }
    if (lflag(tty, ICANON) && receive_edit(tty, c))
        return;
    receive_plain(tty, c);
}

/* A line that has grown too long to hold must still be able to end; what does not fit is dropped. */
bool n_tty_room(const struct tty *tty)
{
    return tty->in_len < TTY_IN - 1 || (lflag(tty, ICANON) && !tty->canon_len && tty->in_len < TTY_IN);
}

size_t n_tty_receive(struct tty *tty, const u8 *buf, size_t n)
{
    size_t done = 0;
    u32 out = tty->out_len;

    while (done < n && n_tty_room(tty))
        receive_one(tty, buf[done++]);
    if (tty->out_len != out)
        wake_up(&tty->master_read);
    return done;
}

/* ---- reading ---- */

size_t n_tty_available(const struct tty *tty)
{
    if (!lflag(tty, ICANON))
        return tty->in_len;
    for (u32 i = 0; i < tty->canon_len; i++) {
        u32 at = (tty->in_tail + i) % TTY_IN;

        if (bit_get(tty->line_end, at))
            return bit_get(tty->line_eof, at) ? i : i + 1;
    }
    return tty->canon_len;
}

bool n_tty_ready(const struct tty *tty, bool poll)
{
    u32 least = tty->termios.cc[VMIN];

    if (lflag(tty, ICANON))
        return tty->canon_len;
    if (poll && tty->termios.cc[VTIME])
        least = 1;
    return tty->in_len >= max(least, 1u);
}

size_t n_tty_take(struct tty *tty, u8 *buf, size_t n, bool *line)
{
    bool canon = lflag(tty, ICANON);
    size_t done = 0;

    *line = false;
    while (tty->in_len && (!canon || tty->canon_len)) {
        u32 at = tty->in_tail;
        bool end = canon && bit_get(tty->line_end, at), eof = canon && bit_get(tty->line_eof, at);

        if (done == n && !eof)
            break;
        if (!eof)
            buf[done++] = tty->in[at];
        tty->in_tail = (at + 1) % TTY_IN;
        tty->in_len--;
        if (tty->canon_len)
            tty->canon_len--;
        if (end) {
            *line = true;
            break;
        }
    }
    wake_up(&tty->master_write);
    return done;
}

/* ---- changing ---- */

void n_tty_set_termios(struct tty *tty, const struct termios *t)
{
    bool was = lflag(tty, ICANON);

    tty->termios = *t;
    if (was != lflag(tty, ICANON)) {
        /* What has been typed so far is a line now, or no line any more. */
        tty->canon_len = was ? 0 : tty->in_len;
        for (u32 i = 0; i < tty->in_len; i++) {
            u32 at = (tty->in_tail + i) % TTY_IN;

            bit_set(tty->line_end, at, !was && i + 1 == tty->in_len);
            bit_set(tty->line_eof, at, false);
        }
        tty->literal = false;
    }
    if (!iflag(tty, IXON) && tty->stopped)
        tty->stopped = false;
    wake_up(&tty->read_wait);
    wake_up(&tty->write_wait);
    wake_up(&tty->master_write);
}
