/* SPDX-License-Identifier: MIT */
/* Notes what its processor says of itself, takes its own snapshot, and in each start says what has changed since. */
#include "guest.h"

#include "thaw_abi.h"

#include <cpuid.h>
#include <stdio.h>

struct leaf {
    unsigned function, index, reg[4];
};

static unsigned look(struct leaf *leaves, unsigned max)
{
    static const unsigned basic[] = {0, 1, 2, 4, 6, 7, 0xa, 0xb, 0xd, 0x14, 0x1f, 0x40000000, 0x40000001};
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof basic / sizeof *basic; i++)
        for (unsigned index = 0; index < (basic[i] == 7 || basic[i] == 0xd ? 4 : 1) && n < max; index++)
            leaves[n++] = (struct leaf){basic[i], index, {0}};
    for (unsigned function = 0x80000000; function <= 0x80000022 && n < max; function++)
        leaves[n++] = (struct leaf){function, 0, {0}};
    for (unsigned i = 0; i < n; i++)
        __cpuid_count(leaves[i].function, leaves[i].index, leaves[i].reg[0], leaves[i].reg[1], leaves[i].reg[2],
                      leaves[i].reg[3]);
    return n;
}

int main(void)
{
    static struct leaf before[128], now[128];
    unsigned n = look(before, 128), differ = 0;
    long ret = THAW_SNAPSHOT_NR;

    __asm__ volatile("int $0x80" : "+a"(ret)::"memory", "r8", "r9", "r10", "r11");
    CHECK((int)ret == THAW_SNAPSHOT_TAKEN || (int)ret == THAW_SNAPSHOT_RESTORED);
    look(now, 128);
    for (unsigned i = 0; i < n; i++)
        for (unsigned r = 0; r < 4; r++)
            if (before[i].reg[r] != now[i].reg[r]) {
                printf("leaf %x.%u e%cx changed by %x\n", before[i].function, before[i].index, "abcd"[r],
                       before[i].reg[r] ^ now[i].reg[r]);
                differ++;
            }
    return differ ? 1 : success();
}
