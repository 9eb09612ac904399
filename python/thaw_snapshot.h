/* SPDX-License-Identifier: MIT */
/*
 * Ask for a snapshot of this process and everything in its sandbox.
 *
 * Self-contained: a port of any program to Thaw takes this header and thaw_snapshot.S. The helper
 * stands in an assembly file of its own so that link-time optimisation cannot drop or move it.
 */
#ifndef THAW_SNAPSHOT_H
#define THAW_SNAPSHOT_H

/*
 * Returns
 *   0        the snapshot was taken; the sandbox that asked for it goes on;
 *   1        this sandbox was started from the snapshot: argv, environment, stdin and so on are
 *            another start's now, and read(2) of /dev/thaw says what they are;
 *   -ENOSYS  there is no Thaw here (on plain Linux the number is the unused i386 ftime), or no
 *            snapshot is wanted: go on as if nothing had been asked;
 *   -errno   the snapshot failed; nothing has changed.
 *
 * A Linux kernel without the i386 gate (CONFIG_IA32_EMULATION off, or ia32_emulation=0) answers
 * int $0x80 with SIGSEGV. A program that must run there too asks first whether /dev/thaw exists.
 */
#ifdef __cplusplus
extern "C"
#endif
    int
    thaw_snapshot(void);

#endif
