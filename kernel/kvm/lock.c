/* SPDX-License-Identifier: MIT */
/*
 * The big kernel lock. It goes along when a processor changes to another thread, and with that other processors' use of
 * memory ends: who takes it has none of what was unmapped in its TLB. First come is not first served: where the host has
 * fewer processors, each change of hands would have to wait for it to let the next one run.
 */
#include "kvm.h"

static u32 lock_word;

void kernel_lock(void)
{
    struct cpu *c = this_cpu();

    for (u32 n = 1;
         __atomic_load_n(&lock_word, __ATOMIC_RELAXED) || __atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE); n++)
        cpu_relax(n);
    if (c->flush) {
        c->flush = false;
        flush_global();
    }
}

void kernel_unlock(void) { __atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE); }

void lock_reset(void) { lock_word = 1; }
