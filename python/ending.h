/* SPDX-License-Identifier: MIT */
/*
 * Ending like Python without the price of it.
 *
 * Py_FinalizeEx() takes the whole interpreter apart and so writes to nearly every page that the
 * snapshot brought. A user can see only part of that work: threads joined, atexit callbacks, streams
 * flushed, finalizers of what the run made. So we let Py_FinalizeEx() begin, which does all of it up
 * to the point where modules are destroyed, take over there, do the rest for what the run made, and
 * leave the process. README.md says what differs.
 */
#ifndef THAW_PYTHON_ENDING_H
#define THAW_PYTHON_ENDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "program.h"

/* As soon as the interpreter is ready. Returns 0, or -1 with a Python exception. */
int ending_begin(void);

/*
 * Right before the snapshot: what exists now belongs to the interpreter, what comes later to the run.
 * stash is a dict of modules that are not in sys.modules but belong to the interpreter as well;
 * start_adds is the number of containers a start makes before the program. Returns 0, or -1 with a
 * Python exception.
 */
int ending_prepare(PyObject *stash, int start_adds);

/* Finalises and leaves the process. */
_Noreturn void ending_run(struct program_end end);

#endif
