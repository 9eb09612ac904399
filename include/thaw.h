/* SPDX-License-Identifier: MIT */
/*
 * libthaw: start programs in sandboxes, from snapshots, out of C. `thaw` itself is a thin client of it.
 *
 *     struct thaw_error err;
 *     struct thaw_store *store;
 *     struct thaw_image *image;
 *     struct thaw_sandbox *sandbox;
 *     struct thaw_status status;
 *     const char *argv[] = {"python3", "-c", "print('hello')", NULL};
 *     struct thaw_start start = {.size = sizeof start, .argv = argv, .stdio = {0, 1, 2}};
 *
 *     if (thaw_store_open(&store, &err) || thaw_image_open(store, "python", &image, &err) ||
 *         (start.image = image, thaw_sandbox_start(store, &start, &sandbox, &err)) ||
 *         thaw_sandbox_wait(sandbox, -1, &status, &err) < 0)
 *         fprintf(stderr, "%s\n", err.text);
 *
 * Rules that hold throughout:
 *  - There is no global state. Any number of stores, images, snapshots and sandboxes may exist side by side. One
 *    handle may be used by one thread at a time; different handles by different threads at the same time.
 *  - A function that can fail takes a struct thaw_error, fills it and returns -1. err may not be NULL.
 *  - What a function hands out through a pointer to a handle is the caller's, to be given back by the ..._close or
 *    ..._free of its kind, which accept NULL. Strings and arrays that are passed in are only read during the call.
 *  - Times are nanoseconds of CLOCK_MONOTONIC, durations nanoseconds, sizes bytes, unless a name says otherwise.
 *  - The library changes no signal handlers, no working directory, no umask and no environment, and starts no
 *    threads. A sandbox is a child process: a caller that waits for any child (waitpid(-1)) takes away its status.
 */
#ifndef THAW_H
#define THAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define THAW_VERSION "0.1.0"

/* Exit statuses of the thaw command; struct thaw_error carries the one that fits. */
#define THAW_STATUS_TIMEOUT 124 /* the program ran out of its time */
#define THAW_STATUS_FAILED 125  /* Thaw itself failed, or was asked for what cannot be */
#define THAW_STATUS_NOT_EXECUTABLE 126
#define THAW_STATUS_NOT_FOUND 127
#define THAW_STATUS_SIGNAL 128 /* plus the number of the signal that killed the program */
#define THAW_STATUS_OUT_OF_MEMORY 137

/* One clear line for a user: what went wrong, with which file, what to do about it. */
struct thaw_error {
    int exit_status; /* THAW_STATUS_* */
    int error;       /* errno, or 0 where none fits */
    char text[512];  /* NUL-terminated, one line, no newline at its end */
};

/* What a sandbox runs on; see docs/security.md for how they differ in strength. */
enum thaw_machine {
    THAW_MACHINE_AUTO = 0,    /* what fits this host: see `thaw doctor` */
    THAW_MACHINE_PROCESS = 1, /* a host process confined by seccomp */
    THAW_MACHINE_KVM = 2      /* a virtual machine. Without a usable KVM a start fails */
};

struct thaw_store;    /* where images and snapshots lie */
struct thaw_image;    /* an open root image, its contents checked */
struct thaw_snapshot; /* an open snapshot, checked */
struct thaw_sandbox;  /* a started sandbox */

/* ---- where things lie ---- */

/*
 * Reads THAW_IMAGE_PATH, XDG_DATA_HOME, XDG_CACHE_HOME and HOME (see thaw(1), FILES) and keeps copies. Creates
 * nothing. EACCES: without a HOME the directory /tmp/thaw-UID would be used, but it is not this user's alone.
 */
int thaw_store_open(struct thaw_store **store, struct thaw_error *err);
void thaw_store_close(struct thaw_store *store);

/* ---- images ---- */

/*
 * Opens the image NAME of the store, or the EROFS file at a path (a name with a '/' in it). Its checksum is
 * verified, unless a stamp beside it or in the user's cache says that this very file was verified before and has
 * not been written since. ENOENT: there is none; EBADMSG: truncated or altered. The handle may be shared by
 * many sandboxes and must live until each has been started.
 */
int thaw_image_open(struct thaw_store *store, const char *name, struct thaw_image **image, struct thaw_error *err);
void thaw_image_close(struct thaw_image *image);

/*
 * How an image that was made of a container image is to be started: its entrypoint and command, its environment
 * (NAME=VALUE) and working directory. NULL-terminated lists, *cwd NULL if it names none; all of it lives as long as the
 * handle. Empty for other images.
 */
int thaw_image_defaults(struct thaw_image *image, const char *const **argv, const char *const **env, const char **cwd,
                        struct thaw_error *err);

/* ---- snapshots ---- */

/*
 * Opens the snapshot NAME of the store, or the one at a path, for this image on this host. It belongs to the machine
 * that it was made on. ENOENT: there is none.
 * ESTALE: it belongs to another build of Thaw, image, machine or CPU. EBADMSG: damaged.
 * Like the image, it must live until the sandboxes restored from it have been started.
 */
int thaw_snapshot_open(struct thaw_store *store, const struct thaw_image *image, const char *name,
                       struct thaw_snapshot **snapshot, struct thaw_error *err);
void thaw_snapshot_close(struct thaw_snapshot *snapshot);

/* What a snapshot is to be taken of. Set size to sizeof(struct thaw_creation) and leave unused fields zero. */
struct thaw_creation {
    size_t size;
    uint64_t memory; /* as in struct thaw_start */
    enum thaw_machine machine;
    const char *warm; /* Python source that is run before; or NULL */
    /* NULL-terminated: a program of the image that makes the snapshot call by itself (docs/abi.md). NULL: the image's
     * Python, which does right after its initialisation, or behind the warm code. */
    const char *const *argv;
    /* Python source of a typical program, or NULL. It is run once, restored, with no arguments, no input and its output
     * thrown away: what it writes to will lie in huge pages, at most 24 (48 MiB), of each sandbox's own. */
    const char *train;
    uint32_t cpus; /* as in struct thaw_start; each start from the snapshot has its own number */
};

/*
 * Boots the image cold, takes the snapshot and keeps it as NAME (or at a path). An older one of that name is replaced
 * in one step. creation may be NULL. EBUSY: the program was in no state to be saved, the text says why.
 */
int thaw_snapshot_create(struct thaw_store *store, const struct thaw_image *image, const char *name,
                         const struct thaw_creation *creation, struct thaw_error *err);

/* ---- sandboxes ---- */

/* A directory or a file of the host, to be seen in the sandbox. */
struct thaw_mount {
    const char *host;  /* as open(2) takes it; must exist */
    const char *guest; /* absolute; the directories above it are made as needed, in the sandbox only */
    bool rdonly;
};
#define THAW_MOUNT_MAX 64

/* Instead of a descriptor in thaw_start.stdio. */
#define THAW_STDIO_NULL (-1) /* /dev/null */
#define THAW_STDIO_PIPE (-2) /* the library makes a pipe; thaw_sandbox_stdio() gives the near end */

/* How to find the snapshot. */
enum thaw_mode {
    THAW_MODE_AUTO = 0, /* the automatic one of this image; boot cold and make it where there is none */
    THAW_MODE_COLD = 1, /* none: boot cold, and leave none behind */
    THAW_MODE_FROM = 2  /* thaw_start.snapshot */
};

#define THAW_START_STRACE 1u /* each system call of the program is logged on its standard error */
#define THAW_START_HARDEN 2u /* namespaces and Landlock on top of the seccomp filter; starts take longer */
#define THAW_START_EXEC 4u   /* argv[0] is a program of the root, not Python's words; restored in THAW_MODE_FROM only */

/* What a start brings. Set size to sizeof(struct thaw_start) and leave unused fields zero. */
struct thaw_start {
    size_t size;
    const struct thaw_image *image; /* the root; or NULL: root */
    const char *root;               /* a host directory as the root, read-only; its writes go to memory */
    enum thaw_mode mode;
    const struct thaw_snapshot *snapshot;
    const char *const *argv; /* NULL-terminated. Without THAW_START_EXEC: "python3", then what python takes */
    /* "NAME=VALUE", NULL-terminated, added to (and replacing) PATH, HOME=/root and LANG=C.UTF-8. NULL: nothing.
     * PYTHON*, LC_* and LANG, which the interpreter reads only when it begins, make a THAW_MODE_AUTO start cold. */
    const char *const *env;
    const char *cwd; /* absolute guest path; NULL: /root, with THAW_START_EXEC: / */
    /* Descriptors of the caller that become 0, 1 and 2; they stay open and stay the caller's. Or THAW_STDIO_*. */
    int stdio[3];
    const struct thaw_mount *mounts;
    size_t mount_count;        /* at most THAW_MOUNT_MAX, less one for root */
    uint64_t memory;           /* bytes the program may use; 0: 256 MiB */
    uint32_t flags;            /* THAW_START_* */
    enum thaw_machine machine; /* with THAW_MODE_FROM THAW_MACHINE_AUTO is the snapshot's */
    /* Called with one line when the library recovers from something worth knowing, such as a damaged automatic
     * snapshot. May be NULL. */
    void (*notice)(void *arg, const char *line);
    void *notice_arg;
    /* Processors. 0: on the process machine all that the caller may use, which are the most it has; on kvm, whose are
     * its own and 16 at most, 1. */
    uint32_t cpus;
};

/* How a sandbox ended. */
enum thaw_end {
    THAW_END_EXITED = 1, /* code: the program's exit status */
    THAW_END_SIGNALED,   /* code: the signal */
    THAW_END_MEMORY,     /* the program needed more memory than it may have */
    THAW_END_EXEC,       /* the program could not be executed; code: errno */
    THAW_END_STOPPED,    /* by thaw_sandbox_stop() */
    THAW_END_BROKEN      /* the guest's kernel gave up or was killed: a fault of Thaw or of the host; text says */
};
struct thaw_status {
    enum thaw_end end;
    int code;
    int exit_status; /* what a shell would see: code, 128 + signal, 137, 126, 127 or 125 */
    char text[256];  /* one line, or "" */
};

/*
 * What a start took. Points in time are 0 where they were not reached. The numbers between entry and exit come
 * from the sandbox: they are as honest as it is.
 */
struct thaw_statistics {
    bool restored;
    bool snapshot_made;
    uint64_t start_ns;            /* thaw_sandbox_start() was called */
    uint64_t fork_ns;             /* the sandbox's process has been made */
    uint64_t entry_ns;            /* first instruction of its kernel */
    uint64_t mapped_ns;           /* its memory is in place */
    uint64_t user_ns;             /* first instruction of the program */
    uint64_t snapshot_ns;         /* the program asked for a snapshot */
    uint64_t exit_ns;             /* the program has ended */
    uint64_t end_ns;              /* the sandbox's process was seen to be gone */
    uint64_t snapshot_us;         /* time spent on making a snapshot */
    uint64_t pages_populated;     /* pages of 4096 bytes copied or faulted in before the program went on */
    uint64_t pages_mapped;        /* pages mapped from the snapshot and the image */
    uint64_t syscalls;            /* of the program, served by its kernel */
    uint64_t unimplemented;       /* of these, answered with ENOSYS */
    uint64_t monitor_calls;       /* of its kernel to this library */
    uint64_t faults;              /* page faults and signals that its kernel saw */
    enum thaw_machine machine;    /* which it ran on, never THAW_MACHINE_AUTO */
    uint64_t vm_exits, vm_ioctls; /* kvm: returns from the guest, and calls to KVM, these included; 0 before the end */
    uint64_t vm_slots;            /* kvm: pieces of memory that KVM knows */
    uint64_t memory_peak;         /* resident set of the sandbox at its largest, bytes; 0 before the end */
    uint64_t cpu_user_us, cpu_system_us; /* 0 before the end */
};

/*
 * Starts a sandbox. It runs by itself; but its calls on host directories, and the making of its snapshot, are served
 * by thaw_sandbox_step(), thaw_sandbox_wait() and thaw_sandbox_communicate() in the calling process. It is killed
 * when the thread that started it ends.
 */
int thaw_sandbox_start(struct thaw_store *store, const struct thaw_start *start, struct thaw_sandbox **sandbox,
                       struct thaw_error *err);
/* Stops the sandbox if it still runs, closes its pipes, frees the handle. */
void thaw_sandbox_free(struct thaw_sandbox *sandbox);

/*
 * The near end of a THAW_STDIO_PIPE: n 0 to write to (a socket: send with MSG_NOSIGNAL spares a SIGPIPE), 1 and 2
 * to read from. -1 where there is none. It stays the sandbox's, and is closed by thaw_sandbox_free(); after
 * thaw_sandbox_take_stdio() it is the caller's.
 */
int thaw_sandbox_stdio(const struct thaw_sandbox *sandbox, int n);
int thaw_sandbox_take_stdio(struct thaw_sandbox *sandbox, int n);

/* For an event loop: call thaw_sandbox_step() when one of these descriptors (-1: none) is readable or hung up. */
void thaw_sandbox_fds(const struct thaw_sandbox *sandbox, int fds[3]);
/* Serves what has come, does not wait. 1: the sandbox has ended, 0: it runs, -1: it had to be stopped. */
int thaw_sandbox_step(struct thaw_sandbox *sandbox, struct thaw_error *err);

/*
 * Serves the sandbox until it has ended, for timeout nanoseconds at most (negative: without end, 0: no wait).
 * 1: it has ended, *status says how (status may be NULL); 0: the time is over and it still runs; -1: it had to be
 * stopped, *status is filled in as well. May be called again afterwards, with the same answer. EINTR is not an error.
 */
int thaw_sandbox_wait(struct thaw_sandbox *sandbox, int64_t timeout, struct thaw_status *status,
                      struct thaw_error *err);

/* A buffer that thaw_sandbox_communicate() fills: malloc'ed, the caller's to free, NULL if nothing came. */
struct thaw_output {
    unsigned char *data;
    size_t len;
    size_t max; /* set by the caller: bytes to keep at most; what comes after is read and dropped, and counted: */
    uint64_t dropped;
};
/*
 * Writes input to the sandbox's standard input and closes it, gathers its output, and waits, all at once, so that
 * no side can block the other. Only for the descriptors that are THAW_STDIO_PIPE; out and errout may be NULL where
 * nothing is to be kept. Returns as thaw_sandbox_wait() does; after 0 (timeout) what came so far is in the buffers,
 * and the input that was not taken is lost.
 */
int thaw_sandbox_communicate(struct thaw_sandbox *sandbox, const void *input, size_t input_len, struct thaw_output *out,
                             struct thaw_output *errout, int64_t timeout, struct thaw_status *status,
                             struct thaw_error *err);

/* Sends the program a signal (1 to 64), as kill(2) would. ESRCH: it has ended. SIGKILL ends the whole sandbox. */
int thaw_sandbox_signal(struct thaw_sandbox *sandbox, int signal, struct thaw_error *err);
/* Kills the sandbox and waits until it is gone. Nothing, if it has ended. */
void thaw_sandbox_stop(struct thaw_sandbox *sandbox);

/* May be asked at any time; complete once the sandbox has ended. */
void thaw_sandbox_statistics(const struct thaw_sandbox *sandbox, struct thaw_statistics *statistics);
/* True as long as the sandbox, booted cold, may still ask for the snapshot that was promised to it. */
bool thaw_sandbox_snapshot_pending(const struct thaw_sandbox *sandbox);

#ifdef __cplusplus
}
#endif

#endif
