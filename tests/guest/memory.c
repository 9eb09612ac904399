/* SPDX-License-Identifier: MIT */
/* Touches memory without end; where mmap is refused, the stack is memory, too. */
#include <sys/mman.h>

static volatile int on = 1;

static int deep(void)
{
    volatile char more[1 << 16];

    for (int i = 0; i < (int)sizeof more; i += 4096)
        more[i] = 1;
    return on ? deep() + more[5] : 0;
}

int main(void)
{
    for (;;) {
        char *p = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            return deep();
        for (long i = 0; i < 64 << 20; i += 4096)
            p[i] = 1;
    }
}
