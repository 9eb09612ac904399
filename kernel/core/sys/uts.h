/* SPDX-License-Identifier: MIT */
/* What uname(2) and /proc/sys/kernel say of this kernel. */
#ifndef CORE_UTS_H
#define CORE_UTS_H

#define UTS_SYSNAME "Linux"
#define UTS_RELEASE "6.1.0" /* the Linux whose system calls we follow */
#define UTS_VERSION "#1 SMP Thaw"
#define UTS_MACHINE "x86_64"

/* NUL-terminated; what sethostname(2) and setdomainname(2) set. */
const char *uts_nodename(void);
const char *uts_domainname(void);

#endif
