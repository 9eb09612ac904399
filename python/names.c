/* SPDX-License-Identifier: MIT */
#include "names.h"

static PyObject *names[NAME_COUNT];
static PyObject *names_sys; /* sys.__dict__, borrowed */

int names_begin(void)
{
    /* What Py_FinalizeEx() drops from sys; a name that is new would be written into the table. They stay,
     * and are made before the library's own names are: every run writes to their reference counts. */
    static const char *const finalize[] = {"ps1",        "ps2",       "last_type", "last_value", "last_traceback",
                                           "path_hooks", "meta_path", "_"};

    for (size_t i = 0; i < sizeof finalize / sizeof finalize[0]; i++)
        if (PyUnicode_InternFromString(finalize[i]) == NULL)
            return -1;
    return 0;
}

int names_prepare(void)
{
    static const char *const own[NAME_COUNT] = {
#define X(n) [NAME_##n] = #n,
        NAMES(X)
#undef X
    };
    PyObject *sys = PyImport_AddModule("sys");

    if (sys == NULL)
        return -1;
    names_sys = PyModule_GetDict(sys);
    for (int i = 0; i < NAME_COUNT; i++)
        if ((names[i] = PyUnicode_InternFromString(own[i])) == NULL)
            return -1;
    return 0;
}

int names_warm(void)
{
    static const char code[] = "import _io\nprint('', sep='', end='', file=_io.StringIO(), flush=False)\n";
    PyObject *globals = PyDict_New();
    PyObject *result = globals != NULL ? PyRun_String(code, Py_file_input, globals, globals) : NULL;

    Py_XDECREF(result);
    Py_XDECREF(globals);
    return result != NULL ? 0 : -1;
}

PyObject *name_get(enum name name) { return names[name]; }

PyObject *name_sys(enum name name)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *o = PyDict_GetItemWithError(names_sys, names[name]);
    PyErr_Restore(type, value, trace);
    return o;
}

int name_sys_set(enum name name, PyObject *value) { return PyDict_SetItem(names_sys, names[name], value); }
