/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ending.h"

#include "names.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* A module older than the snapshot, and what was in it. */
struct ending_module {
    PyObject *module;
    PyObject *contents; /* dict: a copy of its globals */
    uint64_t version;   /* of the globals: changes with every change to them */
};

static struct {
    struct program_end end;
    struct ending_module *old; /* in the order of sys.modules; without __main__, builtins and sys */
    size_t old_count;
    struct ending_module sys;
    PyObject *known;    /* set: all modules at the snapshot, less __main__ */
    PyObject *builtins; /* dict: the builtins at the snapshot */
    bool gc_was_there;  /* in sys.modules, before we needed it */
    int gc_counts[3];   /* as they were when the interpreter was ready */
    PyObject *gc_get_objects, *gc_freeze, *gc_unfreeze, *gc_callbacks, *gc_garbage;
    PyTypeObject *text_type, *writer_type, *raw_type, *base_type;
} ending;

static PyTypeObject *ending_type(PyObject *module, const char *name)
{
    PyObject *type = PyObject_GetAttrString(module, name);
    if (type != NULL && !PyType_Check(type)) {
        PyErr_Format(PyExc_TypeError, "_io.%s is not a type", name);
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

/*
 * __main__ outlives the freeze only as a container of the run: it has to be in the collector's young
 * list, or a cycle through it (any function has one) could never be found.
 */
static void ending_thaw(PyObject *o)
{
    if (PyObject_GC_IsTracked(o)) {
        PyObject_GC_UnTrack(o);
        PyObject_GC_Track(o);
    }
}

static uint64_t ending_dict_version(PyObject *dict) { return ((PyDictObject *)dict)->ma_version_tag; }

static int ending_record(struct ending_module *m, PyObject *module)
{
    PyObject *dict = PyModule_GetDict(module);
    m->module = Py_NewRef(module);
    m->contents = PyDict_Copy(dict);
    m->version = ending_dict_version(dict);
    return m->contents != NULL ? 0 : -1;
}

/* Keeps every module alive and remembers what is in it. Returns 0, or -1 with an exception. */
static int ending_record_modules(PyObject *modules, PyObject *main)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(modules, &pos, &key, &value)) {
        if (value == main)
            continue;
        if (PySet_Add(ending.known, value) < 0)
            return -1;
        if (!PyModule_Check(value) || PyUnicode_CompareWithASCIIString(key, "builtins") == 0)
            continue;
        bool is_sys = PyUnicode_CompareWithASCIIString(key, "sys") == 0;
        if (ending_record(is_sys ? &ending.sys : &ending.old[ending.old_count++], value) < 0)
            return -1;
    }
    return 0;
}

/* Both what the program sees and what waits for it. */
static int ending_record_all(PyObject *modules, PyObject *stash, PyObject *main)
{
    ending.known = PySet_New(NULL);
    ending.old = calloc((size_t)PyDict_Size(modules) + (size_t)PyDict_Size(stash), sizeof *ending.old);
    if (ending.known == NULL || ending.old == NULL)
        return -1;
    if (ending_record_modules(modules, main) < 0 || ending_record_modules(stash, main) < 0)
        return -1;
    if (ending.sys.module == NULL)
        return -1;
    /* Containers that Py_FinalizeEx() has dropped by then; a copy must not keep them alive. */
    static const char *const dropped[] = {"path",      "argv",      "path_hooks",  "path_importer_cache",
                                          "meta_path", "orig_argv", "warnoptions", "modules"};
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        if (PyDict_DelItemString(ending.sys.contents, dropped[i]) < 0)
            return -1;
    return 0;
}

static int ending_get_counts(PyObject *gc, int counts[3])
{
    PyObject *tuple = PyObject_CallMethod(gc, "get_count", NULL);
    int ok = tuple != NULL && PyArg_ParseTuple(tuple, "iii", &counts[0], &counts[1], &counts[2]);
    Py_XDECREF(tuple);
    return ok ? 0 : -1;
}

/*
 * Freezing resets the collector's counters, and with them when it next runs by itself; that decides
 * in which order objects of several modules are finalised at the end. So they are wound forward again,
 * short of what a start adds: collections of empty generations, and containers that are counted but
 * never tracked nor freed.
 */
static int ending_set_counts(PyObject *gc, int start_adds)
{
    int now[3];
    for (int generation = 1; generation >= 0; generation--)
        for (int i = 0; i < ending.gc_counts[generation + 1]; i++) {
            PyObject *n = PyObject_CallMethod(gc, "collect", "i", generation);
            if (n == NULL)
                return -1;
            Py_DECREF(n);
        }
    while (ending_get_counts(gc, now) == 0 && now[0] < ending.gc_counts[0] - start_adds) {
        PyObject *tuple = PyTuple_New(1);
        if (tuple == NULL)
            return -1;
        PyObject_GC_UnTrack(tuple);
    }
    return PyErr_Occurred() ? -1 : 0;
}

int ending_begin(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    ending.gc_was_there = PyDict_GetItemString(modules, "gc") != NULL;
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc != NULL && !ending.gc_was_there && PyDict_DelItemString(modules, "gc") < 0)
        return -1;
    int ret = gc != NULL ? ending_get_counts(gc, ending.gc_counts) : -1;
    Py_XDECREF(gc);
    return ret;
}

int ending_prepare(PyObject *stash, int start_adds)
{
    PyObject *main = PyImport_AddModule("__main__");
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *io = PyImport_ImportModule("_io");
    if (main == NULL || modules == NULL || gc == NULL || io == NULL)
        return -1;
    ending.gc_get_objects = PyObject_GetAttrString(gc, "get_objects");
    ending.gc_freeze = PyObject_GetAttrString(gc, "freeze");
    ending.gc_unfreeze = PyObject_GetAttrString(gc, "unfreeze");
    ending.gc_callbacks = PyObject_GetAttrString(gc, "callbacks");
    ending.gc_garbage = PyObject_GetAttrString(gc, "garbage");
    ending.text_type = ending_type(io, "TextIOWrapper");
    ending.writer_type = ending_type(io, "BufferedWriter");
    ending.raw_type = ending_type(io, "FileIO");
    ending.base_type = ending_type(io, "_IOBase");
    Py_DECREF(io);
    if (PyErr_Occurred())
        return -1;
    /* A program that never imports gc must not find it imported. */
    if (!ending.gc_was_there && PyDict_DelItemString(modules, "gc") < 0)
        return -1;
    ending.builtins = PyDict_Copy(PyEval_GetBuiltins());
    if (ending.builtins == NULL || ending_record_all(modules, stash, main) < 0)
        return -1;
    PyObject *none = PyObject_CallNoArgs(ending.gc_freeze);
    if (none == NULL || ending_set_counts(gc, start_adds) < 0)
        return -1;
    Py_DECREF(none);
    Py_DECREF(gc);
    ending_thaw(PyModule_GetDict(main));
    ending_thaw(main);
    return 0;
}

/* ---- leaving ---- */

static _Noreturn void ending_leave(struct program_end end)
{
    fflush(NULL);
    if (end.interrupted) {
        /* So that a shell sees what happened, as CPython does. */
        PyOS_setsig(SIGINT, SIG_DFL);
        kill(getpid(), SIGINT);
        end.status = 128 + SIGINT;
    }
    _exit(end.status);
}

/* ---- standard streams ---- */

/* Is the stream of a kind whose flush() can be called twice without anybody noticing? */
static bool ending_stream_is_plain(PyObject *stream)
{
    if (stream == NULL || stream == Py_None)
        return true;
    if (Py_TYPE(stream) != ending.text_type)
        return false;
    PyObject *buffer = PyObject_GetAttr(stream, name_get(NAME_buffer));
    if (buffer == NULL) {
        PyErr_Clear();
        return false;
    }
    bool plain = Py_TYPE(buffer) == ending.writer_type || Py_TYPE(buffer) == ending.raw_type;
    Py_DECREF(buffer);
    return plain;
}

static bool ending_stream_is_closed(PyObject *stream)
{
    PyObject *closed = PyObject_GetAttr(stream, name_get(NAME_closed));
    int yes = closed != NULL ? PyObject_IsTrue(closed) : 0;
    Py_XDECREF(closed);
    PyErr_Clear();
    return yes > 0;
}

static int ending_stream_flush(enum name name)
{
    PyObject *stream = name_sys(name);
    if (stream == NULL || stream == Py_None || ending_stream_is_closed(stream))
        return 0;
    PyObject *result = PyObject_CallMethodNoArgs(stream, name_get(NAME_flush));
    if (result == NULL) {
        PyErr_Clear();
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* Layers of the three original streams; they are flushed by name and must not be closed early. */
static bool ending_is_standard(PyObject *o)
{
    static const enum name names[] = {NAME___stdin__, NAME___stdout__, NAME___stderr__};
    bool found = false;
    for (int i = 0; i < 3 && !found; i++) {
        PyObject *layer = Py_XNewRef(name_sys(names[i]));
        while (layer != NULL && !found) {
            found = layer == o;
            PyObject *next = Py_TYPE(layer) == ending.text_type  ? name_get(NAME_buffer)
                             : Py_TYPE(layer) != ending.raw_type ? name_get(NAME_raw)
                                                                 : NULL;
            PyObject *inner = next != NULL ? PyObject_GetAttr(layer, next) : NULL;
            Py_SETREF(layer, inner);
            PyErr_Clear();
        }
        Py_XDECREF(layer);
    }
    return found;
}

/* ---- is there anything to finalise? ---- */

/*
 * Callbacks of the weak sets and dictionaries of the standard library, of which an import alone makes
 * many; they only tidy up the container.
 */
static bool ending_callback_is_tidying(PyObject *callback)
{
    if (PyCFunction_Check(callback)) { /* abc's registries bind theirs to a weak reference */
        PyObject *self = PyCFunction_GetSelf(callback);
        return self != NULL && PyWeakref_Check(self);
    }
    if (!PyFunction_Check(callback))
        return false;
    PyObject *name = PyDict_GetItemString(PyFunction_GetGlobals(callback), "__name__");
    return name != NULL && PyUnicode_Check(name) &&
           (PyUnicode_CompareWithASCIIString(name, "weakref") == 0 ||
            PyUnicode_CompareWithASCIIString(name, "_weakrefset") == 0);
}

/* Would taking this object apart show outside? */
static bool ending_object_matters(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    if (type->tp_finalize != NULL)
        return !ending_is_standard(o);
    if (PyWeakref_Check(o)) {
        PyObject *callback = ((PyWeakReference *)o)->wr_callback;
        return callback != NULL && !ending_callback_is_tidying(callback);
    }
    return false;
}

/* All containers that the run made and that still live; NULL (no exception) when that fails. */
static PyObject *ending_objects(void)
{
    PyObject *list = PyObject_CallNoArgs(ending.gc_get_objects);
    if (list == NULL)
        PyErr_Clear();
    return list;
}

static bool ending_is_quiet(PyObject *list)
{
    PyObject *key, *value;
    bool quiet = true;
    for (Py_ssize_t i = 0; quiet && i < PyList_GET_SIZE(list); i++)
        quiet = !ending_object_matters(PyList_GET_ITEM(list, i));
    /* Instances without a dictionary and slots are no containers; look at the obvious place. */
    PyObject *main = PyDict_GetItem(PyImport_GetModuleDict(), name_get(NAME___main__));
    Py_ssize_t pos = 0;
    if (main != NULL && PyModule_Check(main))
        while (quiet && PyDict_Next(PyModule_GetDict(main), &pos, &key, &value))
            quiet = PyObject_IS_GC(value) || !ending_object_matters(value);
    return quiet;
}

/*
 * Garbage that cannot be collected: there is some, or there may be, for a type has a finalizer of before PEP 442. The
 * interpreter warns of it in the middle of taking itself apart.
 */
static bool ending_has_garbage(PyObject *list)
{
    bool found = PyList_Check(ending.gc_garbage) && PyList_GET_SIZE(ending.gc_garbage) > 0;
    for (Py_ssize_t i = 0; !found && i < PyList_GET_SIZE(list); i++)
        found = Py_TYPE(PyList_GET_ITEM(list, i))->tp_del != NULL;
    return found;
}

/* ---- taking apart what the run made: the order is that of CPython's finalize_modules() ---- */

static void ending_unraisable(void)
{
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(NULL);
}

/* A module's globals, those with one leading underscore first, become None. */
static void ending_module_clear(PyObject *module)
{
    PyObject *dict = Py_NewRef(PyModule_GetDict(module)), *key, *value;
    for (int pass = 0; pass < 2; pass++) {
        Py_ssize_t pos = 0;
        while (PyDict_Next(dict, &pos, &key, &value)) {
            if (value == Py_None || !PyUnicode_Check(key))
                continue;
            Py_ssize_t n = PyUnicode_GetLength(key);
            bool one = n > 0 && PyUnicode_READ_CHAR(key, 0) == '_' && (n < 2 || PyUnicode_READ_CHAR(key, 1) != '_');
            if (pass == 0 ? !one : PyUnicode_CompareWithASCIIString(key, "__builtins__") == 0)
                continue;
            if (PyDict_SetItem(dict, key, Py_None) < 0)
                ending_unraisable();
        }
    }
    Py_DECREF(dict);
}

/*
 * Takes all modules out of sys.modules, so that most of the run's die of it. Returns weak references
 * to the run's, oldest first. Those older than the snapshot are kept alive by ending.known.
 */
static PyObject *ending_modules_remove(void)
{
    PyObject *modules = PyImport_GetModuleDict(), *weak = PyList_New(0), *key, *value;
    Py_ssize_t pos = 0;
    if (modules == NULL || !PyDict_CheckExact(modules) || weak == NULL) {
        PyErr_Clear();
        return weak;
    }
    while (PyDict_Next(modules, &pos, &key, &value)) {
        if (PyModule_Check(value) && PySet_Contains(ending.known, value) == 0) {
            PyObject *ref = PyWeakref_NewRef(value, NULL);
            if (ref == NULL || PyList_Append(weak, ref) < 0)
                ending_unraisable();
            Py_XDECREF(ref);
        }
        PyErr_Clear();
        if (PyDict_SetItem(modules, key, Py_None) < 0)
            ending_unraisable();
    }
    PyDict_Clear(modules);
    return weak;
}

static void ending_builtins_restore(void)
{
    PyObject *dict = PyEval_GetBuiltins();
    PyObject *old = PyDict_Copy(dict);
    PyDict_Clear(dict);
    if (PyDict_Update(dict, ending.builtins) < 0)
        ending_unraisable();
    Py_XDECREF(old);
}

/* A full collection that happens whatever the program did to the collector, and unseen by it. */
static void ending_collect(void)
{
    PyObject *callbacks = NULL;
    if (PyList_Check(ending.gc_callbacks)) {
        Py_ssize_t n = PyList_GET_SIZE(ending.gc_callbacks);
        callbacks = PyList_GetSlice(ending.gc_callbacks, 0, n);
        PyList_SetSlice(ending.gc_callbacks, 0, n, NULL);
    }
    PyGC_Enable();
    PyGC_Collect();
    /* callbacks is not freed: natively the collector's state keeps them as long as it lives. */
    (void)callbacks;
    PyErr_Clear();
}

/* Drops what the run has put into a module older than the snapshot. */
static void ending_module_restore(const struct ending_module *m)
{
    PyObject *dict = PyModule_GetDict(m->module), *key, *value;
    Py_ssize_t pos = 0;
    if (ending_dict_version(dict) == m->version)
        return;
    while (PyDict_Next(dict, &pos, &key, &value))
        if (value != Py_None && PyDict_GetItem(m->contents, key) != value && PyDict_SetItem(dict, key, Py_None) < 0)
            ending_unraisable();
}

/* Files that only something older than the snapshot refers to, from the outermost layer inwards. */
static void ending_files_close(void)
{
    PyObject *list = ending_objects();
    for (Py_ssize_t i = list != NULL ? PyList_GET_SIZE(list) : 0; i-- > 0;) {
        PyObject *o = PyList_GET_ITEM(list, i);
        if (PyObject_TypeCheck(o, ending.base_type) && !ending_is_standard(o))
            PyObject_CallFinalizer(o);
    }
    PyErr_Clear();
    Py_XDECREF(list);
}

static void ending_sweep(void)
{
    PyObject *weak = ending_modules_remove();
    ending_builtins_restore();
    ending_collect();
    for (Py_ssize_t i = weak != NULL ? PyList_GET_SIZE(weak) : 0; i-- > 0;) {
        PyObject *module = PyWeakref_GetObject(PyList_GET_ITEM(weak, i));
        if (module == NULL || module == Py_None)
            continue;
        Py_INCREF(module);
        ending_module_clear(module);
        Py_DECREF(module);
    }
    Py_XDECREF(weak);
    for (size_t i = ending.old_count; i-- > 0;)
        ending_module_restore(&ending.old[i]);
    /* sys goes last, and its streams with it: what is finalised from here on has nowhere to print. */
    ending_stream_flush(NAME_stdout);
    ending_stream_flush(NAME_stderr);
    name_sys_set(NAME_stdout, Py_None);
    name_sys_set(NAME_stderr, Py_None);
    ending_module_restore(&ending.sys);
    ending_collect();
    ending_files_close();
}

/* ---- taking over ---- */

static PyObject *ending_no_event(void *asked)
{
    *(bool *)asked = true;
    PyErr_SetNone(PyExc_StopIteration);
    return NULL;
}

/*
 * Are there audit hooks, who would see us look at the collector's objects and miss the interpreter's own last events?
 * Arguments of an event are made only if somebody is to see it; this one's cannot be made, and so nobody does.
 */
static bool ending_is_audited(void)
{
    bool asked = false;
    if (PySys_Audit("thaw.ending", "O&", ending_no_event, &asked) < 0)
        PyErr_Clear();
    return asked;
}

/* Makes the interpreter one that can be taken apart as a whole. */
static void ending_release(void)
{
    PyObject *none = PyObject_CallNoArgs(ending.gc_unfreeze);
    Py_XDECREF(none);
    PyErr_Clear();
    for (size_t i = 0; i < ending.old_count; i++) {
        Py_CLEAR(ending.old[i].contents);
        Py_CLEAR(ending.old[i].module);
    }
    ending.old_count = 0;
    Py_CLEAR(ending.sys.contents);
    Py_CLEAR(ending.sys.module);
    Py_CLEAR(ending.known);
    Py_CLEAR(ending.builtins);
    Py_CLEAR(ending.gc_get_objects);
    Py_CLEAR(ending.gc_freeze);
    Py_CLEAR(ending.gc_unfreeze);
    Py_CLEAR(ending.gc_callbacks);
    Py_CLEAR(ending.gc_garbage);
}

static void ending_streams_reset(void)
{
    static const enum name names[3][2] = {
        {NAME_stdin, NAME___stdin__}, {NAME_stdout, NAME___stdout__}, {NAME_stderr, NAME___stderr__}};
    for (int i = 0; i < 3; i++) {
        PyObject *original = name_sys(names[i][1]);
        if (name_sys(names[i][0]) != original && name_sys_set(names[i][0], original != NULL ? original : Py_None) < 0)
            ending_unraisable();
    }
}

/*
 * Destructor of the capsule that stands in sys.__interactivehook__ while Py_FinalizeEx() runs. That is
 * the last of the attributes it drops before it destroys modules: by then threads are joined, atexit
 * callbacks have run, the interpreter is finalizing, streams are flushed, garbage is collected.
 * Returning lets it go on by itself.
 */
static void ending_take_over(PyObject *capsule)
{
    PyObject *hook = PyCapsule_GetContext(capsule);
    bool whole = Py_IsInitialized() || !ending_stream_is_plain(name_sys(NAME_stdout)) ||
                 !ending_stream_is_plain(name_sys(NAME_stderr)) || ending_is_audited();
    PyObject *objects = whole ? NULL : ending_objects();
    if (objects == NULL || ending_has_garbage(objects)) {
        Py_XDECREF(objects);
        ending_release();
        Py_XDECREF(hook);
        return;
    }
    /* Whatever flush failed before still has its data, and fails again. */
    if (ending_stream_flush(NAME_stdout) < 0)
        ending.end.status = 120;
    if (ending_stream_flush(NAME_stderr) < 0)
        ending.end.status = 120;
    ending_streams_reset();
    bool quiet = ending_is_quiet(objects);
    Py_DECREF(objects);
    if (!quiet)
        ending_sweep();
    /* Natively their own finalizers do this, and swallow errors as well. */
    ending_stream_flush(NAME___stdout__);
    ending_stream_flush(NAME___stderr__);
    ending_leave(ending.end);
}

/* Have threads other than this one survived threading._shutdown()? Only a daemon can have. */
static bool ending_has_daemons(void)
{
    PyInterpreterState *interp = PyThreadState_Get()->interp;
    if (PyThreadState_Next(PyInterpreterState_ThreadHead(interp)) == NULL)
        return false;
    PyObject *threading = PyImport_GetModule(name_get(NAME_threading));
    if (threading != NULL) {
        /* Idempotent: Py_FinalizeEx() calls it again, which finds nothing to do. */
        PyObject *result = PyObject_CallMethod(threading, "_shutdown", NULL);
        if (result == NULL)
            PyErr_WriteUnraisable(threading);
        Py_XDECREF(result);
        Py_DECREF(threading);
    }
    return PyThreadState_Next(PyInterpreterState_ThreadHead(interp)) != NULL;
}

/* Returns false when the interpreter has to be taken apart as a whole. */
static bool ending_arm(void)
{
    const char *full = getenv("THAW_FULL_FINALIZE");
    if ((full != NULL && strcmp(full, "1") == 0) || ending_has_daemons())
        return false;
    PyObject *capsule = PyCapsule_New(&ending, "thaw.ending", ending_take_over);
    if (capsule == NULL) {
        PyErr_Clear();
        return false;
    }
    PyObject *hook = name_sys(NAME___interactivehook__);
    int bad = PyCapsule_SetContext(capsule, Py_XNewRef(hook)) | name_sys_set(NAME___interactivehook__, capsule);
    Py_DECREF(capsule);
    PyErr_Clear();
    return bad == 0;
}

void ending_run(struct program_end end)
{
    ending.end = end;
    if (!ending_arm())
        ending_release();
    if (Py_FinalizeEx() < 0)
        end.status = 120;
    ending_leave(end);
}
