/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "stats.h"

#include "json.h"

#include <errno.h>
#include <unistd.h>

/* A phase ends at a point in time that may not have been reached, or that the sandbox may lie about: 0 then. */
static uint64_t phase_us(uint64_t from, uint64_t to) { return from && to > from ? (to - from) / 1000 : 0; }

int stats_write(int fd, const struct thaw_statistics *s, const struct thaw_status *status, uint64_t process_ns)
{
    /* A restored start has no first user instruction of its own but where the snapshot goes on. */
    uint64_t user = s->user_ns ? s->user_ns : s->mapped_ns;
    char text[4096];
    struct json j;
    ssize_t n;
    int len;

    json_begin(&j, text, sizeof text);
    json_string(&j, "start", s->restored ? "restored" : "cold");
    json_string(&j, "machine", s->machine == THAW_MACHINE_KVM ? "kvm" : "process");
    json_bool(&j, "snapshot_made", s->snapshot_made);
    json_number(&j, "exit_status", (uint64_t)status->exit_status);
    json_object(&j, "phases_us");
    json_number(&j, "options", phase_us(process_ns, s->start_ns));
    json_number(&j, "fork", phase_us(s->start_ns, s->fork_ns));
    json_number(&j, "kernel_entry", phase_us(s->fork_ns, s->entry_ns));
    json_number(&j, "mapped", phase_us(s->entry_ns, s->mapped_ns));
    json_number(&j, "user", phase_us(s->mapped_ns, user));
    json_number(&j, "program", phase_us(user, s->exit_ns));
    json_number(&j, "end", phase_us(s->exit_ns, s->end_ns));
    json_number(&j, "total", phase_us(process_ns, s->end_ns));
    json_close(&j);
    json_object(&j, "since_start_us");
    json_number(&j, "sandbox_start", phase_us(process_ns, s->start_ns));
    json_number(&j, "forked", phase_us(process_ns, s->fork_ns));
    json_number(&j, "kernel_entry", phase_us(process_ns, s->entry_ns));
    json_number(&j, "mapped", phase_us(process_ns, s->mapped_ns));
    json_number(&j, "user", phase_us(process_ns, user));
    json_number(&j, "snapshot", phase_us(process_ns, s->snapshot_ns));
    json_number(&j, "exit", phase_us(process_ns, s->exit_ns));
    json_number(&j, "end", phase_us(process_ns, s->end_ns));
    json_close(&j);
    json_number(&j, "snapshot_us", s->snapshot_us);
    json_number(&j, "pages_populated", s->pages_populated);
    json_number(&j, "pages_mapped", s->pages_mapped);
    json_number(&j, "syscalls", s->syscalls);
    json_number(&j, "syscalls_unimplemented", s->unimplemented);
    json_number(&j, "monitor_calls", s->monitor_calls);
    json_number(&j, "faults", s->faults);
    json_number(&j, "vm_exits", s->vm_exits);
    json_number(&j, "vm_ioctls", s->vm_ioctls);
    json_number(&j, "vm_slots", s->vm_slots);
    json_number(&j, "memory_peak_bytes", s->memory_peak);
    json_number(&j, "cpu_user_us", s->cpu_user_us);
    json_number(&j, "cpu_system_us", s->cpu_system_us);
    len = json_end(&j);
    if (len < 0) {
        errno = EOVERFLOW;
        return -1;
    }
    do
        n = write(fd, text, (size_t)len);
    while (n < 0 && errno == EINTR);
    return n == len ? 0 : -1;
}
