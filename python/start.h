/* SPDX-License-Identifier: MIT */
/*
 * How Python starts in Thaw: the steps that a main() puts around Py_InitializeFromConfig(). Both the
 * launcher (launcher.c) and CPython's own main (patches/main.patch) take them in this order:
 *
 *      argc = thaw_start_begin(argc, argv);
 *      ... the words go into a PyConfig ...
 *      thaw_start_configure(&config);
 *      Py_InitializeFromConfig(&config);
 *      if (thaw_start_prepare())
 *          thaw_start_check(thaw_snapshot());
 *      thaw_start_run();
 *      return Py_RunMain();
 *
 * With THAW_SNAPSHOT=1 in the environment the interpreter starts in a way that depends on no program,
 * and only after the snapshot is it seen what it has been started for: so the start that made a
 * snapshot and those restored from it go one way. Without it, and outside of Thaw, each of the steps
 * does nothing.
 */
#ifndef THAW_PYTHON_START_H
#define THAW_PYTHON_START_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/*
 * First of all, before Python looks at the environment. Returns how many of the words are Python's to
 * parse. argv must live as long as the process.
 */
Py_ssize_t thaw_start_begin(Py_ssize_t argc, char *const *argv);

/* Once the words are in the configuration. */
PyStatus thaw_start_configure(PyConfig *config);

/* Is this a sandbox of Thaw? */
bool thaw_start_is_in_thaw(void);

/*
 * Once the interpreter is initialised. Returns true when the snapshot call is to be made next: all that
 * a program does not have to wait for has been done. Ends the process, with a line on stderr, when that
 * fails.
 */
int thaw_start_prepare(void);

/*
 * With what the snapshot call returned. Ends the process, with a line on stderr, when warm code has left the process in
 * a state that cannot be saved: nobody has asked for more than the snapshot.
 */
void thaw_start_check(int result);

/*
 * Last. Applies the request, runs the program and leaves the process. Returns when that is Py_RunMain()'s
 * to do: outside of Thaw, and for prompts. Ends the process, with a line on stderr, when the request cannot
 * be applied.
 */
void thaw_start_run(void);

#endif
