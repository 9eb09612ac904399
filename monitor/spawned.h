/* SPDX-License-Identifier: MIT */
/*
 * A sandbox process made before it is known what it is to run: it sets itself up while the command reads its options,
 * looks at files and fills in the boot area. It begins with an execve(2) of the command itself, which is cheaper than
 * fork(2): no page of the command's becomes copy-on-write, on either side, and there is little to unmap.
 *
 * Until the program runs the two of them take turns, so they stay on one processor: waking another, idle one costs up to
 * half a millisecond in a virtual machine, and makes every change of page tables known to both.
 */
#ifndef MONITOR_SPAWNED_H
#define MONITOR_SPAWNED_H

#include "machine.h"

#include <sched.h>
#include <signal.h>

struct spawned {
    pid_t pid; /* 0: none */
    int pidfd, control;
    bool pinned;            /* the caller, to the processor it was on; as it was before: */
    cpu_set_t cpus;         /* the sandbox gets them too */
    struct thaw_boot *boot; /* of zeros but for the part below BOOT_TABLES */
    /* Signals for the caller that are meant for the program as soon as it runs: however it is started, the caller has
     * them blocked before its first instruction. */
    sigset_t forwarded;
};

/* Its standard descriptors are the caller's. -1: not to be had here (libthaw in another program; no /proc; execve is
 * forbidden); a start without it forks. */
int spawn_begin(struct spawned *sp);
/* Sends it what it has waited for. The boot area is filled in; then it is the sandbox's. */
int spawn_hand_over(const struct spawned *sp, const struct sandbox_config *config, struct thaw_error *err);
/* Lets the caller run on all its processors again. */
void spawn_unpin(struct spawned *sp);
/* Ends one that was not handed over; nothing if there is none. */
void spawn_cancel(struct spawned *sp);

#endif
