/* SPDX-License-Identifier: MIT */
#ifndef CORE_PROCNET_H
#define CORE_PROCNET_H

#include "fs/pseudo.h"

extern const struct pseudo_entry procnet_table[]; /* the files of /proc/PID/net */

#endif
