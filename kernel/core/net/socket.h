/* SPDX-License-Identifier: MIT */
/*
 * Sockets, socket(7): what the families have in common. A struct sock is one end of a conversation; the open file
 * holds one reference, ends that wait to be accepted are held by who listens. Everything is under the big kernel lock.
 */
#ifndef CORE_SOCKET_H
#define CORE_SOCKET_H

#include "fs/fs_impl.h"
#include "fs/poll.h"
#include "fs/uio.h"
#include "kernel.h"
#include "proc/task.h"
#include "wait.h"

#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#define SOCK_TYPE_MASK 0xfu
#define SOCK_NONBLOCK O_NONBLOCK
#define SOCK_CLOEXEC O_CLOEXEC

#define MSG_OOB 0x1u
#define MSG_PEEK 0x2u
#define MSG_DONTROUTE 0x4u
#define MSG_CTRUNC 0x8u
#define MSG_TRUNC 0x20u
#define MSG_DONTWAIT 0x40u
#define MSG_EOR 0x80u
#define MSG_WAITALL 0x100u
#define MSG_CONFIRM 0x800u
#define MSG_ERRQUEUE 0x2000u
#define MSG_NOSIGNAL 0x4000u
#define MSG_MORE 0x8000u
#define MSG_WAITFORONE 0x10000u
#define MSG_ZEROCOPY 0x4000000u
#define MSG_FASTOPEN 0x20000000u
#define MSG_CMSG_CLOEXEC 0x40000000u

#define SOL_SOCKET 1
#define SOL_IP 0
#define SOL_TCP 6
#define SOL_UDP 17
#define SOL_IPV6 41
#define SOL_NETLINK 270

#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

#define SOCKBUF_MIN 2048u
#define SOCKBUF_MAX 212992u /* net.core.wmem_max: what SO_SNDBUF may ask for, half of what it then is */
#define SOMAXCONN 4096

/* ---- addresses, in network byte order as the ABI has them ---- */

struct in6_addr {
    union {
        u8 b[16];
        u16 h[8];
        u32 w[4];
        u64 d[2];
    };
} __attribute__((packed, aligned(4)));
struct sockaddr_un {
    u16 family;
    char path[108];
};
struct sockaddr_in {
    u16 family, port;
    u32 addr;
    u8 zero[8];
};
struct sockaddr_in6 {
    u16 family, port;
    u32 flowinfo;
    struct in6_addr addr;
    u32 scope_id;
};
struct sockaddr_nl {
    u16 family, pad;
    u32 pid, groups;
};
struct sockaddr {
    u32 len; /* of what follows; 0: none */
    union {
        u16 family;
        u8 bytes[128];
        struct sockaddr_un un;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_nl nl;
    };
};
_Static_assert(sizeof(struct sockaddr_un) == 110 && sizeof(struct sockaddr_in) == 16 &&
                   sizeof(struct sockaddr_in6) == 28 && sizeof(struct sockaddr_nl) == 12,
               "the ABI's");

static inline u16 htons(u16 v) { return __builtin_bswap16(v); }
static inline u32 htonl(u32 v) { return __builtin_bswap32(v); }
static inline u16 ntohs(u16 v) { return __builtin_bswap16(v); }
static inline u32 ntohl(u32 v) { return __builtin_bswap32(v); }

struct ucred {
    s32 pid;
    u32 uid, gid;
};
void ucred_current(struct ucred *cred);

/* ---- what goes along with data: files and credentials, unix(7) ---- */

#define SCM_MAX_FD 253u

struct scm {
    u32 nfiles;
    bool counted; /* the files count as in flight: see unix_gc.c */
    struct file *files[];
};
void scm_free(struct scm *scm); /* NULL allowed */

/* ---- queues of data ---- */

struct sock;

struct skb {
    struct list_head list;
    u32 cap, off, len;  /* data[off, off+len) of cap */
    u32 truesize;       /* what it counts for */
    struct sock *owner; /* whose sent bytes it counts to, with a reference; or NULL */
    struct scm *scm;
    bool has_cred;
    struct ucred cred;
    union {
        struct unix_addr *from; /* with a reference; NULL: no name */
        struct {
            struct in6_addr src, dst;
            u16 sport, dport;
            u8 ttl, tos;
            u8 v6 : 1; /* it was sent as IPv6 */
        } inet;
    };
    void (*destroy)(struct skb *skb); /* lets go of what the family put in; or NULL */
    u8 data[];
};

struct skb_queue {
    struct list_head head;
    u32 count;
    u64 bytes, truesize;
};

void skb_queue_init(struct skb_queue *q);
static inline bool skb_queue_empty(const struct skb_queue *q) { return list_empty(&q->head); }
static inline struct skb *skb_queue_first(struct skb_queue *q)
{
    return list_empty(&q->head) ? NULL : list_first_entry(&q->head, struct skb, list);
}
struct skb *skb_alloc(u32 cap); /* NULL: no memory */
void skb_free(struct skb *skb);
void skb_queue_add(struct skb_queue *q, struct skb *skb);
void skb_queue_remove(struct skb_queue *q, struct skb *skb); /* does not free it */
void skb_queue_purge(struct skb_queue *q);
/* skb's sender is sk: it is told (wr) when the data is gone. */
void skb_set_owner(struct skb *skb, struct sock *sk);

/* Streams: appends at most n bytes of it, into the last skb if it has room and join is set. Bytes, or -errno. */
ssize_t skb_queue_append(struct skb_queue *q, struct iov_iter *it, u32 n, bool join);
/* Drops n bytes from the front, which hold no scm. */
void skb_queue_consume(struct skb_queue *q, u32 n);

/* ---- messages on their way through a call ---- */

struct cmsg_room {
    u64 user, left; /* where the next one goes; bytes */
    u64 used;
};

struct msg {
    struct iov_iter *it;
    struct sockaddr name; /* sendmsg: where to, len 0: nowhere; recvmsg: from where, filled in */
    bool want_name;       /* recvmsg */
    u32 flags;            /* MSG_* of the call */
    u32 out_flags;        /* recvmsg: MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_OOB */
    u8 *control;          /* sendmsg: a copy of user mode's, checked to be well-formed */
    size_t control_len;
    struct cmsg_room room; /* recvmsg */
};

struct cmsghdr {
    u64 len;
    s32 level, type;
};
_Static_assert(sizeof(struct cmsghdr) == 16, "the ABI's");
#define CMSG_ALIGN(n) round_up((u64)(n), 8ull)
/* The control messages of a sendmsg, one after the other: *pos begins at 0. NULL at the end. */
const struct cmsghdr *cmsg_next(const struct msg *m, size_t *pos);
static inline const void *cmsg_data(const struct cmsghdr *c) { return c + 1; }
static inline size_t cmsg_data_len(const struct cmsghdr *c) { return c->len - sizeof(*c); }
/* Gives a control message to recvmsg's caller; what does not fit is cut off and MSG_CTRUNC set. */
void cmsg_put(struct msg *m, int level, int type, const void *data, size_t len);
/* SCM_RIGHTS of a sendmsg: *scm, to be freed, or NULL when there are none; creds as given or NULL. */
int scm_send(struct msg *m, struct scm **scm, struct ucred *cred);
/* Installs scm's files in the caller's table, as far as they fit; the scm stays the caller's. */
void scm_recv(struct msg *m, const struct scm *scm);

/* ---- options: at most this many bytes are looked at ---- */

#define SOCKOPT_MAX 256u
struct sockopt {
    u32 len; /* setsockopt: given, getsockopt: room, then bytes of value */
    u8 value[SOCKOPT_MAX];
};
int sockopt_int(const struct sockopt *o, s32 *value); /* 0 or -EINVAL */
int sockopt_put_int(struct sockopt *o, s32 value);    /* cut to the room */
int sockopt_put(struct sockopt *o, const void *value, u32 len);

/* ---- sockets ---- */

#define RCV_SHUTDOWN 1u
#define SEND_SHUTDOWN 2u
#define SHUTDOWN_MASK 3u

/* Boolean options of SOL_SOCKET. */
#define SK_REUSEADDR 0x1u
#define SK_REUSEPORT 0x2u
#define SK_KEEPALIVE 0x4u
#define SK_BROADCAST 0x8u
#define SK_OOBINLINE 0x10u
#define SK_DONTROUTE 0x20u
#define SK_PASSCRED 0x40u
#define SK_TIMESTAMP 0x80u
#define SK_TIMESTAMPNS 0x100u
#define SK_LINGER 0x200u
#define SK_SNDBUF_SET 0x400u
#define SK_RCVBUF_SET 0x800u
#define SK_DEBUG 0x1000u
#define SK_NO_CHECK 0x2000u

enum { NAME_OWN, NAME_PEER, NAME_ACCEPTED };

struct sock_ops {
    int (*bind)(struct sock *sk, const struct sockaddr *addr);
    int (*connect)(struct sock *sk, const struct sockaddr *addr, bool nonblock);
    int (*listen)(struct sock *sk, int backlog);
    struct sock *(*accept)(struct sock *sk, bool nonblock); /* the reference is the caller's; ERR_PTR */
    /* Its own name; NAME_PEER: the other end's; NAME_ACCEPTED: that, though it may be gone already. */
    int (*getname)(struct sock *sk, struct sockaddr *addr, int which);
    ssize_t (*sendmsg)(struct sock *sk, struct msg *m, bool nonblock);
    ssize_t (*recvmsg)(struct sock *sk, struct msg *m, bool nonblock);
    u32 (*poll)(struct sock *sk);
    int (*shutdown)(struct sock *sk, u32 how);                                        /* RCV_SHUTDOWN, SEND_SHUTDOWN */
    int (*setsockopt)(struct sock *sk, int level, int name, const struct sockopt *o); /* not SOL_SOCKET's; or NULL */
    int (*getsockopt)(struct sock *sk, int level, int name, struct sockopt *o);
    int (*pair)(struct sock *a, struct sock *b); /* socketpair; or NULL */
    long (*ioctl)(struct sock *sk, u32 cmd, u64 arg);
    void (*release)(struct sock *sk); /* the file is closed */
    void (*destroy)(struct sock *sk); /* the last reference is gone */
};

struct sock {
    u32 refs;
    const struct sock_ops *ops;
    u16 family, type;
    u32 protocol;
    struct file *file; /* that it is open as, no reference; NULL: closed, or not accepted yet */
    struct wait_queue rd, wr;
    struct skb_queue receive;
    u32 shutdown; /* RCV_SHUTDOWN, SEND_SHUTDOWN */
    s32 err;      /* positive; reported once */
    u32 options;  /* SK_* */
    bool listening, connected;
    u32 sndbuf, rcvbuf;
    u32 rcvlowat;
    u64 sent;               /* truesize of what it sent and nobody has taken yet */
    u64 rcvtimeo, sndtimeo; /* ns, 0: none */
    u32 linger;             /* seconds */
    s32 priority, mark, bound_if;
    struct ucred peer_cred;
};

struct sock *sock_alloc(size_t size, const struct sock_ops *ops, u16 family, u16 type, u32 protocol);
static inline struct sock *sock_get(struct sock *sk)
{
    sk->refs++;
    return sk;
}
void sock_put(struct sock *sk);
/* The error that waits to be reported, negative, and clears it; 0. */
int sock_error(struct sock *sk);
void sock_set_error(struct sock *sk, int error); /* positive; wakes all */
void sock_wake(struct sock *sk);                 /* both queues */
/* SIGPIPE unless the call does not want it; returns -EPIPE. */
int sock_epipe(const struct msg *m);
/* SOL_SOCKET's options; sk->options that sockets from accept() have of who listens. */
int sock_setsockopt(struct sock *sk, int name, const struct sockopt *o);
int sock_getsockopt(struct sock *sk, int name, struct sockopt *o);
void sock_inherit(struct sock *child, const struct sock *listener);
/* What a datagram was received with: SO_TIMESTAMP and its kin. */
void sock_put_cmsgs(struct sock *sk, struct msg *m);

/* The end of a wait: what a call answers; timeo as of the socket. */
static inline int sock_wait_error(long r, u64 timeo)
{
    if (r == -ERESTARTSYS && timeo)
        return -EINTR;
    return r == -ETIMEDOUT ? -EAGAIN : (int)r;
}
u64 sock_deadline(u64 timeo);

/* ---- socket.c: sockets as files ---- */
struct file *sock_file(struct sock *sk, u32 flags); /* takes over the reference, not on ERR_PTR */
struct sock *file_sock(const struct file *f);       /* NULL: not a socket */

/* ---- the families: makers; ERR_PTR ---- */
struct sock *unix_create(u16 type, u32 protocol);
struct sock *inet_create(u16 family, u16 type, u32 protocol);
struct sock *netlink_create(u16 type, u32 protocol);

/* ---- ifconf.c: the loopback interface, netdevice(7) ---- */
#define LOOPBACK_IFINDEX 1
#define LOOPBACK_MTU 65536
long netdev_ioctl(u32 cmd, u64 arg); /* -ENOTTY: none of these */

#endif
