/* SPDX-License-Identifier: MIT */
/* /proc/net: sockets and the interface, proc(5), in the columns that tools read. */
#include "procnet.h"

#include "inet.h"
#include "unix.h"

static void put_addr(struct seq *s, const struct inet_sock *is, const struct in6_addr *a, u16 port)
{
    if (is->sk.family == AF_INET)
        seq_printf(s, "%08X:%04X", a->w[3], port);
    else
        seq_printf(s, "%08X%08X%08X%08X:%04X", a->w[0], a->w[1], a->w[2], a->w[3], port);
}

struct table {
    struct seq *s;
    u16 family;
    u32 line;
};

static bool show_inet(void *arg, struct inet_sock *is)
{
    struct table *t = arg;
    const struct sock *sk = &is->sk;
    u64 waiting = sk->receive.bytes;

    if (sk->family != t->family)
        return true;
    seq_printf(t->s, "%4u: ", t->line++);
    put_addr(t->s, is, &is->saddr, is->sport);
    seq_printf(t->s, " ");
    put_addr(t->s, is, &is->daddr, is->dport);
    seq_printf(t->s, " %02X %08X:%08X 00:00000000 00000000 %5u %8d %llu %u %016lx 0\n",
               is->table == TABLE_TCP ? tcp_state(is)
               : is->dport            ? TCP_ESTABLISHED
                                      : TCP_CLOSE,
               0u, (u32)waiting, 0u, 0, (unsigned long long)(sk->file ? sk->file->inode->ino : 0), sk->refs, 0ul);
    return true;
}

static int show_table(struct seq *s, enum inet_table table, u16 family)
{
    struct table t = {s, family, 0};

    seq_printf(s, family == AF_INET
                      ? "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"
                        "  timeout inode\n"
                      : "  sl  local_address                         remote_address"
                        "                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
                        " inode\n");
    inet_for_each(table, show_inet, &t);
    return 0;
}

static int tcp_show(struct seq *s, const struct pseudo_ref *ref) { return show_table(s, TABLE_TCP, AF_INET); }
static int tcp6_show(struct seq *s, const struct pseudo_ref *ref) { return show_table(s, TABLE_TCP, AF_INET6); }
static int udp_show(struct seq *s, const struct pseudo_ref *ref) { return show_table(s, TABLE_UDP, AF_INET); }
static int udp6_show(struct seq *s, const struct pseudo_ref *ref) { return show_table(s, TABLE_UDP, AF_INET6); }

static int unix_show(struct seq *s, const struct pseudo_ref *ref)
{
    struct unix_sock *u;

    seq_printf(s, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    list_for_each_entry (u, &unix_list, all) {
        const struct sock *sk = &u->sk;

        seq_printf(s, "%016lx: %08X %08X %08X %04X %02X %5llu", 0ul, sk->refs, 0u, sk->listening ? 0x10000u : 0u,
                   sk->type, sk->connected ? 3 : 1, (unsigned long long)(sk->file ? sk->file->inode->ino : 0));
        if (u->addr && u->addr->len > sizeof(u16)) {
            u32 n = u->addr->len - (u32)sizeof(u16);
            bool abstract = !u->addr->un.path[0];

            seq_printf(s, " ");
            for (u32 i = 0; i < n; i++) {
                char c = u->addr->un.path[i];

                if (!c && !abstract)
                    break;
                seq_printf(s, "%c", c ? c : '@');
            }
        }
        seq_printf(s, "\n");
    }
    return 0;
}

static int dev_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(
        s, "Inter-|   Receive                                                |  Transmit\n"
           " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls "
           "carrier compressed\n");
    seq_printf(
        s, "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0 "
           "      0          0\n");
    return 0;
}

static int route_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n");
    return 0;
}

static int if_inet6_show(struct seq *s, const struct pseudo_ref *ref)
{
    seq_printf(s, "00000000000000000000000000000001 %02x 80 10 80       lo\n", LOOPBACK_IFINDEX);
    return 0;
}

#define ENTRY(n)                                             \
    {                                                        \
        .name = #n, .mode = S_IFREG | 0444, .show = n##_show \
    }
const struct pseudo_entry procnet_table[] = {
    ENTRY(dev), ENTRY(if_inet6), ENTRY(route), ENTRY(tcp),     ENTRY(tcp6),
    ENTRY(udp), ENTRY(udp6),     ENTRY(unix),  {.name = NULL},
};
