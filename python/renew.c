/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "renew.h"

#include "names.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static PyObject *renew_os_data;       /* os.environ._data, a dict of bytes */
static PyObject *renew_posix_environ; /* posix.environ, the dict it was made from */
static PyObject *renew_hook_module;   /* snapshot_restore_py, if warm code imported it */
static bool renew_seeds;              /* a module with random state was imported before the snapshot */
static bool renew_ssl, renew_sqlite;  /* so was the library of that name */

/* Only where the interpreter is linked with them. */
extern int RAND_poll(void) __attribute__((weak));
extern void sqlite3_randomness(int n, void *out) __attribute__((weak));

/* Variables that Python reads once, early. sys.flags or the memory layout depend on them. */
static const char *const cold_names[] = {
    "PYTHONHASHSEED",
    "PYTHONOPTIMIZE",
    "PYTHONHOME",
    "PYTHONVERBOSE",
    "PYTHONDEBUG",
    "PYTHONINSPECT",
    "PYTHONDEVMODE",
    "PYTHONMALLOC",
    "PYTHONMALLOCSTATS",
    "PYTHONUTF8",
    "PYTHONCOERCECLOCALE",
    "PYTHONPLATLIBDIR",
    "PYTHONSAFEPATH",
    "PYTHONFAULTHANDLER",
    "PYTHONTRACEMALLOC",
    "PYTHONINTMAXSTRDIGITS",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONNODEBUGRANGES",
    "PYTHONWARNDEFAULTENCODING",
};

/*
 * Modules whose state is random and of which every start must have its own. An object of the
 * program's own, such as a random.Random(), is up to a hook.
 */
static const char renew_seed_code[] =
    "import sys\n"
    "def renew(modules):\n"
    "    m = modules.get('random')\n"
    "    if m is not None: m.seed()\n"
    "    m = modules.get('tempfile')\n"
    "    if m is not None: m._name_sequence = None\n"
    "    m = modules.get('uuid')\n"
    "    if m is not None: m._last_timestamp = m._node = None\n"
    "    m = modules.get('multiprocessing.process')\n"
    "    if m is not None:\n"
    "        import os\n"
    "        m._current_process._config['authkey'] = m.AuthenticationString(os.urandom(32))\n"
    "    m = modules.get('numpy.random')\n"
    "    if m is not None: m.seed()\n"
    "renew(sys.modules)\n";
static const char *const seed_modules[] = {"random", "tempfile", "uuid", "multiprocessing.process", "numpy.random"};

static int renew_call_hooks(const char *name)
{
    if (renew_hook_module == NULL)
        return 0;
    PyObject *result = PyObject_CallMethod(renew_hook_module, name, NULL);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

int renew_prepare(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *posix = PyImport_ImportModule("posix");
    PyObject *os = PyDict_GetItemString(modules, "os");
    if (posix == NULL)
        return -1;
    renew_posix_environ = PyObject_GetAttrString(posix, "environ");
    Py_DECREF(posix);
    if (os != NULL) {
        PyObject *mapping = PyObject_GetAttrString(os, "environ");
        renew_os_data = mapping != NULL ? PyObject_GetAttrString(mapping, "_data") : NULL;
        Py_XDECREF(mapping);
    }
    if (PyErr_Occurred())
        return -1;
    for (size_t i = 0; i < sizeof seed_modules / sizeof seed_modules[0]; i++)
        renew_seeds = renew_seeds || PyDict_GetItemString(modules, seed_modules[i]) != NULL;
    renew_ssl = RAND_poll != NULL && PyDict_GetItemString(modules, "_ssl") != NULL;
    renew_sqlite = sqlite3_randomness != NULL && PyDict_GetItemString(modules, "_sqlite3") != NULL;
    renew_hook_module = Py_XNewRef(PyDict_GetItemString(modules, "snapshot_restore_py"));
    return renew_call_hooks("_run_before_snapshot");
}

bool renew_needs_cold(const struct request *r)
{
    for (size_t i = 0; i < sizeof cold_names / sizeof cold_names[0]; i++)
        if (request_getenv(r, cold_names[i]) != NULL)
            return true;
    return false;
}

/* Fills both dictionaries; the first of two entries with one name wins, as in posix.environ. */
static int renew_environment(char **env)
{
    environ = env;
    PyDict_Clear(renew_posix_environ);
    if (renew_os_data != NULL)
        PyDict_Clear(renew_os_data);
    for (char **e = env; *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (equals == NULL)
            continue;
        PyObject *name = PyBytes_FromStringAndSize(*e, equals - *e);
        PyObject *value = PyBytes_FromString(equals + 1);
        bool bad = name == NULL || value == NULL || PyDict_SetDefault(renew_posix_environ, name, value) == NULL ||
                   (renew_os_data != NULL && PyDict_SetDefault(renew_os_data, name, value) == NULL);
        Py_XDECREF(name);
        Py_XDECREF(value);
        if (bad)
            return -1;
    }
    return 0;
}

static int renew_set_list(enum name name, PyObject *first, char **rest, int count)
{
    PyObject *list = PyList_New(0);
    int bad = list == NULL || (first != NULL && PyList_Append(list, first) < 0);
    for (int i = 0; !bad && i < count; i++) {
        PyObject *word = PyUnicode_DecodeFSDefault(rest[i]);
        bad = word == NULL || PyList_Append(list, word) < 0;
        Py_XDECREF(word);
    }
    bad = bad || name_sys_set(name, list) < 0;
    Py_XDECREF(list);
    return bad ? -1 : 0;
}

/* PYTHONPATH's entries come before the standard library's, absolute, each once. */
static int renew_path(const char *value, const char *cwd)
{
    PyObject *path = PySys_GetObject("path");
    if (path == NULL || !PyList_Check(path))
        return 0;
    Py_ssize_t at = 0;
    for (const char *s = value;; s++) {
        size_t n = strcspn(s, ":");
        PyObject *raw;
        if (s[0] == '/')
            raw = PyBytes_FromStringAndSize(s, (Py_ssize_t)n);
        else
            raw = PyBytes_FromFormat("%s%s%.*s", cwd != NULL ? cwd : ".", n > 0 ? "/" : "", (int)n, s);
        PyObject *entry = raw != NULL ? PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(raw)) : NULL;
        Py_XDECREF(raw);
        int known = entry != NULL ? PySequence_Contains(path, entry) : -1;
        int bad = known < 0 || (known == 0 && PyList_Insert(path, at++, entry) < 0);
        Py_XDECREF(entry);
        if (bad)
            return -1;
        s += n;
        if (*s == '\0')
            return 0;
    }
}

static int renew_warnings(const char *value)
{
    PyObject *list = PyList_New(0);
    int bad = list == NULL;
    for (const char *s = value; !bad && *s != '\0';) {
        size_t n = strcspn(s, ",");
        PyObject *option = n > 0 ? PyUnicode_DecodeFSDefaultAndSize(s, (Py_ssize_t)n) : NULL;
        bad = n > 0 && (option == NULL || PyList_Append(list, option) < 0);
        Py_XDECREF(option);
        s += n;
        s += *s == ',';
    }
    bad = bad || PySys_SetObject("warnoptions", list) < 0;
    if (!bad) {
        PyObject *had = PyDict_GetItemString(PyImport_GetModuleDict(), "warnings");
        /* Importing it applies sys.warnoptions; one that is there already is told. */
        PyObject *result =
            had != NULL ? PyObject_CallMethod(had, "_processoptions", "O", list) : PyImport_ImportModule("warnings");
        bad = result == NULL;
        Py_XDECREF(result);
    }
    Py_XDECREF(list);
    return bad ? -1 : 0;
}

static int renew_options(const struct request *r)
{
    const char *value = request_getenv(r, "PYTHONPATH");
    if (value != NULL && renew_path(value, r->cwd) < 0)
        return -1;
    if (request_getenv(r, "PYTHONDONTWRITEBYTECODE") != NULL && PySys_SetObject("dont_write_bytecode", Py_True) < 0)
        return -1;
    value = request_getenv(r, "PYTHONPYCACHEPREFIX");
    if (value != NULL) {
        PyObject *prefix = PyUnicode_DecodeFSDefault(value);
        if (prefix == NULL || PySys_SetObject("pycache_prefix", prefix) < 0)
            return -1;
        Py_DECREF(prefix);
    }
    value = request_getenv(r, "PYTHONWARNINGS");
    return value != NULL ? renew_warnings(value) : 0;
}

/* The generators of C libraries, which went into the snapshot as they were. */
static int renew_libraries(void)
{
    if (renew_ssl && RAND_poll() != 1) {
        PyErr_SetString(PyExc_RuntimeError, "OpenSSL cannot seed its generator");
        return -1;
    }
    if (renew_sqlite)
        sqlite3_randomness(0, NULL); /* seeds itself at the next use */
    return 0;
}

static int renew_random(void)
{
    if (renew_libraries() < 0)
        return -1;
    if (!renew_seeds)
        return 0;
    PyObject *globals = PyDict_New();
    PyObject *result = globals != NULL ? PyRun_String(renew_seed_code, Py_file_input, globals, globals) : NULL;
    int ret = result != NULL ? 0 : -1;
    Py_XDECREF(result);
    Py_XDECREF(globals);
    return ret;
}

int renew_apply(const struct request *r, PyObject *first, int args)
{
    if (renew_environment(r->env) < 0 || renew_set_list(NAME_orig_argv, NULL, r->argv, r->argc) < 0 ||
        renew_set_list(NAME_argv, first, r->argv + args, r->argc - args) < 0 || renew_options(r) < 0)
        return -1;
    return renew_random();
}

int renew_hooks(void) { return renew_call_hooks("_run_after_restore"); }
