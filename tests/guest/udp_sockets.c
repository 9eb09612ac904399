/* SPDX-License-Identifier: MIT */
/* UDP on the loopback, IPv4 and IPv6: whole messages, connecting, errors that come back, groups, control data. And what
 * there is of a network: one interface. */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[70000];

static struct sockaddr_in bound(int *fd, uint32_t ip)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
    socklen_t n = sizeof a;

    *fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(*fd >= 0 && bind(*fd, (void *)&a, n) == 0 && getsockname(*fd, (void *)&a, &n) == 0);
    return a;
}

static void messages(void)
{
    int x, y, z = socket(AF_INET, SOCK_DGRAM, 0), n, on = 1;
    struct sockaddr_in a = bound(&x, INADDR_LOOPBACK), b = bound(&y, INADDR_ANY), from;
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x08080808)};
    socklen_t len = sizeof from;

    b.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(sendto(x, "first", 5, 0, (void *)&b, sizeof b) == 5 && sendto(x, "", 0, 0, (void *)&b, sizeof b) == 0);
    CHECK(ioctl(y, FIONREAD, &n) == 0 && n == 5);
    CHECK(recvfrom(y, buf, 3, MSG_TRUNC, (void *)&from, &len) == 5 && from.sin_port == a.sin_port);
    CHECK(recv(y, buf, 9, 0) == 0);
    FAILS(recv(y, buf, 9, MSG_DONTWAIT), EAGAIN);
    CHECK(sendto(x, buf, 65507, 0, (void *)&b, sizeof b) == 65507 && recv(y, buf, sizeof buf, 0) == 65507);
    FAILS(sendto(x, buf, 65508, 0, (void *)&b, sizeof b), EMSGSIZE);
    FAILS(send(z, "x", 1, 0), EDESTADDRREQ);
    FAILS(sendto(z, "x", 1, 0, (void *)&far, sizeof far), ENETUNREACH);
    FAILS(connect(z, (void *)&far, sizeof far), ENETUNREACH);
    far.sin_addr.s_addr = htonl(0x7fffffff);
    FAILS(sendto(z, "x", 1, 0, (void *)&far, sizeof far), EACCES);
    CHECK(setsockopt(z, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0);
    CHECK(sendto(z, "x", 1, 0, (void *)&far, sizeof far) == 1);
    /* Connected: others are not heard, and a port that nobody has comes back as an error. */
    CHECK(connect(y, (void *)&a, sizeof a) == 0 && sendto(z, "other", 5, 0, (void *)&b, sizeof b) == 5);
    FAILS(recv(y, buf, 9, MSG_DONTWAIT), EAGAIN);
    CHECK(send(y, "to x", 4, 0) == 4 && recv(x, buf, 9, 0) == 4);
    close(x);
    CHECK(send(y, "none", 4, 0) == 4);
    struct pollfd p = {y, POLLIN, 0};
    CHECK(poll(&p, 1, 1000) == 1 && (p.revents & POLLERR));
    FAILS(recv(y, buf, 9, 0), ECONNREFUSED);
    CHECK(connect(y, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)) == 0);
    FAILS(send(y, "x", 1, 0), EDESTADDRREQ);
    close(y);
    close(z);
}

static void several(void)
{
    int x, y;
    struct sockaddr_in a = bound(&x, INADDR_LOOPBACK);
    struct iovec iov[3] = {{"one", 3}, {"three", 5}, {"seven", 5}}, in[3];
    struct mmsghdr m[3] = {{.msg_hdr = {&a, sizeof a, &iov[0], 1, 0, 0, 0}},
                           {.msg_hdr = {&a, sizeof a, &iov[1], 2, 0, 0, 0}},
                           {.msg_hdr = {&a, sizeof a, &iov[2], 1, 0, 0, 0}}};

    y = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 3; i++)
        m[i].msg_hdr.msg_control = NULL;
    CHECK(sendmmsg(y, m, 3, 0) == 3 && m[1].msg_len == 10);
    for (int i = 0; i < 3; i++) {
        in[i] = (struct iovec){buf + i * 100, 100};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &in[i], .msg_iovlen = 1}};
    }
    CHECK(recvmmsg(x, m, 3, MSG_WAITFORONE, NULL) == 3 && m[0].msg_len == 3 && m[1].msg_len == 10);
    CHECK(!memcmp(buf + 100, "threeseven", 10));
    close(x);
    close(y);
}

static void control(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t n = sizeof a;
    int x = socket(AF_INET6, SOCK_DGRAM, 0), y = socket(AF_INET6, SOCK_DGRAM, 0), on = 1, hops = 7, seen = 0;
    union {
        char buf[256];
        struct cmsghdr align;
    } u;
    struct iovec iov = {buf, 100};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};

    CHECK(bind(x, (void *)&a, n) == 0 && getsockname(x, (void *)&a, &n) == 0);
    CHECK(setsockopt(x, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0);
    CHECK(setsockopt(x, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on) == 0);
    CHECK(setsockopt(y, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops) == 0);
    CHECK(sendto(y, "c", 1, 0, (void *)&a, n) == 1 && recvmsg(x, &m, 0) == 1 && !(m.msg_flags & MSG_CTRUNC));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        CHECK(c->cmsg_level == IPPROTO_IPV6);
        if (c->cmsg_type == IPV6_PKTINFO) {
            const struct in6_pktinfo *info = (void *)CMSG_DATA(c);
            CHECK(!memcmp(&info->ipi6_addr, &a.sin6_addr, 16) && info->ipi6_ifindex == if_nametoindex("lo"));
            seen |= 1;
        }
        if (c->cmsg_type == IPV6_HOPLIMIT) {
            CHECK(*(int *)(void *)CMSG_DATA(c) == 7);
            seen |= 2;
        }
    }
    CHECK(seen == 3);
    m.msg_controllen = 4; /* no room */
    CHECK(sendto(y, "c", 1, 0, (void *)&a, n) == 1 && recvmsg(x, &m, 0) == 1 && (m.msg_flags & MSG_CTRUNC));
    close(x);
    close(y);
}

static void groups(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xe0000a0b)};
    struct ip_mreq join = {a.sin_addr, {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int x = socket(AF_INET, SOCK_DGRAM, 0), y = socket(AF_INET, SOCK_DGRAM, 0), off = 0;

    CHECK(bind(x, (void *)&a, n) == 0 && getsockname(x, (void *)&a, &n) == 0);
    CHECK(setsockopt(y, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, sizeof join.imr_interface) == 0);
    CHECK(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) == 0);
    FAILS(setsockopt(x, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join), EADDRINUSE);
    CHECK(sendto(y, "to all", 6, 0, (void *)&a, n) == 6 && recv(x, buf, 9, 0) == 6);
    CHECK(setsockopt(y, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off) == 0);
    CHECK(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join) == 0);
    FAILS(setsockopt(x, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join), EADDRNOTAVAIL);
    close(x);
    close(y);
}

static void interfaces(void)
{
    struct if_nameindex *names = if_nameindex();
    struct ifaddrs *list;
    int v4 = 0, v6 = 0;

    CHECK(names && !strcmp(names[0].if_name, "lo"));
    if_freenameindex(names);
    CHECK(getifaddrs(&list) == 0);
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || strcmp(i->ifa_name, "lo"))
            continue;
        CHECK(i->ifa_flags & IFF_LOOPBACK);
        if (i->ifa_addr->sa_family == AF_INET)
            v4 += ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
        if (i->ifa_addr->sa_family == AF_INET6)
            v6++;
    }
    CHECK(v4 == 1 && v6 == 1);
    freeifaddrs(list);
}

int main(void)
{
    messages();
    several();
    control();
    groups();
    interfaces();
    return success();
}
