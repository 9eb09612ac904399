/* SPDX-License-Identifier: MIT */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include "kernel.h"
#include "thaw_abi.h"

/* The request in the boot area. The monitor wrote it, so it is trusted. */
const struct thaw_request *request_get(void);

/* Arguments or environment as a NULL-terminated vector (kmalloc) of pointers into the request. NULL: no memory. */
char **request_argv(void);
char **request_env(void);

/* Gives the first process the request's command line, environment, umask, shares and working directory. */
int request_apply(void);

#endif
