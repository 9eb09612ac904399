/* SPDX-License-Identifier: MIT */
/*
 * /usr/lib/thaw/python of an image with Debian's own Python: what `thaw run` executes. With THAW_SNAPSHOT=1 it has that
 * Python load the agent, which asks for the snapshot and applies each start's request; otherwise it becomes the Python
 * that the words ask for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PYTHON "/usr/bin/python3"
#define AGENT_CODE "import sys;sys.path.append('/usr/lib/thaw');import _thaw;_thaw.run()"

extern char **environ;

/* Takes the variables whose names begin with prefix out of the environment. */
static void environ_drop(const char *prefix)
{
    char **to = environ;

    for (char **from = environ; *from; from++)
        if (strncmp(*from, prefix, strlen(prefix)) != 0)
            *to++ = *from;
    *to = NULL;
}

int main(int argc, char **argv)
{
    const char *ask = getenv("THAW_SNAPSHOT");
    char *script = getenv("THAW_SCRIPT");

    if (ask && strcmp(ask, "1") == 0) {
        char **words = calloc((size_t)argc + 3, sizeof *words);
        if (!words)
            return 1;
        words[0] = argv[0];
        words[1] = "-c";
        words[2] = AGENT_CODE;
        for (int i = 1; i < argc; i++)
            words[i + 2] = argv[i];
        environ_drop("PYTHON"); /* these come with the request */
        execv(PYTHON, words);
    } else {
        /* The word may be relative to a directory that only the caller has. */
        if (script && argc > 1 && argv[1][0] != '-' && access(argv[1], F_OK) != 0)
            argv[1] = script;
        environ_drop("THAW_SCRIPT=");
        execv(PYTHON, argv);
    }
    perror("thaw: " PYTHON);
    return 127;
}
