/* SPDX-License-Identifier: MIT */
/* Calling the kernel's system calls from a test of its core. To be included after libc's headers. */
#ifndef CALLS_H
#define CALLS_H

/* What poll.h of libc and fs.h of the kernel both have means the same in both. */
#undef POLLIN
#undef POLLPRI
#undef POLLOUT
#undef POLLERR
#undef POLLHUP
#undef POLLNVAL
#undef POLLRDNORM
#undef POLLWRNORM
#undef POLLRDHUP
#include "fake_machine.h"

#define CALL(name) s64 sys_##name(u64, u64, u64, u64, u64, u64)
#define sys(name, ...) sys_args(sys_##name, (u64[6]){__VA_ARGS__})
#define P(ptr) (u64)(uintptr_t)(ptr)

static inline s64 sys_args(s64 (*fn)(u64, u64, u64, u64, u64, u64), const u64 a[6])
{
    return fn(a[0], a[1], a[2], a[3], a[4], a[5]);
}

#endif
