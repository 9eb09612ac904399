/* SPDX-License-Identifier: MIT */
/* Which machine a start takes. */
#ifndef MONITOR_CHOICE_H
#define MONITOR_CHOICE_H

#include "kvm_verdict.h"

/* This build has a kvm machine. */
#define CHOICE_HAS_KVM 1
/* Not by itself: not every end-to-end test passes on it. */
#define CHOICE_AUTO_KVM 0

/*
 * Resolves THAW_MACHINE_AUTO: process; kvm where this host's KVM works, once CHOICE_AUTO_KVM says so. Asks the host at most once per boot. -1
 * with err, which says why and what to do: kvm was asked for by name and is not to be had.
 */
int choice_make(const struct thaw_store *store, enum thaw_machine wanted, enum thaw_machine *machine,
                struct thaw_error *err);

#endif
