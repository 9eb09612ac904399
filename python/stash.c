/* SPDX-License-Identifier: MIT */
#include "stash.h"

extern const char stash_code[]; /* stash.py, NUL-terminated: stash_code.S */

PyObject *stash_fill(void)
{
    /* importlib's own name: frames of that file are left out of a program's tracebacks. */
    PyObject *code = Py_CompileString(stash_code, "<frozen importlib._bootstrap>", Py_file_input);
    PyObject *globals = Py_BuildValue("{ss}", "__name__", "_frozen_importlib");
    PyObject *result = NULL, *known = NULL;
    if (code != NULL && globals != NULL)
        result = PyEval_EvalCode(code, globals, globals);
    if (result != NULL)
        known = Py_XNewRef(PyDict_GetItemString(globals, "known"));
    if (result != NULL && known == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the stash lost its modules");
    Py_XDECREF(result);
    Py_XDECREF(globals);
    Py_XDECREF(code);
    return known;
}
