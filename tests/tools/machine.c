/* SPDX-License-Identifier: MIT */
/*
 * The command under test on a machine of the tests' choice: executes THAW_TEST_COMMAND with the same words, but for
 * `--machine THAW_TEST_MACHINE` after run, exec and snapshot create, and `--cpus THAW_TEST_CPUS`, if that is set, after run
 * and exec. In place of thaw, so that every test, and every program that a test starts, is on that machine without having
 * to know of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *command = getenv("THAW_TEST_COMMAND"), *machine = getenv("THAW_TEST_MACHINE");
    char *cpus = getenv("THAW_TEST_CPUS"), **words = calloc((size_t)argc + 5, sizeof *words);
    int n = 0;

    if (!command || !machine || !words) {
        fputs("machine: THAW_TEST_COMMAND and THAW_TEST_MACHINE are not set\n", stderr);
        return 125;
    }
    for (int i = 0; i < argc; i++) {
        words[n++] = argv[i];
        if (i == 1 ? strcmp(argv[1], "run") == 0 || strcmp(argv[1], "exec") == 0
                   : i == 2 && strcmp(argv[1], "snapshot") == 0 && strcmp(argv[2], "create") == 0) {
            words[n++] = "--machine";
            words[n++] = (char *)machine;
            if (cpus && i == 1) {
                words[n++] = "--cpus";
                words[n++] = cpus;
            }
        }
    }
    execv(command, words);
    perror(command);
    return 125;
}
