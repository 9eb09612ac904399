/* SPDX-License-Identifier: MIT */
/*
 * The program of a start: a file, -c CODE, -m MODULE or standard input, run as CPython's
 * Modules/main.c runs it.
 */
#ifndef THAW_PYTHON_PROGRAM_H
#define THAW_PYTHON_PROGRAM_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "request.h"

enum program_kind {
    PROGRAM_FILE,
    PROGRAM_CODE,
    PROGRAM_MODULE,
    PROGRAM_STDIN,
    PROGRAM_PROMPT, /* standard input is a terminal: Py_RunMain() has it all */
    PROGRAM_ODD,    /* words with interpreter options: only a new interpreter can apply them */
};

struct program {
    enum program_kind kind;
    const char *name; /* argv[0], for error lines */
    PyObject *word;   /* str: file as given, code, module; NULL for stdin */
    PyObject *path;   /* str: absolute path of a file */
    const char *cwd;  /* canonical, or NULL: not known */
    bool safe_path;   /* leave sys.path alone */
};

/* How a program ended. */
struct program_end {
    int status;
    bool interrupted; /* by a KeyboardInterrupt: die of SIGINT, after finalisation */
};

/* Looks up ahead of the snapshot what every run needs. Returns 0, or -1 with a Python exception. */
int program_prepare(void);

/*
 * Sorts the words "python3 [FILE | -c CODE | -m MODULE | -] ARGS" into *p; *args is the index of the
 * first of ARGS. Strings are decoded as the interpreter decodes its own. Returns 0, or -1 with a
 * Python exception.
 */
int program_parse(struct program *p, const struct request *r, int *args);

/* The str that sys.argv begins with: a new reference, or NULL with a Python exception. */
PyObject *program_argv0(const struct program *p, int args);

/* Runs it up to, and without, finalisation; uncaught exceptions have been printed. */
struct program_end program_run(const struct program *p);

#endif
