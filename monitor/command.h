/* SPDX-License-Identifier: MIT */
/* The thaw command: one function a subcommand. argv[0] is the subcommand's name; they return the exit status. */
#ifndef MONITOR_COMMAND_H
#define MONITOR_COMMAND_H

#include "sandbox.h"

/* start_ns: CLOCK_MONOTONIC when main() began. */
int command_run(char **argv, uint64_t start_ns);
int command_exec(char **argv, uint64_t start_ns);
int command_snapshot(char **argv);
int command_image(char **argv);
int command_doctor(char **argv);

/* Prints "thaw: " and the line on stderr, in one write; returns err->exit_status. */
int command_fail(const struct thaw_error *err);
void command_note(void *arg, const char *line);
/* Prints text on stdout; 0, or 125 with a line when it could not be written. */
int command_print(const char *text);
/* Flushes stdout; as command_print(). */
int command_flush(void);
uint64_t command_now(void);

/* For the subcommands with subcommands of their own. */
struct command_option {
    const char *name;   /* "--from" */
    const char **value; /* or NULL: a flag */
    bool *flag;
};
/* Takes the options out of argv (NULL-terminated), leaves the rest in it, from argv[1] on; their number, or -1. */
int command_options(char **argv, const struct command_option *options, size_t count, const char *help,
                    struct thaw_error *err);

#endif
