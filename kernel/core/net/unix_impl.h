/* SPDX-License-Identifier: MIT */
/* Between unix.c, unix_stream.c and unix_dgram.c. */
#ifndef CORE_UNIX_IMPL_H
#define CORE_UNIX_IMPL_H

#include "unix.h"

const struct sock_ops *unix_ops(u16 type);
/* The socket that a names: 0, -ECONNREFUSED, -EPROTOTYPE, or what the walk found. No reference. */
int unix_find(const struct sockaddr *a, u16 type, struct unix_sock **res);
void unix_name(struct sockaddr *name, const struct unix_addr *a); /* a NULL: no name */
void unix_set_peer(struct unix_sock *u, struct sock *peer);       /* NULL: none */
void unix_skb_from(struct skb *skb, const struct unix_sock *u);
/* Files in flight: 0 or -ETOOMANYREFS; and what comes with a message for recvmsg. */
int unix_attach(struct skb *skb, struct scm *scm, const struct ucred *cred);
void unix_recv_scm(struct sock *sk, struct msg *m, const struct skb *skb);
bool unix_writable(const struct unix_sock *u);

int unix_dgram_connect(struct sock *sk, const struct sockaddr *a, bool nonblock);
ssize_t unix_stream_sendmsg(struct sock *sk, struct msg *m, bool nonblock);
ssize_t unix_stream_recvmsg(struct sock *sk, struct msg *m, bool nonblock);
ssize_t unix_dgram_sendmsg(struct sock *sk, struct msg *m, bool nonblock);
ssize_t unix_dgram_recvmsg(struct sock *sk, struct msg *m, bool nonblock);

#endif
