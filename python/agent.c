/* SPDX-License-Identifier: MIT */
/*
 * Module _thaw: takes the steps of start.h in a stock interpreter. stock.c has Debian's Python run "import _thaw;
 * _thaw.run()" right after its start. run() warms up, asks for the snapshot, and in each start applies the request and
 * runs the program as if the interpreter had been started for it. It does not return.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "start.h"
#include "thaw_snapshot.h"

#define AGENT_DIR "/usr/lib/thaw"

static _Noreturn void agent_fail(const char *what)
{
    if (PyErr_Occurred())
        PyErr_Print();
    fprintf(stderr, "thaw: python: %s\n", what);
    fflush(stderr);
    _exit(1);
}

/* A __main__ as the interpreter makes one. The first one's globals are held by the frame that called us. */
static int agent_new_main(PyObject *modules)
{
    PyObject *main = PyModule_New("__main__"), *annotations = PyDict_New();
    PyObject *loader = PyImport_ImportModule("_frozen_importlib");
    PyObject *builtins = PyImport_ImportModule("builtins");
    int ret = -1;

    if (loader)
        Py_SETREF(loader, PyObject_GetAttrString(loader, "BuiltinImporter"));
    if (main && annotations && loader && builtins) {
        PyObject *dict = PyModule_GetDict(main);
        if (PyDict_SetItemString(dict, "__annotations__", annotations) == 0 &&
            PyDict_SetItemString(dict, "__builtins__", builtins) == 0 &&
            PyDict_SetItemString(dict, "__loader__", loader) == 0)
            ret = PyDict_SetItemString(modules, "__main__", main);
    }
    Py_XDECREF(builtins);
    Py_XDECREF(loader);
    Py_XDECREF(annotations);
    Py_XDECREF(main);
    return ret;
}

/*
 * The program is to find no trace of the code that brought us here: not in __main__, sys.path or sys.modules, and no
 * frame of it below its own. As we never return, the frame can be forgotten.
 */
static int agent_hide(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *path = PySys_GetObject("path"), *cache = PySys_GetObject("path_importer_cache");
    PyThreadState *ts = PyThreadState_Get();

    if (!path || !PyList_Check(path) || !cache || agent_new_main(modules) < 0)
        return -1;
    if (PyDict_DelItemString(modules, "_thaw") < 0 || PyDict_DelItemString(cache, AGENT_DIR) < 0)
        return -1;
    /* First "", which -c brings, last ours. */
    Py_ssize_t n = PyList_GET_SIZE(path);
    if (PyList_SetSlice(path, n - 1, n, NULL) < 0 || PyList_SetSlice(path, 0, 1, NULL) < 0)
        return -1;
    ts->cframe->current_frame = NULL;
    ts->recursion_remaining = ts->recursion_limit;
    return 0;
}

/* "python3" and what sys.argv has behind its first entry. */
static char **agent_words(Py_ssize_t *argc)
{
    PyObject *argv = PySys_GetObject("argv");
    Py_ssize_t n = argv != NULL && PyList_Check(argv) && PyList_GET_SIZE(argv) > 0 ? PyList_GET_SIZE(argv) : 1;
    char **words = calloc((size_t)n + 1, sizeof *words);
    if (words == NULL)
        agent_fail("no memory");
    words[0] = "python3";
    for (Py_ssize_t i = 1; i < n; i++) {
        PyObject *bytes = PyUnicode_EncodeFSDefault(PyList_GET_ITEM(argv, i));
        if (bytes == NULL || (words[i] = strdup(PyBytes_AS_STRING(bytes))) == NULL)
            agent_fail("cannot read the words");
        Py_DECREF(bytes);
    }
    *argc = n;
    return words;
}

static PyObject *agent_run(PyObject *self, PyObject *unused)
{
    Py_ssize_t argc;
    char **argv = agent_words(&argc);

    thaw_start_begin(argc, argv);
    if (agent_hide() < 0)
        agent_fail("cannot prepare a snapshot");
    if (thaw_start_prepare())
        thaw_start_check(thaw_snapshot());
    thaw_start_run();

    /* A prompt: this interpreter's configuration says that it runs our code, so another one has to give it. */
    char *python[] = {"python3", NULL};
    execv("/proc/self/exe", python);
    agent_fail(strerror(errno));
}

static PyMethodDef agent_methods[] = {
    {"run", agent_run, METH_NOARGS, "Takes the snapshot and runs what a start asks for. Does not return."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef agent_module = {PyModuleDef_HEAD_INIT, .m_name = "_thaw", .m_size = -1,
                                          .m_methods = agent_methods};

PyMODINIT_FUNC PyInit__thaw(void) { return PyModule_Create(&agent_module); }
