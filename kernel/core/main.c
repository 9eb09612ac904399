/* SPDX-License-Identifier: MIT */
/* A cold boot: file systems, the first process, the request's program. */
#include "fs.h"
#include "machine.h"
#include "mm.h"
#include "request.h"
#include "signal.h"
#include "task.h"

/* As execvp(3): a name without a slash is looked up along PATH. */
static int exec_search(const char *exe, char **argv, char **envp, struct pt_regs *regs)
{
    const char *path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    int err = -ENOENT;
    char *full;

    if (strchr(exe, '/'))
        return exec_program(exe, argv, envp, regs);
    for (u32 i = 0; envp[i]; i++)
        if (!strncmp(envp[i], "PATH=", 5))
            path = envp[i] + 5;
    full = kmalloc(PATH_MAX);
    if (!full)
        return -ENOMEM;
    while (*path) {
        const char *colon = strchr(path, ':');
        size_t n = colon ? (size_t)(colon - path) : strlen(path);
        int e;
        if (n + strlen(exe) + 2 <= PATH_MAX) {
            snprintf(full, PATH_MAX, "%.*s/%s", (int)n, path, exe);
            e = exec_program(full, argv, envp, regs);
            if (e != -ENOENT && e != -ENOTDIR)
                err = e;
            if (!e)
                break;
        }
        path += n + (colon != NULL);
    }
    kfree(full);
    return err;
}

void kernel_main(struct pt_regs *regs)
{
    struct thaw_boot *boot = machine_boot();
    const struct thaw_request *rq = request_get();
    int err;

    random_reseed(boot->entropy, sizeof(boot->entropy));
    memset(boot->entropy, 0, sizeof(boot->entropy));
    err = task_init_first();
    if (err)
        panic("the first process: error %d", -err);
    machine_thread_first(task_first());
    err = vfs_init(boot);
    if (err)
        panic("mounting the root file system: error %d; is the image damaged?", -err);
    err = vfs_open_console();
    if (err)
        panic("opening the console: error %d", -err);
    err = request_apply();
    if (err)
        panic("the request's directories: error %d", -err);

    char **argv = request_argv(), **envp = request_env();
    err = argv && envp ? exec_search((const char *)rq + rq->exe_off, argv, envp, regs) : -ENOMEM;
    kfree(argv);
    kfree(envp);
    if (err) {
        boot->exit.kind = THAW_EXIT_EXEC;
        boot->exit.code = (u32)-err;
        snprintf(boot->exit.text, sizeof(boot->exit.text), "%s", (const char *)rq + rq->exe_off);
        machine_exit();
    }
    user_return(regs);
}
