/* SPDX-License-Identifier: MIT */
#include "host_share.h"

#include "sandbox.h"

static struct share_set *set;

int host_share_add(const char *path, bool rdonly)
{
    struct thaw_error err;

    if (!set)
        set = share_set_create();
    return share_add(set, path, rdonly, &err);
}

void host_share_serve(void *arg, const void *data, void *reply)
{
    struct thaw_call *call = arg;
    uint32_t len = 0;

    call->ret = share_serve(set, call, data, reply, &len);
    call->len = len;
}

void host_share_free(void)
{
    share_set_free(set);
    set = NULL;
}
