/* SPDX-License-Identifier: MIT */
/* Inside libthaw: a started sandbox, and what a machine back end does for it. */
#ifndef MONITOR_SANDBOX_H
#define MONITOR_SANDBOX_H

#include "thaw.h" /* struct thaw_error: one clear line for the user, and an exit status */
#include "thaw_abi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Fills *err, returns -1. */
int thaw_error_set(struct thaw_error *err, int exit_status, int error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

struct share_set; /* share.c: the host directories a sandbox may reach, and its open handles on them */
struct snapshot_key;
struct trained;
struct cpuid; /* kvm_cpuid.h */
struct cpuid_entry;
struct machine;  /* machine.h */
struct spawned;  /* spawned.h */
struct snapshot; /* snapshot.c: an open, checked snapshot file */

/* What a start needs. Descriptors stay the caller's. */
struct sandbox_config {
    const struct machine *machine;
    int stdio[3];
    int image_fd; /* -1: share 0 is the root */
    uint64_t image_size;
    uint64_t memory_limit;
    uint32_t cpus;                      /* as in struct thaw_start */
    const struct thaw_request *request; /* request->size bytes */
    struct share_set *shares;
    int preload_share;              /* the file that the program will read first; -1: not known */
    const char *preload_path;       /* in that share */
    const struct snapshot *restore; /* NULL: cold boot */
    const struct cpuid *cpuid;      /* kvm: the processor that the guest is to see */
    const struct snapshot_key *key; /* what a snapshot made by this start will be good for; with snapshot_to */
    const char *training;           /* Python source that its training run executes; NULL: a hello */
    const char *snapshot_to;        /* cold boot: path to write the snapshot to, if the guest asks; or NULL */
    struct spawned *spawned;        /* NULL, or a process that the start may take for its own; its pid is 0 then */
    bool strace, harden, train;
    bool exec; /* not Python: a training run starts what was started */
};

struct processes; /* processes.c: the host processes of a sandbox beside its first */

struct sandbox {
    pid_t pid;
    int pidfd;              /* becomes readable when the sandbox process has ended */
    int control;            /* SOCK_SEQPACKET to the kernel */
    struct thaw_boot *boot; /* shared with the sandbox: everything in it is untrusted */
    bool boot_kept;         /* stays mapped */
    uint32_t region_off;    /* what boot->region_off was set to */
    uint64_t kvm_off;       /* likewise */
    uint64_t
        memory_bias; /* where the sandbox's process has a region of memory, less the region's start (modulo 2^64) */
    void *reserved;  /* kvm: an address range kept free for guest memory until the child has it */
    size_t reserved_size;
    struct share_set *shares;
    int proc;                    /* /proc, opened before the monitor confines itself; or -1 */
    struct processes *processes; /* NULL until the sandbox asks for one */
    const struct sandbox_config *config;
    bool snapshot_made;
    uint64_t pages_populated, pages_mapped, snapshot_us;
    struct trained *trained; /* training run: where snapshot_trained() puts what it saw */
    /* Called (unless NULL) when the snapshot call has been served, before its reply lets the guest go on. */
    void (*snapshot_served)(void *arg);
    void *snapshot_served_arg;
};

/* ---- machine.c ---- */
int machine_start(struct sandbox *sb, const struct sandbox_config *config, struct thaw_error *err);
/* Kills what is still alive, waits, frees. wstatus as of waitpid, may be NULL. */
void machine_stop(struct sandbox *sb, int *wstatus);
/* A descriptor of /proc, which stays the sandbox's; opened when it is first asked for: before the monitor has confined
 * itself. -1: it cannot be had. */
int machine_proc(struct sandbox *sb);

/* ---- snapshot_take.c ---- */
/* Serves THAW_CALL_SNAPSHOT: writes, syncs and renames config->snapshot_to, after a training run. Returns the reply's ret. */
int64_t snapshot_take(struct sandbox *sb, const struct thaw_call *call, struct thaw_error *err);
/* Serves THAW_CALL_TRAINED. */
int64_t snapshot_trained(struct sandbox *sb, const struct thaw_call *call);

/* ---- processes.c ---- */

/* Serves THAW_CALL_PROCESSES: makes the memory file, listens to what the filter asks. Size of the file or -errno. */
int64_t processes_prepare(struct sandbox *sb, const struct thaw_call *call);
/* THAW_CALL_PROCESS, THAW_CALL_KICK: what is not true of this sandbox is ignored. */
void processes_add(struct sandbox *sb, uint64_t pid);
void processes_kick(struct sandbox *sb, uint64_t pid, uint64_t tid);
/* Readable when a process wants to make another; -1: none ever did. */
int processes_fd(const struct sandbox *sb);
/* Decides one such question. */
void processes_serve(struct sandbox *sb);
/* Kills all but the first process, which is dead, and waits until none is left. */
void processes_end(struct sandbox *sb);

/* ---- control.c: reads one packet from sb->control, checks it, has it served, answers. -1: the peer is gone or broke
 * the protocol (err says how). ---- */
int control_serve(struct sandbox *sb, struct thaw_error *err);

/* ---- share.c ---- */
struct share_set *share_set_create(void);
void share_set_free(struct share_set *set);
/* Opens host_path (a directory or a file) as the next share; its number, or -1 with err. */
int share_add(struct share_set *set, const char *host_path, bool rdonly, struct thaw_error *err);
/* Serves one file call; data is call->len bytes, reply has room for THAW_CALL_DATA_MAX bytes; *reply_len is set. */
int64_t share_serve(struct share_set *set, const struct thaw_call *call, const void *data, void *reply,
                    uint32_t *reply_len);

/* ---- answers.c: serves the calls that reading a file of share takes, and writes their answers to buf; bytes used ---- */
size_t answers_build(struct share_set *set, int share, const char *path, void *buf, size_t room);

/* ---- snapshot.c: the file format (docs/snapshot-format.md) ---- */

struct snapshot_key {
    uint8_t kernel[16]; /* build of the kernel */
    uint8_t image[16];  /* contents of the image */
    uint8_t machine[8]; /* "process", "kvm" */
    uint8_t cpu[16];    /* features the CPU and the host kernel offer */
};
struct snapshot {
    int fd;
    bool cold; /* its beginning was not in the page cache */
    uint64_t size;
    struct snapshot_key key;
    uint64_t resume;
    uint64_t memory_limit;
    uint64_t created_ns;
    const struct thaw_region *regions;
    uint32_t region_count;
    uint32_t populate_count;         /* of these, hints */
    const struct cpuid_entry *cpuid; /* kvm: the processor that its guest saw */
    uint32_t cpuid_count;
    void *tables; /* owns regions and cpuid */
};

enum snapshot_result { SNAPSHOT_OK, SNAPSHOT_ABSENT, SNAPSHOT_STALE, SNAPSHOT_DAMAGED, SNAPSHOT_ERROR };
/* Opens and checks header and tables; every page too, unless a stamp says that this very file was checked before and
 * has not been written since (full: always). key NULL: any. */
enum snapshot_result snapshot_open(struct snapshot *s, const char *path, const struct snapshot_key *key, bool full,
                                   struct thaw_error *err);
void snapshot_close(struct snapshot *s);

/* Fills machine, kernel and cpu; the image's part is the caller's. */
int snapshot_key_init(struct snapshot_key *key, const struct machine *machine, struct thaw_error *err);

/* True if the file has not been changed since stamp_write() recorded it after a full check (device, inode, size,
 * mtime, ctime); the stamp lies beside it as PATH.stamp. */
bool stamp_valid(const char *path, int fd, uint8_t checksum[16]);
void stamp_write(const char *path, int fd, const uint8_t checksum[16]);

#endif
