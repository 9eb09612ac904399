/* SPDX-License-Identifier: MIT */
/*
 * Names that every run looks up, made ahead: a lookup by a C string would make the string anew, and interning it
 * searches a table all over memory that nothing else of a short run touches.
 */
#ifndef THAW_PYTHON_NAMES_H
#define THAW_PYTHON_NAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* clang-format off */
#define NAMES(X) \
    X(argv) X(orig_argv) X(path) X(path_importer_cache) X(stdin) X(stdout) X(stderr) X(__stdin__) X(__stdout__) \
    X(__stderr__) X(__interactivehook__) X(__main__) X(__file__) X(__cached__) X(__loader__) X(buffer) X(raw) \
    X(closed) X(flush) X(threading)
/* clang-format on */

enum name {
#define X(n) NAME_##n,
    NAMES(X)
#undef X
        NAME_COUNT
};

/* Makes those that CPython itself looks up in every run. Early, so that they lie with the interpreter's own objects. Returns
 * 0, or -1 with an exception. */
int names_begin(void);

/* Makes ours. Returns 0, or -1 with an exception. */
int names_prepare(void);
/* For a snapshot: has made what a first call of some functions makes for later ones. The same. */
int names_warm(void);
PyObject *name_get(enum name name);                /* the str, borrowed */
PyObject *name_sys(enum name name);                /* attribute of sys, borrowed, or NULL without an exception */
int name_sys_set(enum name name, PyObject *value); /* 0, or -1 with an exception */

#endif
