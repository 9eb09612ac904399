/* SPDX-License-Identifier: MIT */
/*
 * Module _thaw: what the launcher does for the static Python, for a stock one. The interpreter is Debian's; stock.c has
 * it run "import _thaw; _thaw.run()" right after its start. run() warms up, asks for the snapshot, and in each start
 * applies the request and runs the program as if the interpreter had been started for it. It does not return.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ending.h"
#include "program.h"
#include "renew.h"
#include "request.h"
#include "stash.h"
#include "streams.h"
#include "thaw_snapshot.h"

#define AGENT_DIR "/usr/lib/thaw"
#define PYTHON "/usr/bin/python3"

/* Containers made between ending_prepare() and the program, as gc.get_count() shows. */
#define START_ADDS 44

/* An exception where none can be handled: the start fails. */
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

/* THAW_WARM: code whose imports and hooks shall be in the snapshot. */
static void agent_warm(void)
{
    const char *code = getenv("THAW_WARM");
    if (code == NULL || *code == '\0')
        return;
    PyObject *globals = Py_BuildValue("{ss}", "__name__", "__thaw_warm__");
    PyObject *result = globals != NULL ? PyRun_String(code, Py_file_input, globals, globals) : NULL;
    if (result == NULL)
        agent_fail("the warm code failed; no snapshot is made");
    Py_DECREF(result);
    Py_DECREF(globals);
}

/* Options and variables that only a new interpreter can apply, and prompts: become one. */
static _Noreturn void agent_restart(const struct request *r)
{
    if (r->script != NULL && r->argc > 1 && r->argv[1][0] != '-' && access(r->argv[1], F_OK) != 0)
        r->argv[1] = (char *)r->script;
    execve(PYTHON, r->argv, r->env);
    fprintf(stderr, "thaw: python: cannot start it anew (%s): %s\n", PYTHON, strerror(errno));
    fflush(stderr);
    _exit(1);
}

/* So that a run's new objects lie side by side in pools of their own: see launcher.c. */
static void agent_settle_heap(void)
{
    for (size_t size = 16; size <= 512; size += 16)
        for (int i = 0; i < 20000; i++) {
            void *p = PyObject_Malloc(size);
            if (p == NULL || ((uintptr_t)p & 0x3fff) == 48)
                break;
        }
}

/* The words behind the agent's own: natively started so. */
static char **agent_words(int *argc)
{
    PyObject *argv = PySys_GetObject("argv");
    Py_ssize_t n = argv != NULL && PyList_Check(argv) ? PyList_GET_SIZE(argv) : 1;
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
    *argc = (int)n;
    return words;
}

static PyObject *agent_run(PyObject *self, PyObject *unused)
{
    struct request request;
    struct program program;
    int args, argc;
    char **argv = agent_words(&argc);
    char **env = environ;

    mallopt(M_TOP_PAD, 512 << 10);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    if (agent_hide() < 0 || ending_begin() < 0)
        agent_fail("cannot prepare a snapshot");
    agent_warm();
    if (program_prepare() < 0 || streams_prepare() < 0 || renew_prepare() < 0)
        agent_fail("cannot prepare a snapshot");
    PyObject *stash = stash_fill();
    if (stash == NULL)
        agent_fail("cannot import the standard library");
    while (PyGC_Collect() > 0)
        ;
    if (ending_prepare(stash, START_ADDS) < 0)
        agent_fail("cannot prepare a snapshot");
    agent_settle_heap();
    int fd = request_open();

    /* 0, 1 or an error: either way what to run is read next, and the same is done with it. */
    if (fd >= 0)
        thaw_snapshot();

    if (request_read(&request, fd, argc, argv, env) < 0)
        _exit(1);
    if (renew_needs_cold(&request))
        agent_restart(&request);
    if (program_parse(&program, &request, &args) < 0)
        agent_fail("cannot read the command line");
    if (program.kind == PROGRAM_ODD || program.kind == PROGRAM_PROMPT)
        agent_restart(&request);
    PyObject *first = program_argv0(&program, args);
    if (first == NULL || renew_apply(&request, first, args) < 0 || streams_renew(&request) < 0 || renew_hooks() < 0)
        agent_fail("cannot renew the interpreter's state; the start does not go on with a stale one");
    Py_DECREF(first);
    ending_run(program_run(&program));
}

static PyMethodDef agent_methods[] = {
    {"run", agent_run, METH_NOARGS, "Takes the snapshot and runs what a start asks for. Does not return."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef agent_module = {PyModuleDef_HEAD_INIT, .m_name = "_thaw", .m_size = -1, .m_methods = agent_methods};

PyMODINIT_FUNC PyInit__thaw(void) { return PyModule_Create(&agent_module); }
