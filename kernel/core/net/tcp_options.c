/* SPDX-License-Identifier: MIT */
/* Options of tcp(7): kept and told; there is no wire that they could change anything on. */
#include "tcp.h"

#define TCP_MAXSEG 2
#define TCP_LINGER2 8
#define TCP_INFO 11
#define TCP_CONGESTION 13

#define MSS_UNCONNECTED 536
#define MSS_LOOPBACK 65483
#define MSS_MIN 88

#define OPTION(name, field, min, max)                                                               \
    {                                                                                               \
        name, offsetof(struct tcp_sock, field), sizeof(((struct tcp_sock *)0)->field), (min), (max) \
    }

static const struct int_option options[] = {
    OPTION(1 /* TCP_NODELAY */, nodelay, 0, 1),
    OPTION(3 /* TCP_CORK */, cork, 0, 1),
    OPTION(4 /* TCP_KEEPIDLE */, keepidle, 1, 32767),
    OPTION(5 /* TCP_KEEPINTVL */, keepintvl, 1, 32767),
    OPTION(6 /* TCP_KEEPCNT */, keepcnt, 1, 127),
    OPTION(7 /* TCP_SYNCNT */, syncnt, 1, 127),
    OPTION(TCP_LINGER2, linger2, INT32_MIN, INT32_MAX),
    OPTION(9 /* TCP_DEFER_ACCEPT */, defer_accept, 0, 255),
    OPTION(10 /* TCP_WINDOW_CLAMP */, window_clamp, 0, INT32_MAX),
    OPTION(12 /* TCP_QUICKACK */, quickack, 0, 1),
    OPTION(18 /* TCP_USER_TIMEOUT */, user_timeout, 0, INT32_MAX),
    OPTION(23 /* TCP_FASTOPEN */, fastopen, 0, INT32_MAX),
    OPTION(25 /* TCP_NOTSENT_LOWAT */, notsent_lowat, INT32_MIN, INT32_MAX),
};

void tcp_init_options(struct tcp_sock *tp)
{
    tp->quickack = 1;
    tp->keepidle = 7200;
    tp->keepintvl = 75;
    tp->keepcnt = 9;
    tp->syncnt = 6;
    tp->linger2 = 60;
    strlcpy(tp->congestion, "cubic", sizeof(tp->congestion));
}

void tcp_inherit(struct tcp_sock *child, const struct tcp_sock *listener)
{
    size_t from = offsetof(struct inet_sock, tos);

    memcpy((char *)&child->inet + from, (const char *)&listener->inet + from, sizeof(struct inet_sock) - from);
    from = offsetof(struct tcp_sock, nodelay);
    memcpy((char *)child + from, (const char *)listener + from, sizeof(struct tcp_sock) - from);
    child->inet.v6only = listener->inet.v6only;
}

static int congestion_set(struct tcp_sock *tp, const struct sockopt *o)
{
    char name[sizeof(tp->congestion)];
    u32 n = min(o->len, (u32)sizeof(name) - 1);

    if (!n)
        return -EINVAL;
    memcpy(name, o->value, n);
    name[n] = 0;
    if (strcmp(name, "cubic") && strcmp(name, "reno"))
        return -ENOENT;
    memcpy(tp->congestion, name, sizeof(name));
    return 0;
}

int tcp_setsockopt(struct sock *sk, int level, int name, const struct sockopt *o)
{
    struct tcp_sock *tp = tcp_sk(sk);
    s32 v;
    int r;

    if (level != SOL_TCP)
        return inet_setsockopt(sk, level, name, o);
    if (name == TCP_CONGESTION)
        return congestion_set(tp, o);
    r = sockopt_int(o, &v);
    if (r < 0)
        return r;
    if (name == TCP_MAXSEG) {
        if (v && (v < MSS_MIN || v > INT16_MAX))
            return -EINVAL;
        tp->maxseg = (s16)v;
        return 0;
    }
    return int_option_set(tp, options, ARRAY_SIZE(options), name, o);
}

/* The part of struct tcp_info that means something here; the rest is zero. */
static int info_get(struct tcp_sock *tp, struct sockopt *o)
{
    struct {
        u8 state, ca_state, retransmits, probes, backoff, options, wscale, flags;
        u32 rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets;
        u32 last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
        u32 pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt, rcv_space,
            total_retrans;
        u64 rest[16];
    } info = {.state = tcp_state(&tp->inet)};
    _Static_assert(sizeof(info) == 232, "struct tcp_info of Linux 6.1");

    if (info.state != TCP_CLOSE && info.state != TCP_LISTEN) {
        info.options = 7; /* timestamps, SACK, window scaling */
        info.wscale = 0x77;
        info.snd_mss = info.rcv_mss = MSS_LOOPBACK / 2;
        info.advmss = MSS_LOOPBACK;
        info.pmtu = LOOPBACK_MTU;
        info.rto = 200000;
        info.ato = 40000;
        info.rtt = 10;
        info.snd_cwnd = 10;
    }
    return sockopt_put(o, &info, sizeof(info));
}

int tcp_getsockopt(struct sock *sk, int level, int name, struct sockopt *o)
{
    struct tcp_sock *tp = tcp_sk(sk);

    if (level != SOL_TCP)
        return inet_getsockopt(sk, level, name, o);
    switch (name) {
    case TCP_MAXSEG: return sockopt_put_int(o, tp->state == TCP_ESTABLISHED ? MSS_LOOPBACK : MSS_UNCONNECTED);
    case TCP_INFO: return info_get(tp, o);
    case TCP_CONGESTION: return sockopt_put(o, tp->congestion, sizeof(tp->congestion));
    }
    return int_option_get(tp, options, ARRAY_SIZE(options), name, o);
}
