/* SPDX-License-Identifier: MIT */
/*
 * Makes the interpreter of a snapshot into one that was started with a given request: environment,
 * sys.argv, options, random state, and the program's own hooks.
 */
#ifndef THAW_PYTHON_RENEW_H
#define THAW_PYTHON_RENEW_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "request.h"

/* Before the snapshot: runs the hooks that warm code registered, notes what will need a new seed. */
int renew_prepare(void);

/* Does the request ask for something the interpreter fixes when it starts? */
bool renew_needs_cold(const struct request *r);

/*
 * After the snapshot. args is the index of the first of the program's own words, first the str that
 * becomes sys.argv[0]. Returns 0, or -1 with a Python exception: the start must not go on.
 */
int renew_apply(const struct request *r, PyObject *first, int args);

/* Last, once streams and all are the new start's: the hooks. */
int renew_hooks(void);

#endif
