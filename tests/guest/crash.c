/* SPDX-License-Identifier: MIT */
/* Dies in the way its word says. */
#include <string.h>

static volatile int depth = 1;

static int deep(volatile char *p)
{
    volatile char big[65536];
    big[0] = *p;
    return depth ? deep(big) + big[1] : 0;
}

int main(int argc, char **argv)
{
    volatile int hundred = 100, zero = 0;
    volatile char *volatile nowhere = (char *)16;

    if (argc < 2)
        return 1;
    if (!strcmp(argv[1], "segv"))
        *nowhere = 1;
    if (!strcmp(argv[1], "ill"))
        __asm__ volatile("ud2");
    if (!strcmp(argv[1], "fpe"))
        return hundred / zero;
    if (!strcmp(argv[1], "trap"))
        __asm__ volatile("int3");
    if (!strcmp(argv[1], "stack"))
        return deep(argv[1]);
    return 0;
}
