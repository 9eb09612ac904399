/* SPDX-License-Identifier: MIT */
/* Which machine a start takes. */
#ifndef MONITOR_CHOICE_H
#define MONITOR_CHOICE_H

#include "kvm_verdict.h"

/*
 * Resolves THAW_MACHINE_AUTO: kvm where this host's KVM works, else process. Asks the host at most once per boot. -1
 * with err, which says why and what to do: kvm was asked for by name and is not to be had.
 */
int choice_make(const struct thaw_store *store, enum thaw_machine wanted, enum thaw_machine *machine,
                struct thaw_error *err);

#endif
