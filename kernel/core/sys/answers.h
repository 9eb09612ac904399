/* SPDX-License-Identifier: MIT */
#ifndef CORE_ANSWERS_H
#define CORE_ANSWERS_H

#include "kernel.h"
#include "thaw_abi.h"

/* Looks among the answers that the monitor gave in advance (struct thaw_answer). True: it is in call and reply, as
 * machine_monitor_call() leaves it. */
bool answers_find(struct thaw_call *call, const void *data, void *reply, size_t reply_size);

#endif
