/* SPDX-License-Identifier: MIT */
/*
 * sys.stdin, sys.stdout and sys.stderr of a start.
 *
 * The objects differ with what the descriptor is: line or block buffering, size of the buffer, whether
 * it can seek. Finding out and building them is some twenty system calls; so the three kinds that
 * nearly every start has (terminal, pipe, file at its beginning) are built before the snapshot and a
 * start takes its own for at most one call a descriptor.
 */
#ifndef THAW_PYTHON_STREAMS_H
#define THAW_PYTHON_STREAMS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "request.h"

/* Before the snapshot. Returns 0, or -1 with a Python exception. */
int streams_prepare(void);

/* After it: sets sys.std* and sys.__std*__. Returns 0, or -1 with a Python exception. */
int streams_renew(const struct request *r);

#endif
