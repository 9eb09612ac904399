/* SPDX-License-Identifier: MIT */
/* Library modules imported ahead of the snapshot, out of the program's sight until it imports them. */
#ifndef THAW_PYTHON_STASH_H
#define THAW_PYTHON_STASH_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/*
 * Imports them and puts itself in the way of imports to come. Returns a new reference to a dict of all
 * of them by name, or NULL with a Python exception.
 */
PyObject *stash_fill(void);

#endif
