/* SPDX-License-Identifier: MIT */
/* The one network interface there is, the loopback's, as ioctl(2) shows it: netdevice(7). */
#include "socket.h"

#define SIOCGIFNAME 0x8910u
#define SIOCGIFCONF 0x8912u
#define SIOCGIFFLAGS 0x8913u
#define SIOCSIFFLAGS 0x8914u
#define SIOCGIFADDR 0x8915u
#define SIOCGIFDSTADDR 0x8917u
#define SIOCGIFBRDADDR 0x8919u
#define SIOCGIFNETMASK 0x891bu
#define SIOCGIFMETRIC 0x891du
#define SIOCGIFMTU 0x8921u
#define SIOCGIFHWADDR 0x8927u
#define SIOCGIFINDEX 0x8933u
#define SIOCGIFTXQLEN 0x8942u
#define SIOCGIFMAP 0x8970u
#define SIOCADDRT 0x890bu

#define IFF_UP_LOOPBACK_RUNNING 0x49
#define ARPHRD_LOOPBACK 772
#define TXQLEN 1000

struct ifreq {
    char name[16];
    union {
        struct sockaddr_in addr;
        s16 flags;
        s32 value;
        u8 fill[24];
    };
};
_Static_assert(sizeof(struct ifreq) == 40, "the ABI's");

static void lo_addr(struct ifreq *r, u32 addr)
{
    r->addr = (struct sockaddr_in){.family = AF_INET, .addr = htonl(addr)};
}

static long lo_conf(u64 arg)
{
    struct {
        s32 len, pad;
        u64 buf;
    } conf;
    struct ifreq r = {.name = "lo"};

    if (copy_from_user(&conf, (const void __user *)arg, sizeof(conf)))
        return -EFAULT;
    lo_addr(&r, 0x7f000001);
    if (!conf.buf) {
        conf.len = sizeof(r);
    } else if (conf.len < (s32)sizeof(r)) {
        conf.len = 0;
    } else {
        conf.len = sizeof(r);
        if (copy_to_user((void __user *)conf.buf, &r, sizeof(r)))
            return -EFAULT;
    }
    return copy_to_user((void __user *)arg, &conf, sizeof(conf));
}

long netdev_ioctl(u32 cmd, u64 arg)
{
    struct ifreq r;

    if (cmd == SIOCGIFCONF)
        return lo_conf(arg);
    if (cmd < SIOCADDRT || cmd > SIOCGIFMAP)
        return -ENOTTY;
    if (copy_from_user(&r, (const void __user *)arg, sizeof(r)))
        return -EFAULT;
    if (cmd == SIOCGIFNAME) {
        if (r.value != LOOPBACK_IFINDEX)
            return -ENODEV;
        strlcpy(r.name, "lo", sizeof(r.name));
        return copy_to_user((void __user *)arg, &r, sizeof(r));
    }
    r.name[sizeof(r.name) - 1] = 0;
    if (strcmp(r.name, "lo"))
        return -ENODEV;
    memset(r.fill, 0, sizeof(r.fill));
    switch (cmd) {
    case SIOCGIFFLAGS: r.flags = IFF_UP_LOOPBACK_RUNNING; break;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR: lo_addr(&r, 0x7f000001); break;
    case SIOCGIFBRDADDR: lo_addr(&r, 0); break;
    case SIOCGIFNETMASK: lo_addr(&r, 0xff000000); break;
    case SIOCGIFMTU: r.value = LOOPBACK_MTU; break;
    case SIOCGIFHWADDR: r.addr.family = ARPHRD_LOOPBACK; break;
    case SIOCGIFINDEX: r.value = LOOPBACK_IFINDEX; break;
    case SIOCGIFTXQLEN: r.value = TXQLEN; break;
    case SIOCGIFMETRIC:
    case SIOCGIFMAP: break;
    default: return cmd == SIOCSIFFLAGS ? -EPERM : -ENOTTY;
    }
    return copy_to_user((void __user *)arg, &r, sizeof(r));
}
