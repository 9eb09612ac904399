/* SPDX-License-Identifier: MIT */
/*
 * Python for Thaw's images.
 *
 * Without THAW_SNAPSHOT=1 in the environment it is python3 as one knows it, options and all. With it
 * the interpreter starts in a way that depends on no program, asks for a snapshot, and only then looks
 * at what it has been started for: so a start from the snapshot and the one that made it go the same
 * way. On plain Linux there is no snapshot, and it goes that way too.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtin_contextvars.h"
#include "builtin_json.h"
#include "ending.h"
#include "program.h"
#include "renew.h"
#include "request.h"
#include "stash.h"
#include "streams.h"
#include "thaw_snapshot.h"

#define LAUNCHER_PATH "/usr/lib/thaw/python"
#define LAUNCHER_SYS_EXECUTABLE L"/usr/bin/python3"

/* Containers made between ending_prepare() and the program, as gc.get_count() shows. */
#define START_ADDS_PLAIN 27
#define START_ADDS_SNAPSHOT 44

extern char **environ;

/* An exception where none can be handled: the start fails. */
static _Noreturn void launcher_fail(const char *what)
{
    if (PyErr_Occurred())
        PyErr_Print();
    fprintf(stderr, "thaw: python: %s\n", what);
    fflush(stderr);
    _exit(1);
}

static void launcher_check(PyStatus status)
{
    if (PyStatus_IsExit(status))
        exit(status.exitcode); /* --help and the like */
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

/* ---- as python3 ---- */

/* Returns false when the configuration wants a prompt or other things that only Py_RunMain() has. */
static bool launcher_program(struct program *p, const PyConfig *config)
{
    if (config->inspect || config->interactive || config->skip_source_first_line || config->verbose)
        return false;
    *p = (struct program){.kind = PROGRAM_STDIN, .safe_path = config->safe_path};
    const wchar_t *word = NULL;
    if (config->run_command != NULL) {
        p->kind = PROGRAM_CODE;
        word = config->run_command;
    } else if (config->run_module != NULL) {
        p->kind = PROGRAM_MODULE;
        word = config->run_module;
    } else if (config->run_filename != NULL) {
        p->kind = PROGRAM_FILE;
        word = config->argv.length > 0 ? config->argv.items[0] : config->run_filename;
        p->path = PyUnicode_FromWideChar(config->run_filename, -1);
        if (p->path == NULL)
            launcher_fail("cannot decode the file's name");
    } else if (isatty(0)) {
        return false;
    }
    if (word != NULL && (p->word = PyUnicode_FromWideChar(word, -1)) == NULL)
        launcher_fail("cannot decode the command line");
    return true;
}

static int launcher_main_plain(int argc, char **argv)
{
    struct program program;
    /* The file's absolute path: where the start puts the working directory, argv's need not lead to it. */
    char *script = getenv("THAW_SCRIPT");
    if (script != NULL) {
        script = strdup(script);
        unsetenv("THAW_SCRIPT"); /* before os.environ is made */
    }
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    launcher_check(PyConfig_SetBytesArgv(&config, argc, argv));
    launcher_check(PyConfig_Read(&config));
    if (script != NULL && config.run_filename != NULL)
        launcher_check(PyConfig_SetBytesString(&config, &config.run_filename, script));
    free(script);
    launcher_check(Py_InitializeFromConfig(&config));
    bool simple = launcher_program(&program, &config);
    PyConfig_Clear(&config);
    if (!simple)
        return Py_RunMain();
    program.name = argv[0];
    PyObject *stash = PyDict_New();
    if (stash == NULL || ending_begin() < 0 || program_prepare() < 0 || ending_prepare(stash, START_ADDS_PLAIN) < 0)
        launcher_fail("cannot prepare the run");
    ending_run(program_run(&program));
}

/* ---- with a snapshot in between ---- */

/*
 * The environment less what Python would read from it: that comes with the request. Returns the
 * whole of it; both are lists of their own.
 */
static char **launcher_hide_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n] != NULL)
        n++;
    char **whole = calloc(2 * (n + 1), sizeof *whole);
    if (whole == NULL)
        launcher_fail("no memory");
    char **reduced = whole + n + 1;
    memcpy(whole, environ, n * sizeof *whole);
    for (size_t i = 0; i < n; i++)
        if (strncmp(whole[i], "PYTHON", 6) != 0)
            reduced[kept++] = whole[i];
    environ = reduced;
    return whole;
}

static void launcher_initialize(void)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.user_site_directory = 0;
    launcher_check(PyConfig_SetString(&config, &config.program_name, LAUNCHER_SYS_EXECUTABLE));
    launcher_check(PyConfig_SetString(&config, &config.executable, LAUNCHER_SYS_EXECUTABLE));
    launcher_check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
}

/* THAW_WARM: code whose imports and hooks shall be in the snapshot. */
static void launcher_warm(void)
{
    const char *code = getenv("THAW_WARM");
    if (code == NULL || *code == '\0')
        return;
    PyObject *globals = Py_BuildValue("{ss}", "__name__", "__thaw_warm__");
    PyObject *result = globals != NULL ? PyRun_String(code, Py_file_input, globals, globals) : NULL;
    if (result == NULL)
        launcher_fail("the warm code failed; no snapshot is made");
    Py_DECREF(result);
    Py_DECREF(globals);
}

/* Options and variables that only a new interpreter can apply: become one. */
static _Noreturn void launcher_restart(const struct request *r)
{
    execve("/proc/self/exe", r->argv, r->env);
    execve(LAUNCHER_PATH, r->argv, r->env);
    fprintf(stderr,
            "thaw: python: these options or variables cannot be applied after a restore "
            "(%s): %s; start with --cold or leave them out\n",
            LAUNCHER_PATH, strerror(errno));
    fflush(stderr);
    _exit(1);
}

/*
 * Uses up the holes in the interpreter's heap, so that a run's new objects lie side by side in pools of
 * their own instead of in a page each: every page written after a restore is a page copied. A pool is
 * 16 KiB and its first block follows a header of 48 bytes; were that not so in another CPython, a little
 * memory would be wasted and nothing gained.
 */
static void launcher_settle_heap(void)
{
    for (size_t size = 16; size <= 512; size += 16)
        for (int i = 0; i < 20000; i++) {
            void *p = PyObject_Malloc(size);
            if (p == NULL || ((uintptr_t)p & 0x3fff) == 48)
                break;
        }
}

static int launcher_main_snapshot(int argc, char **argv)
{
    struct request request;
    struct program program;
    int args;
    char **env = launcher_hide_environment();
    /* Room for the run, so that malloc() need not ask for it: a system call less or two. */
    mallopt(M_TOP_PAD, 512 << 10);
    /* Setting one turns off glibc's adapting of the others: large blocks would be mapped and unmapped each time. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    launcher_initialize();
    if (ending_begin() < 0)
        launcher_fail("cannot prepare a snapshot");
    launcher_warm();
    if (program_prepare() < 0 || streams_prepare() < 0 || renew_prepare() < 0)
        launcher_fail("cannot prepare a snapshot");
    PyObject *stash = stash_fill();
    if (stash == NULL)
        launcher_fail("cannot import the standard library");
    while (PyGC_Collect() > 0)
        ;
    if (ending_prepare(stash, START_ADDS_SNAPSHOT) < 0)
        launcher_fail("cannot prepare a snapshot");
    launcher_settle_heap();
    int fd = request_open();

    /*
     * 0, 1 or an error: either way what to run is read next, and the same is done with it. Without the
     * device there is no Thaw; a Linux kernel built without the i386 gate would even answer the call
     * with SIGSEGV.
     */
    if (fd >= 0)
        thaw_snapshot();

    if (request_read(&request, fd, argc, argv, env) < 0)
        return 1;
    if (renew_needs_cold(&request))
        launcher_restart(&request);
    if (program_parse(&program, &request, &args) < 0)
        launcher_fail("cannot read the command line");
    if (program.kind == PROGRAM_ODD)
        launcher_restart(&request);
    PyObject *first = program_argv0(&program, args);
    if (first == NULL || renew_apply(&request, first, args) < 0 || streams_renew(&request) < 0 || renew_hooks() < 0)
        launcher_fail("cannot renew the interpreter's state; the start does not go on with a stale one");
    Py_DECREF(first);
    if (program.kind == PROGRAM_PROMPT)
        return Py_RunMain();
    ending_run(program_run(&program));
}

int main(int argc, char **argv)
{
    const char *ask = getenv("THAW_SNAPSHOT");
    PyImport_AppendInittab("_contextvars", PyInit__contextvars);
    PyImport_AppendInittab("_json", PyInit__json);
    if (ask != NULL && strcmp(ask, "1") == 0)
        return launcher_main_snapshot(argc, argv);
    return launcher_main_plain(argc, argv);
}
