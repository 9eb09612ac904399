/* SPDX-License-Identifier: MIT */
/* Between the files of unix(7). */
#ifndef CORE_UNIX_H
#define CORE_UNIX_H

#include "socket.h"

#define UNIX_QUEUE_MAX 512u /* net.unix.max_dgram_qlen: messages that a socket keeps for others than its peer */

/* A name: of the file system, or abstract (path[0] is 0). */
struct unix_addr {
    u32 refs;
    u32 len; /* of struct sockaddr_un */
    struct sockaddr_un un;
};

struct unix_sock {
    struct sock sk;
    struct list_head all; /* in unix_list */
    struct unix_addr *addr;
    struct path path;                 /* where it is bound, with references */
    struct sock *peer;                /* with a reference: connected to */
    struct list_head senders, sender; /* datagrams: whose peer this is; in the peer's senders */
    /* listening */
    struct list_head accept, embryo; /* ends that wait to be accepted; in the listener's accept */
    struct sock *listener;           /* whose embryo this is */
    u32 accept_len, backlog;
    u32 inflight; /* references from queues, unix_gc.c */
    s32 gc_refs;
    bool gc_candidate;
};

static inline struct unix_sock *unix_sk(struct sock *sk) { return container_of(sk, struct unix_sock, sk); }
static inline bool sock_is_unix(const struct sock *sk) { return sk->family == AF_UNIX; }

extern struct list_head unix_list;

/* ---- unix_gc.c ---- */
/* Counts scm's sockets as in flight, or no more. */
void unix_inflight(struct scm *scm, bool on);
u32 unix_inflight_count(void);
/* Frees sockets that only queued messages of each other refer to. */
void unix_gc(void);

#endif
