/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "start.h"

#include <errno.h>
#include <malloc.h>
#include <nss.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "ending.h"
#include "names.h"
#include "program.h"
#include "renew.h"
#include "request.h"
#include "stash.h"
#include "streams.h"

#define START_PATH "/usr/lib/thaw/python"
#define START_SYS_EXECUTABLE L"/usr/bin/python3"
#define START_DEVICE "/dev/thaw"

/* Containers made between ending_prepare() and the program, as gc.get_count() shows. */
#define START_ADDS_PLAIN 27
#define START_ADDS_SNAPSHOT 44

extern char **environ;

static struct {
    int argc;
    char **argv;
    char **env;     /* the whole environment, where Python sees a part of it */
    char *script;   /* the script's absolute path, or NULL */
    PyConfig words; /* without a snapshot: what argv and environment say */
    bool snapshot;  /* THAW_SNAPSHOT=1 */
    bool in_thaw;   /* this is a sandbox of Thaw */
    int device;     /* /dev/thaw open, or -1 */
} start = {.device = -1};

/* An exception where none can be handled: the start fails. */
static _Noreturn void start_fail(const char *what)
{
    if (Py_IsInitialized() && PyErr_Occurred())
        PyErr_Print();
    fprintf(stderr, "thaw: python: %s\n", what);
    fflush(stderr);
    _exit(1);
}

/* ---- as python3 ---- */

/* Returns false when the configuration wants a prompt or other things that only Py_RunMain() has. */
static bool start_program(struct program *p, const PyConfig *config)
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
            start_fail("cannot decode the file's name");
    } else if (isatty(0)) {
        return false;
    }
    if (word != NULL && (p->word = PyUnicode_FromWideChar(word, -1)) == NULL)
        start_fail("cannot decode the command line");
    return true;
}

/*
 * The words are read into a configuration of their own: one that is read twice loses -X warn_default_encoding. The file's
 * name becomes absolute: where the start puts the working directory, argv's need not lead to it.
 */
static PyStatus start_configure_plain(PyConfig *config)
{
    PyConfig_InitPythonConfig(&start.words);
    PyStatus status = PyConfig_SetBytesArgv(&start.words, start.argc, start.argv);
    if (!PyStatus_Exception(status))
        status = PyConfig_Read(&start.words);
    if (!PyStatus_Exception(status) && start.script != NULL && start.words.run_filename != NULL) {
        status = PyConfig_SetBytesString(&start.words, &start.words.run_filename, start.script);
        if (!PyStatus_Exception(status))
            status = PyConfig_SetString(config, &config->run_filename, start.words.run_filename);
    }
    return status;
}

/* start.words has only what the words and the environment say of it; a ._pth file beside the program says so too. */
static bool start_is_path_safe(void)
{
    PyObject *flags = PySys_GetObject("flags"); /* borrowed */
    PyObject *flag = flags != NULL ? PyObject_GetAttrString(flags, "safe_path") : NULL;
    if (flag == NULL)
        start_fail("sys.flags has no safe_path");
    bool safe = flag == Py_True;
    Py_DECREF(flag);
    return safe;
}

/* The same as Py_RunMain(), but with an ending that costs less. */
static void start_run_plain(void)
{
    struct program program;
    bool ours = start_program(&program, &start.words);
    PyConfig_Clear(&start.words);
    if (!ours)
        return;
    program.name = start.argv[0];
    program.safe_path = start_is_path_safe();
    PyObject *stash = PyDict_New();
    if (stash == NULL || ending_begin() < 0 || names_begin() < 0 || names_prepare() < 0 || program_prepare() < 0 ||
        ending_prepare(stash, START_ADDS_PLAIN) < 0)
        start_fail("cannot prepare the run");
    ending_run(program_run(&program));
}

/* ---- with a snapshot in between ---- */

/*
 * The environment less what Python would read from it: that comes with the request. Returns the
 * whole of it; both are lists of their own.
 */
static char **start_hide_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n] != NULL)
        n++;
    char **whole = calloc(2 * (n + 1), sizeof *whole);
    if (whole == NULL)
        start_fail("no memory");
    char **reduced = whole + n + 1;
    memcpy(whole, environ, n * sizeof *whole);
    for (size_t i = 0; i < n; i++)
        if (strncmp(whole[i], "PYTHON", 6) != 0)
            reduced[kept++] = whole[i];
    environ = reduced;
    return whole;
}

static PyStatus start_configure_snapshot(PyConfig *config)
{
    config->parse_argv = 0;
    config->user_site_directory = 0;
    PyStatus status = PyConfig_SetString(config, &config->program_name, START_SYS_EXECUTABLE);
    return PyStatus_Exception(status) ? status : PyConfig_SetString(config, &config->executable, START_SYS_EXECUTABLE);
}

/* THAW_WARM: code whose imports and hooks shall be in the snapshot. */
static void start_warm(void)
{
    const char *code = getenv("THAW_WARM");
    if (code == NULL || *code == '\0')
        return;
    PyObject *globals = Py_BuildValue("{ss}", "__name__", "__thaw_warm__");
    PyObject *result = globals != NULL ? PyRun_String(code, Py_file_input, globals, globals) : NULL;
    if (result == NULL)
        start_fail("the warm code failed; no snapshot is made");
    Py_DECREF(result);
    Py_DECREF(globals);
}

/* Options and variables that only a new interpreter can apply: become one. */
static _Noreturn void start_restart(const struct request *r)
{
    execve("/proc/self/exe", r->argv, r->env);
    execve(START_PATH, r->argv, r->env);
    fprintf(stderr,
            "thaw: python: these options or variables cannot be applied after a restore "
            "(%s): %s; start with --cold or leave them out\n",
            START_PATH, strerror(errno));
    fflush(stderr);
    _exit(1);
}

static void start_prepare_snapshot(void)
{
    if (ending_begin() < 0 || names_begin() < 0)
        start_fail("cannot prepare a snapshot");
    start_warm();
    PyObject *stash = stash_fill();
    if (stash == NULL)
        start_fail("cannot import the standard library");
    if (names_warm() < 0)
        start_fail("cannot prepare a snapshot");
    while (PyGC_Collect() > 0)
        ;
    arena_open();
    if (names_prepare() < 0 || program_prepare() < 0 || streams_prepare() < 0 || renew_prepare() < 0 ||
        ending_prepare(stash, START_ADDS_SNAPSHOT) < 0)
        start_fail("cannot prepare a snapshot");
    start.device = request_open();
    arena_fill();
    arena_make_room();
}

static void start_run_snapshot(void)
{
    struct request request;
    struct program program;
    int args;
    if (request_read(&request, start.device, start.argc, start.argv, start.env) < 0)
        _exit(1);
    if (renew_needs_cold(&request))
        start_restart(&request);
    if (program_parse(&program, &request, &args) < 0)
        start_fail("cannot read the command line");
    if (program.kind == PROGRAM_ODD)
        start_restart(&request);
    PyObject *first = program_argv0(&program, args);
    if (first == NULL || renew_apply(&request, first, args) < 0 || streams_renew(&request) < 0 || renew_hooks() < 0)
        start_fail("cannot renew the interpreter's state; the start does not go on with a stale one");
    Py_DECREF(first);
    if (program.kind != PROGRAM_PROMPT)
        ending_run(program_run(&program));
}

/*
 * A static program cannot load the modules that nsswitch.conf(5) names: glibc crashes in them. What glibc itself has does:
 * files, and DNS for hosts.
 */
static void start_look_up_in_files(void)
{
#ifdef THAW_STATIC
    static const char *const databases[] = {"passwd",    "group",    "shadow", "gshadow", "services",
                                            "protocols", "networks", "ethers", "rpc",     "netgroup"};
    for (size_t i = 0; i < sizeof databases / sizeof databases[0]; i++)
        __nss_configure_lookup(databases[i], "files");
    __nss_configure_lookup("hosts", "files dns");
#endif
}

/* ---- the steps ---- */

Py_ssize_t thaw_start_begin(Py_ssize_t argc, char *const *argv)
{
    const char *ask = getenv("THAW_SNAPSHOT");
    start_look_up_in_files();
    start.argc = (int)argc;
    start.argv = (char **)argv;
    start.snapshot = ask != NULL && strcmp(ask, "1") == 0;
    if (!start.snapshot) {
        start.in_thaw = access(START_DEVICE, F_OK) == 0;
        const char *script = start.in_thaw ? getenv("THAW_SCRIPT") : NULL;
        if (script != NULL) {
            start.script = strdup(script);
            unsetenv("THAW_SCRIPT"); /* before os.environ is made */
        }
        return argc;
    }
    start.env = start_hide_environment();
    /* Room for the run, so that malloc() need not ask for it: a system call less or two. */
    mallopt(M_TOP_PAD, 512 << 10);
    /* Setting one turns off glibc's adapting of the others: large blocks would be mapped and unmapped each time. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    arena_install();
    return argc > 0 ? 1 : 0;
}

PyStatus thaw_start_configure(PyConfig *config)
{
    if (start.snapshot)
        return start_configure_snapshot(config);
    return start.in_thaw ? start_configure_plain(config) : PyStatus_Ok();
}

bool thaw_start_is_in_thaw(void) { return start.in_thaw; }

int thaw_start_prepare(void)
{
    if (!start.snapshot)
        return 0;
    start_prepare_snapshot();
    /*
     * Without the device there is no Thaw; a Linux kernel built without the i386 gate would even answer
     * the call with SIGSEGV.
     */
    return start.device >= 0;
}

void thaw_start_check(int result)
{
    const char *warm = getenv("THAW_WARM");
    if (result == -EBUSY && warm != NULL && *warm != '\0')
        start_fail("what the warm code left running or open cannot be saved");
}

void thaw_start_run(void)
{
    if (start.snapshot)
        start_run_snapshot();
    else if (start.in_thaw)
        start_run_plain();
}
