/* SPDX-License-Identifier: MIT */
/* The big kernel lock: a futex (0 free, 1 held, 2 held and wanted), after Drepper, "Futexes Are Tricky". */
#include "process.h"

static u32 lock_word;

void kernel_lock(void)
{
    u32 seen = 0;
    if (__atomic_compare_exchange_n(&lock_word, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    /* Held for a few hundred nanoseconds as a rule: look a while before going to sleep. */
    for (int i = 0; i < 100; i++) {
        seen = 0;
        if (__atomic_load_n(&lock_word, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(&lock_word, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        __builtin_ia32_pause();
    }
    while (__atomic_exchange_n(&lock_word, 2, __ATOMIC_ACQUIRE) != 0)
        host_syscall(HOST_futex, (u64)&lock_word, HOST_FUTEX_WAIT, 2, 0, 0, 0);
}

void kernel_unlock(void)
{
    if (__atomic_exchange_n(&lock_word, 0, __ATOMIC_RELEASE) == 2)
        host_syscall(HOST_futex, (u64)&lock_word, HOST_FUTEX_WAKE, 1, 0, 0, 0);
}
