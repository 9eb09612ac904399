/* SPDX-License-Identifier: MIT */
/*
 * Built-in module _contextvars. The types live in the interpreter's core, only this door to them is
 * missing from the static library; asyncio and decimal need it.
 */
#include "builtin_contextvars.h"

static PyObject *contextvars_copy_context(PyObject *module, PyObject *unused) { return PyContext_CopyCurrent(); }

static PyMethodDef contextvars_methods[] = {
    {"copy_context", contextvars_copy_context, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int contextvars_exec(PyObject *module)
{
    if (PyModule_AddType(module, &PyContext_Type) < 0 || PyModule_AddType(module, &PyContextVar_Type) < 0)
        return -1;
    return PyModule_AddType(module, &PyContextToken_Type);
}

static PyModuleDef_Slot contextvars_slots[] = {
    {Py_mod_exec, contextvars_exec},
    {0, NULL},
};

static struct PyModuleDef contextvars_module = {
    PyModuleDef_HEAD_INIT,        .m_name = "_contextvars",
    .m_doc = "Context Variables", .m_methods = contextvars_methods,
    .m_slots = contextvars_slots,
};

PyMODINIT_FUNC PyInit__contextvars(void) { return PyModuleDef_Init(&contextvars_module); }
