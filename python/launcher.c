/* SPDX-License-Identifier: MIT */
/* Python for Thaw's images, made of a library that somebody else has built. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>

#include "builtin_contextvars.h"
#include "builtin_json.h"
#include "start.h"
#include "thaw_snapshot.h"

static void launcher_check(PyStatus status)
{
    if (PyStatus_IsExit(status))
        exit(status.exitcode); /* --help and the like */
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

int main(int argc, char **argv)
{
    PyConfig config;
    PyImport_AppendInittab("_contextvars", PyInit__contextvars);
    PyImport_AppendInittab("_json", PyInit__json);
    Py_ssize_t words = thaw_start_begin(argc, argv);
    PyConfig_InitPythonConfig(&config);
    launcher_check(PyConfig_SetBytesArgv(&config, words, argv));
    launcher_check(thaw_start_configure(&config));
    launcher_check(Py_InitializeFromConfig(&config));
    if (thaw_start_prepare())
        thaw_start_check(thaw_snapshot());
    thaw_start_run();
    PyConfig_Clear(&config);
    return Py_RunMain();
}
