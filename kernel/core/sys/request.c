/* SPDX-License-Identifier: MIT */
/* The request: what a start brings, read the same way at a cold boot and after a restore. */
#include "request.h"

#include "fs.h"
#include "machine.h"
#include "task.h"

const struct thaw_request *request_get(void)
{
    const struct thaw_boot *boot = machine_boot();
    return (const void *)((const char *)boot + boot->request_off);
}

static char **string_vector(u32 off, u32 count)
{
    char *s = (char *)request_get() + off;
    char **v = kmalloc((count + 1) * sizeof(*v));
    for (u32 i = 0; v && i < count; i++) {
        v[i] = s;
        s += strlen(s) + 1;
    }
    return v;
}

char **request_argv(void) { return string_vector(request_get()->argv_off, request_get()->argc); }
char **request_env(void) { return string_vector(request_get()->env_off, request_get()->envc); }

/* A copy of count strings, one behind the other. */
static char *strings_copy(u32 off, u32 count, size_t *len)
{
    const char *start = (const char *)request_get() + off, *s = start;
    for (u32 i = 0; i < count; i++)
        s += strlen(s) + 1;
    *len = (size_t)(s - start);
    char *copy = kmalloc(*len + 1);
    if (copy)
        memcpy(copy, start, *len);
    return copy;
}

int request_apply(void)
{
    const struct thaw_request *rq = request_get();
    struct process *p = current->process;
    size_t cmdline_len, environ_len;
    char *cmdline = strings_copy(rq->argv_off, rq->argc, &cmdline_len);
    char *environ = strings_copy(rq->env_off, rq->envc, &environ_len);

    if (!cmdline || !environ) {
        kfree(cmdline);
        kfree(environ);
        return -ENOMEM;
    }
    kfree(p->cmdline);
    kfree(p->environ);
    p->cmdline = cmdline, p->cmdline_len = cmdline_len;
    p->environ = environ, p->environ_len = environ_len;
    fs_set_umask(rq->umask & 0777);
    int err = vfs_mount_shares(rq);
    return err ? err : fs_set_cwd((const char *)rq + rq->cwd_off);
}
