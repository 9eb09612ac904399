/* SPDX-License-Identifier: MIT */
/* AF_UNIX, unix(7): names, connections, and what stream, datagram and seqpacket sockets have in common. */
#include "unix.h"

#include "fs/vfs.h"
#include "proc/signal.h"
#include "unix_impl.h"

struct list_head unix_list = LIST_HEAD_INIT(unix_list);

/* ---- names ---- */

static struct unix_addr *addr_get(struct unix_addr *a)
{
    if (a)
        a->refs++;
    return a;
}

static void addr_put(struct unix_addr *a)
{
    if (a && --a->refs == 0)
        kfree(a);
}

void unix_name(struct sockaddr *name, const struct unix_addr *a)
{
    name->len = a ? a->len : (u32)sizeof(u16);
    name->un.family = AF_UNIX;
    if (a)
        memcpy(&name->un, &a->un, a->len);
}

/* Of a family's own name: 0; autobind when there is nothing but the family. */
static int addr_check(const struct sockaddr *a, bool empty)
{
    if (a->len < sizeof(u16) || a->len > sizeof(struct sockaddr_un) || a->family != AF_UNIX)
        return -EINVAL;
    return a->len == sizeof(u16) && !empty ? -EINVAL : 0;
}

static bool addr_is_abstract(const struct sockaddr *a) { return !a->un.path[0]; }

/* The name in the file system: NUL-terminated, at most sizeof(un.path) bytes without it. */
static void addr_path(const struct sockaddr *a, char path[sizeof(a->un.path) + 1])
{
    size_t n = a->len - sizeof(u16);

    memcpy(path, a->un.path, n);
    path[n] = 0;
}

static struct unix_sock *find_abstract(const struct sockaddr *a, u16 type)
{
    struct unix_sock *u;

    list_for_each_entry (u, &unix_list, all)
        if (u->addr && !u->listener && u->sk.file && u->sk.type == type && u->addr->len == a->len &&
            !memcmp(&u->addr->un, &a->un, a->len))
            return u;
    return NULL;
}

int unix_find(const struct sockaddr *a, u16 type, struct unix_sock **res)
{
    char name[sizeof(a->un.path) + 1];
    struct path path;
    struct inode *inode;
    int r = addr_check(a, false);

    if (r < 0)
        return r;
    if (addr_is_abstract(a)) {
        *res = find_abstract(a, type);
        return *res ? 0 : -ECONNREFUSED;
    }
    addr_path(a, name);
    r = path_lookup(name, LOOKUP_FOLLOW, &path);
    if (r < 0)
        return r;
    inode = path.dentry->inode;
    *res = S_ISSOCK(inode->mode) ? inode->special : NULL;
    path_put(&path);
    if (!*res)
        return -ECONNREFUSED;
    return (*res)->sk.type == type ? 0 : -EPROTOTYPE;
}

static struct unix_addr *addr_new(const struct sockaddr *a)
{
    struct unix_addr *addr = kmalloc(sizeof(*addr));

    if (!addr)
        return NULL;
    addr->refs = 1;
    addr->len = a->len;
    memcpy(&addr->un, &a->un, a->len);
    return addr;
}

static int bind_autobind(struct unix_sock *u)
{
    struct sockaddr a = {.len = sizeof(u16) + 6, .un = {.family = AF_UNIX}};
    u32 n;

    for (u32 tries = 0; tries < 1u << 20; tries++) {
        random_bytes(&n, sizeof(n));
        snprintf(a.un.path + 1, sizeof(a.un.path) - 1, "%05x", n & 0xfffff);
        if (find_abstract(&a, u->sk.type))
            continue;
        u->addr = addr_new(&a);
        return u->addr ? 0 : -ENOMEM;
    }
    return -ENOSPC;
}

/* Makes the name, which must not exist, and leads it to u. */
static int bind_path(struct unix_sock *u, const struct sockaddr *a)
{
    char name[sizeof(a->un.path) + 1];
    struct sockaddr full = *a;
    struct path path;
    int r;

    addr_path(a, name);
    r = vfs_make(name, S_IFSOCK | (0777 & ~fs_get_umask(current->process->fs)));
    if (r < 0)
        return r == -EEXIST ? -EADDRINUSE : r;
    if (u->addr) { /* as Linux: a name that is taken is said first */
        vfs_remove(name, false);
        return -EINVAL;
    }
    r = path_lookup(name, 0, &path);
    if (r < 0)
        return r;
    if (!S_ISSOCK(path.dentry->inode->mode) || path.dentry->inode->special || u->addr) {
        path_put(&path);
        return -EADDRINUSE;
    }
    full.len = (u32)(sizeof(u16) + min(strlen(name) + 1, sizeof(a->un.path)));
    u->addr = addr_new(&full);
    if (!u->addr) {
        path_put(&path);
        return -ENOMEM;
    }
    u->path = path;
    path.dentry->inode->special = u;
    return 0;
}

static int unix_bind(struct sock *sk, const struct sockaddr *a)
{
    struct unix_sock *u = unix_sk(sk);
    int r = addr_check(a, true);

    if (r < 0)
        return r;
    if (a->len == sizeof(u16))
        return u->addr ? 0 : bind_autobind(u);
    if (!addr_is_abstract(a))
        return bind_path(u, a);
    if (u->addr)
        return -EINVAL;
    if (find_abstract(a, sk->type))
        return -EADDRINUSE;
    u->addr = addr_new(a);
    return u->addr ? 0 : -ENOMEM;
}

static int unix_getname(struct sock *sk, struct sockaddr *addr, int peer)
{
    struct unix_sock *u = unix_sk(sk);

    if (peer && !u->peer)
        return -ENOTCONN;
    unix_name(addr, peer ? unix_sk(u->peer)->addr : u->addr);
    return 0;
}

/* ---- life ---- */

static void skb_destroy_from(struct skb *skb) { addr_put(skb->from); }

void unix_skb_from(struct skb *skb, const struct unix_sock *u)
{
    skb->from = addr_get(u->addr);
    skb->destroy = skb_destroy_from;
}

static void unix_destroy(struct sock *sk)
{
    struct unix_sock *u = unix_sk(sk);

    list_del(&u->all);
    list_del(&u->sender);
    addr_put(u->addr);
}

static struct unix_sock *unix_alloc(u16 type)
{
    struct sock *sk = sock_alloc(sizeof(struct unix_sock), unix_ops(type), AF_UNIX, type, 0);
    struct unix_sock *u;

    if (IS_ERR(sk))
        return (void *)sk;
    u = unix_sk(sk);
    list_init(&u->senders);
    list_init(&u->sender);
    list_init(&u->accept);
    list_init(&u->embryo);
    list_add_tail(&u->all, &unix_list);
    return u;
}

struct sock *unix_create(u16 type, u32 protocol)
{
    struct unix_sock *u;

    if (protocol && protocol != AF_UNIX)
        return ERR_PTR(-EPROTONOSUPPORT);
    if (type == SOCK_RAW) /* an old mistake that Linux keeps */
        type = SOCK_DGRAM;
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        return ERR_PTR(-ESOCKTNOSUPPORT);
    u = unix_alloc(type);
    return IS_ERR(u) ? (void *)u : &u->sk;
}

void unix_set_peer(struct unix_sock *u, struct sock *peer)
{
    struct sock *old = u->peer;

    list_del(&u->sender);
    u->peer = peer ? sock_get(peer) : NULL;
    if (peer)
        list_add_tail(&u->sender, &unix_sk(peer)->senders);
    sock_put(old);
}

/* One end goes: the other reads to the end of what it has, and writes no more. */
static void disconnect_end(struct unix_sock *u, bool reset)
{
    struct sock *peer = u->peer;

    if (!peer)
        return;
    if (peer->type != SOCK_DGRAM) {
        peer->shutdown = SHUTDOWN_MASK;
        if (reset)
            peer->err = ECONNRESET;
        sock_wake(peer);
    }
    unix_set_peer(u, NULL);
}

static void drop_embryos(struct unix_sock *u)
{
    while (!list_empty(&u->accept)) {
        struct unix_sock *e = list_first_entry(&u->accept, struct unix_sock, embryo);

        list_del(&e->embryo);
        e->listener = NULL;
        disconnect_end(e, true);
        skb_queue_purge(&e->sk.receive);
        sock_put(&e->sk);
    }
    u->accept_len = 0;
}

static void unix_release(struct sock *sk)
{
    struct unix_sock *u = unix_sk(sk), *s, *next;

    sk->shutdown = SHUTDOWN_MASK;
    if (u->path.dentry && u->path.dentry->inode->special == u)
        u->path.dentry->inode->special = NULL;
    path_put(&u->path);
    drop_embryos(u);
    disconnect_end(u, !skb_queue_empty(&sk->receive));
    skb_queue_purge(&sk->receive);
    sock_wake(sk);
    /* Who sends datagrams here finds out by the error. */
    list_for_each_entry_safe (s, next, &u->senders, sender)
        wake_up(&s->sk.wr);
    if (unix_inflight_count())
        unix_gc();
}

/* ---- connections ---- */

static int unix_listen(struct sock *sk, int backlog)
{
    struct unix_sock *u = unix_sk(sk);

    if (!u->addr || u->peer)
        return -EINVAL;
    sk->listening = true;
    u->backlog = (u32)backlog;
    ucred_current(&sk->peer_cred);
    wake_up(&sk->wr);
    return 0;
}

static bool accept_full(const struct unix_sock *l) { return l->accept_len > l->backlog; }

/* Waits until the listener at a has room; *res has a reference. */
static int connect_find(struct sock *sk, const struct sockaddr *a, bool nonblock, struct unix_sock **res)
{
    u64 deadline = sock_deadline(sk->sndtimeo);
    struct unix_sock *l;

    for (;;) {
        int r = unix_find(a, sk->type, &l);
        long w;

        if (r < 0)
            return r;
        if (!l->sk.listening || (l->sk.shutdown & RCV_SHUTDOWN))
            return -ECONNREFUSED;
        if (!accept_full(l))
            break;
        if (nonblock)
            return -EAGAIN;
        sock_get(&l->sk);
        w = wait_event_deadline(&l->sk.wr, !accept_full(l) || (l->sk.shutdown & RCV_SHUTDOWN), deadline);
        sock_put(&l->sk);
        if (w < 0)
            return sock_wait_error(w, sk->sndtimeo);
    }
    *res = l;
    return 0;
}

static int unix_stream_connect(struct sock *sk, const struct sockaddr *a, bool nonblock)
{
    struct unix_sock *u = unix_sk(sk), *l, *child;
    int r;

    if (sk->listening)
        return -EINVAL;
    if (u->peer)
        return -EISCONN;
    r = connect_find(sk, a, nonblock, &l);
    if (r < 0)
        return r;
    if (u->peer || sk->listening)
        return -EISCONN;
    child = unix_alloc(sk->type);
    if (IS_ERR(child))
        return (int)PTR_ERR(child);
    child->addr = addr_get(l->addr);
    sock_inherit(&child->sk, &l->sk);
    unix_set_peer(child, sk);
    unix_set_peer(u, &child->sk);
    child->sk.connected = sk->connected = true;
    ucred_current(&child->sk.peer_cred);
    sk->peer_cred = l->sk.peer_cred;
    child->listener = &l->sk;
    list_add_tail(&child->embryo, &l->accept);
    l->accept_len++;
    wake_up(&l->sk.rd);
    sock_wake(sk);
    return 0;
}

static struct sock *unix_accept(struct sock *sk, bool nonblock)
{
    struct unix_sock *u = unix_sk(sk), *child;
    u64 deadline = sock_deadline(sk->rcvtimeo);

    if (!sk->listening)
        return ERR_PTR(-EINVAL);
    while (list_empty(&u->accept)) {
        long r;

        if (sk->shutdown & RCV_SHUTDOWN)
            return ERR_PTR(-EINVAL);
        if (nonblock)
            return ERR_PTR(-EAGAIN);
        r = wait_event_deadline(&sk->rd, !list_empty(&u->accept) || (sk->shutdown & RCV_SHUTDOWN), deadline);
        if (r < 0)
            return ERR_PTR(sock_wait_error(r, sk->rcvtimeo));
    }
    child = list_first_entry(&u->accept, struct unix_sock, embryo);
    list_del(&child->embryo);
    child->listener = NULL;
    u->accept_len--;
    wake_up(&sk->wr);
    return &child->sk;
}

static int unix_pair(struct sock *a, struct sock *b)
{
    unix_set_peer(unix_sk(a), b);
    unix_set_peer(unix_sk(b), a);
    ucred_current(&a->peer_cred);
    ucred_current(&b->peer_cred);
    a->connected = b->connected = true;
    return 0;
}

static int unix_shutdown(struct sock *sk, u32 how)
{
    struct unix_sock *u = unix_sk(sk);
    u32 other = (how & RCV_SHUTDOWN ? SEND_SHUTDOWN : 0) | (how & SEND_SHUTDOWN ? RCV_SHUTDOWN : 0);

    sk->shutdown |= how;
    sock_wake(sk);
    if (u->peer && sk->type != SOCK_DGRAM) {
        u->peer->shutdown |= other;
        sock_wake(u->peer);
    }
    return 0;
}

/* ---- polling ---- */

static u32 unix_poll(struct sock *sk)
{
    struct unix_sock *u = unix_sk(sk);
    u32 events = 0;

    if (sk->err)
        events |= POLLERR;
    if (sk->shutdown == SHUTDOWN_MASK)
        events |= POLLHUP;
    if (sk->shutdown & RCV_SHUTDOWN)
        events |= POLLRDHUP | POLLIN | POLLRDNORM;
    if (!skb_queue_empty(&sk->receive) || !list_empty(&u->accept))
        events |= POLLIN | POLLRDNORM;
    if (sk->type != SOCK_DGRAM && !sk->connected && !sk->listening)
        events |= POLLHUP;
    if (!sk->listening && unix_writable(u))
        events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    return events;
}

#define SIOCINQ 0x541bu
#define SIOCOUTQ 0x5411u

static long unix_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
    struct unix_sock *u = unix_sk(sk);
    s32 n;

    switch (cmd) {
    case SIOCINQ:
        if (sk->listening)
            return -EINVAL;
        if (sk->type == SOCK_DGRAM)
            n = skb_queue_empty(&sk->receive) ? 0 : (s32)skb_queue_first(&sk->receive)->len;
        else
            n = (s32)sk->receive.bytes;
        break;
    case SIOCOUTQ: n = (s32)(sk->type == SOCK_STREAM && u->peer ? u->peer->receive.truesize : sk->sent); break;
    default: return -ENOTTY;
    }
    return copy_to_user((void __user *)arg, &n, sizeof(n));
}

const struct sock_ops *unix_ops(u16 type)
{
#define COMMON                                                                                                   \
    .bind = unix_bind, .getname = unix_getname, .poll = unix_poll, .shutdown = unix_shutdown, .pair = unix_pair, \
    .ioctl = unix_ioctl, .release = unix_release, .destroy = unix_destroy
    static const struct sock_ops stream = {
        COMMON,
        .connect = unix_stream_connect,
        .listen = unix_listen,
        .accept = unix_accept,
        .sendmsg = unix_stream_sendmsg,
        .recvmsg = unix_stream_recvmsg,
    };
    static const struct sock_ops dgram = {
        COMMON,
        .connect = unix_dgram_connect,
        .sendmsg = unix_dgram_sendmsg,
        .recvmsg = unix_dgram_recvmsg,
    };
    static const struct sock_ops seqpacket = {
        COMMON,
        .connect = unix_stream_connect,
        .listen = unix_listen,
        .accept = unix_accept,
        .sendmsg = unix_dgram_sendmsg,
        .recvmsg = unix_dgram_recvmsg,
    };
    return type == SOCK_STREAM ? &stream : type == SOCK_DGRAM ? &dgram : &seqpacket;
}
