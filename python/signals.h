/* SPDX-License-Identifier: MIT */
/* What signals do when the interpreter starts, asked of the kernel once instead of for each. */
#ifndef THAW_PYTHON_SIGNALS_H
#define THAW_PYTHON_SIGNALS_H

/*
 * The same as PyOS_getsig() of pylifecycle.h, for signals 1, 2, 3 ... in turn: signal 1 has the kernel asked anew, by
 * /proc/self/status, where a system call is dear; outside of Thaw each is asked about by itself.
 */
void (*signals_get(int signum))(int);

#endif
