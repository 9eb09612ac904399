/* SPDX-License-Identifier: MIT */
/* Unknown system calls, with any arguments, return -ENOSYS or another error; none harms the kernel. */
#define _GNU_SOURCE
#include "guest.h"

#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    FAILS(syscall(9999), ENOSYS);
    FAILS(syscall(-1), ENOSYS);
    FAILS(syscall(0x40000000 + SYS_getpid), ENOSYS); /* x32 */
    FAILS(syscall(1000000000l), ENOSYS);
    FAILS(syscall(SYS_bpf, 0, 0, 0), ENOSYS);
    FAILS(syscall(SYS_kexec_load, 0, 0, 0, 0), ENOSYS);
    return success();
}
