/* SPDX-License-Identifier: MIT */
#ifndef THAW_PYTHON_BUILTIN_CONTEXTVARS_H
#define THAW_PYTHON_BUILTIN_CONTEXTVARS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* For PyImport_AppendInittab(). */
PyMODINIT_FUNC PyInit__contextvars(void);

#endif
