/* SPDX-License-Identifier: MIT */
/* The monitor's file server behind the kernel's hostfs, for tests. Needs no header of either. */
#ifndef HOST_SHARE_H
#define HOST_SHARE_H

#include <stdbool.h>
#include <stdint.h>

int host_share_add(const char *path, bool rdonly); /* the share's number */
/* call is a struct thaw_call, which becomes the reply; reply has room for THAW_CALL_DATA_MAX bytes. */
void host_share_serve(void *call, const void *data, void *reply);
void host_share_free(void);

#endif
