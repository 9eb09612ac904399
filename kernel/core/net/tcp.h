/* SPDX-License-Identifier: MIT */
/* Between the files of tcp(7). */
#ifndef CORE_TCP_H
#define CORE_TCP_H

#include "inet.h"

enum { URGENT_NONE, URGENT_VALID, URGENT_READ };

struct tcp_sock {
    struct inet_sock inet;
    u8 state;        /* CLOSE, LISTEN, SYN_SENT or ESTABLISHED: tcp_state() tells them apart further */
    bool connecting; /* connect() has begun, and has not yet said how it ended */
    bool dead;       /* closed */
    bool fin_sent, fin_received, fin_first;
    struct sock *peer; /* the other end, with a reference; NULL once this one is closed or was reset */
    struct tcp_sock *listener;
    struct list_head queued;          /* in the listener's accept or waiting */
    struct list_head accept, waiting; /* who listens: ends to be accepted; who waits for room there */
    u32 accept_len, backlog;
    u64 read_seq, write_seq; /* bytes taken out of the receive queue, put in */
    u64 urgent_seq;          /* of the urgent byte */
    u8 urgent, urgent_byte;
    /* options, tcp_options.c */
    u8 nodelay, cork, quickack, defer_accept;
    s16 maxseg;
    s32 keepidle, keepintvl, keepcnt, syncnt, linger2, user_timeout, notsent_lowat, window_clamp, fastopen;
    char congestion[16];
};

static inline struct tcp_sock *tcp_sk(const struct sock *sk)
{
    return container_of((struct sock *)sk, struct tcp_sock, inet.sk);
}

/* Breaks the connection, or the attempt at one; the other end sees a reset. */
void tcp_abort(struct tcp_sock *tp);

/* ---- tcp_io.c ---- */
ssize_t tcp_sendmsg(struct sock *sk, struct msg *m, bool nonblock);
ssize_t tcp_recvmsg(struct sock *sk, struct msg *m, bool nonblock);
u64 tcp_readable(const struct tcp_sock *tp); /* bytes that a read gets; an urgent one does not count */
bool tcp_writable(const struct tcp_sock *tp);

/* ---- tcp_options.c ---- */
void tcp_init_options(struct tcp_sock *tp);
void tcp_inherit(struct tcp_sock *child, const struct tcp_sock *listener);
int tcp_setsockopt(struct sock *sk, int level, int name, const struct sockopt *o);
int tcp_getsockopt(struct sock *sk, int level, int name, struct sockopt *o);

#endif
