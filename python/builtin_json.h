/* SPDX-License-Identifier: MIT */
#ifndef THAW_PYTHON_BUILTIN_JSON_H
#define THAW_PYTHON_BUILTIN_JSON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* For PyImport_AppendInittab(). */
PyMODINIT_FUNC PyInit__json(void);

#endif
