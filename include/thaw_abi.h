/* SPDX-License-Identifier: MIT */
/*
 * The contract between the guest kernel and the monitor.
 *
 * Self-contained C99; both sides include it. THAW_ABI_VERSION changes whenever anything below
 * changes its meaning or its layout. docs/abi.md is the prose to it.
 *
 * Whatever the kernel writes into these structures is untrusted input to the monitor.
 */
#ifndef THAW_ABI_H
#define THAW_ABI_H

#include <stddef.h>
#include <stdint.h>

#define THAW_ABI_VERSION 6u
#define THAW_PAGE_SIZE 4096u

/* The snapshot call: int $0x80 with this number in eax (on Linux the unused i386 ftime). */
#define THAW_SNAPSHOT_NR 35
/* What it returns, besides a negative errno. */
#define THAW_SNAPSHOT_TAKEN 0    /* the snapshot exists, the sandbox that asked goes on */
#define THAW_SNAPSHOT_RESTORED 1 /* this sandbox was started from the snapshot */

/* ---- memory map ---- */

#define THAW_USER_START 0x0000000000010000ull
#define THAW_USER_END 0x0000700000000000ull /* guest programs live below, the kernel above */
#define THAW_WINDOW_START 0x0000700000000000ull
#define THAW_BOOT_ADDR 0x0000700000000000ull   /* struct thaw_boot and its area, shared */
#define THAW_KERNEL_ADDR 0x0000700000800000ull /* the kernel image */
#define THAW_KERNEL_END 0x0000700001000000ull
#define THAW_KSTACK_ADDR 0x0000700010000000ull /* one slot a thread */
#define THAW_KSTACK_END 0x0000700050000000ull
#define THAW_HEAP_ADDR 0x0000700100000000ull
#define THAW_HEAP_END 0x0000701000000000ull
#define THAW_IMAGE_ADDR 0x0000701000000000ull /* the root image, read-only */
/* Process machine: an image of this size at most lies here instead, within one page table of the kernel's. */
#define THAW_IMAGE_NEAR_ADDR 0x0000700002000000ull
#define THAW_IMAGE_NEAR_MAX (THAW_KSTACK_ADDR - THAW_IMAGE_NEAR_ADDR)
#define THAW_WINDOW_END 0x0000710000000000ull
/* What the host gives a process ends here; above the window only the host's vDSO is left. */
#define THAW_HOST_END 0x00007ffffffff000ull

/* ---- the kvm machine: the same addresses, by its own page tables, and memory of its own below them ---- */

#define THAW_KVM_BOOT_GPA 0x0000000000000000ull  /* slot 0: the boot area */
#define THAW_KVM_IMAGE_GPA 0x0000000040000000ull /* slot 1: the root image, read-only */
#define THAW_KVM_IMAGE_MAX 0x00000003c0000000ull
#define THAW_KVM_RAM_GPA 0x0000000400000000ull /* slot 2: memory; the kernel image is loaded at its start */
#define THAW_KVM_RAM_MAX 0x0000000c00000000ull
#define THAW_KVM_PORT 0x7461u /* out to it, any width: the processor's call in struct thaw_kvm is to be served */
#define THAW_KVM_VECTOR 0x20u /* the interrupt that says: look at thaw_kvm.events and at your own of thaw_kvm.kicks */
#define THAW_KVM_CPUS_MAX 16u

/* Descriptors of the sandbox process; it holds no others. */
#define THAW_FD_STDIN 0
#define THAW_FD_STDOUT 1
#define THAW_FD_STDERR 2
#define THAW_FD_CONTROL 3  /* SOCK_SEQPACKET to the monitor: struct thaw_call */
#define THAW_FD_IMAGE 4    /* the root image, read-only; absent with a host directory as root */
#define THAW_FD_SNAPSHOT 5 /* the snapshot, read-only; closed before the guest runs unless regions are deferred */
#define THAW_FD_MEMORY 7   /* memory that processes share; from the first fork on */

#define THAW_SIG_KICK 16     /* SIGSTKFLT: calls a thread of the sandbox into its kernel */
#define THAW_PROCESS_MAX 256 /* host processes of a sandbox */

/* ---- the request: what a start brings. Also what read(2) of /dev/thaw returns. ---- */

#define THAW_REQUEST_MAGIC 0x71657274u /* "treq" */
#define THAW_REQUEST_MAX (1u << 20)

/*
 * Followed by data_size bytes: the NUL-terminated strings of argv, then of env ("NAME=VALUE"),
 * then cwd, then the preloaded files, each where the offsets (from the start of this structure) say.
 */
struct thaw_request {
    uint32_t magic;
    uint32_t size; /* of the whole request, this header included */
    uint32_t argc;
    uint32_t envc;
    uint32_t argv_off; /* argc strings, one after the other */
    uint32_t env_off;  /* envc strings */
    uint32_t cwd_off;  /* one string, absolute guest path */
    uint32_t umask;
    uint32_t stdio_tty;   /* bit n: descriptor n of the caller is a terminal */
    uint32_t share_count; /* struct thaw_share[] at share_off */
    uint32_t share_off;
    uint32_t exe_off; /* one string: the program to execute, a path, or a name to look up in env's PATH */
};

/* A host directory (or file) seen in the guest. The index is the share number in file calls. */
struct thaw_share {
    uint32_t path_off; /* absolute guest path, from the start of the request */
    uint32_t flags;    /* THAW_SHARE_* */
};
#define THAW_SHARE_RDONLY 1u
#define THAW_SHARE_ROOT 2u /* this share is the root file system */
#define THAW_SHARE_MAX 64u

/* ---- boot information ---- */

#define THAW_BOOT_MAGIC 0x746f6f6277616874ull /* "thawboot" */
#define THAW_BOOT_AREA (4u << 20)             /* bytes at THAW_BOOT_ADDR */

#define THAW_BOOT_RESTORE 1u   /* regions describe a snapshot to resume */
#define THAW_BOOT_SNAPSHOT 2u  /* the snapshot call may be honoured once */
#define THAW_BOOT_STRACE 4u    /* log every system call to descriptor 2 */
#define THAW_BOOT_HOST_ROOT 8u /* the root is share 0, not an image */
#define THAW_BOOT_TRAIN 16u    /* training run: stop in THAW_CALL_TRAINED before exit */
#define THAW_BOOT_FSGSBASE 32u /* the host lets user mode use wrfsbase */

/* A piece of the sandbox's memory: snapshot's memory map, and what a restore does in order. */
struct thaw_region {
    uint64_t start;  /* page-aligned address */
    uint64_t len;    /* bytes, page-aligned */
    uint64_t offset; /* in the image or the snapshot file, page-aligned */
    uint32_t prot;   /* PROT_* on the host */
    uint32_t kind;   /* THAW_REGION_* */
};
#define THAW_REGION_ZERO 1u     /* anonymous, all zero */
#define THAW_REGION_IMAGE 2u    /* private mapping of the image, not modified */
#define THAW_REGION_DATA 3u     /* contents are in the snapshot */
#define THAW_REGION_POPULATE 4u /* a hint: fault [start, start+len) in, for writing if prot has PROT_WRITE */
#define THAW_REGION_HUGE 5u     /* as ZERO, of THAW_HUGE_SIZE and so aligned: a huge page if there is one */
#define THAW_REGION_COPY 6u     /* contents are in the snapshot: read into the HUGE region before it */
#define THAW_HUGE_SIZE (2u << 20)
#define THAW_HUGE_MAX 24u /* each is private memory of the sandbox */
#define THAW_REGION_MAX 4096u

/* What the kernel counts; read by the monitor after the sandbox has ended. */
struct thaw_stats {
    uint64_t syscalls;      /* served */
    uint64_t unimplemented; /* of these, answered with -ENOSYS for want of an implementation */
    uint64_t monitor_calls; /* sent to the monitor */
    uint64_t faults;        /* page faults and signals of the guest seen by the kernel */
    uint64_t t_entry_ns;    /* CLOCK_MONOTONIC of the host: first instruction of the kernel */
    uint64_t t_mapped_ns;   /* memory is in place */
    uint64_t t_user_ns;     /* about to enter user mode for the first time */
    uint64_t t_snapshot_ns; /* the snapshot call came */
    uint64_t t_exit_ns;     /* the last task has ended */
};

#define THAW_EXIT_NONE 0u
#define THAW_EXIT_CODE 1u   /* code: 0..255 */
#define THAW_EXIT_SIGNAL 2u /* code: 1..64 */
#define THAW_EXIT_OOM 3u    /* killed for want of memory */
#define THAW_EXIT_PANIC 4u  /* the kernel gave up; text says why */
#define THAW_EXIT_EXEC 5u   /* the first program could not be executed; code: errno */

struct thaw_exit {
    uint32_t kind;
    uint32_t code;
    char text[248]; /* NUL-terminated if the kernel is honest */
};

/* What the vDSO reads; user mode sees it. */
struct thaw_vdso {
    uint64_t start, end;      /* the host's vDSO and its data, left in place; 0: none */
    uint64_t base;            /* its ELF header */
    uint64_t clock_gettime;   /* in it, or 0; the kernel's to set */
    int64_t monotonic_offset; /* guest's CLOCK_MONOTONIC less the host's, ns; the kernel's to set */
};

struct thaw_boot {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint64_t memory_limit; /* bytes the guest may use */
    uint64_t image_size;   /* bytes; 0 with a host root */
    uint32_t request_off;  /* from the start of this structure */
    uint32_t request_size;
    uint32_t region_off; /* struct thaw_region[THAW_REGION_MAX] */
    uint32_t region_count;
    uint32_t deferred; /* process machine: how many of them are mapped when they are touched; their start is odd */
    uint32_t reserved;
    uint64_t program[2]
                    [2]; /* process machine: starts and ends of all that is mapped below the boot area; 0: not known */
    uint32_t filter_off; /* struct sock_filter[filter_len], installed before the guest runs */
    uint32_t filter_len;
    uint32_t cpus;                      /* processors the sandbox may use: the host's, on the kvm machine its own */
    uint32_t host_pid;                  /* of the sandbox process */
    uint32_t answers_off, answers_size; /* struct thaw_answer records */
    uint64_t hwcap, hwcap2;             /* the host's AT_HWCAP, AT_HWCAP2 */
    uint64_t resume;                    /* snapshot: where the kernel goes on; opaque to the monitor */
    uint8_t entropy[64];                /* fresh for every start */
    struct thaw_stats stats;
    struct thaw_exit exit;
    struct thaw_vdso vdso;
    uint64_t kvm_off; /* struct thaw_kvm; 0 on the process machine */
};

/*
 * ---- calls to the monitor ----
 * On the process machine over THAW_FD_CONTROL, one packet each way; on the kvm machine by thaw_kvm.call. What is passed
 * is always copied: no address of the guest's ever means anything to the monitor.
 */

#define THAW_CALL_DATA_MAX 65536u
#define THAW_CALL_NAME_MAX 4096u

enum thaw_call_op {
    THAW_CALL_SNAPSHOT = 1, /* regions are in the boot area; arg[0]: their number; reply.ret 0 or -errno */
    THAW_CALL_TRAINED = 2,  /* training run is over; the monitor looks at the memory, then ends us */
    /* Processes. The first is answered: arg[0] is the kernel's descriptor for seccomp's notifications, arg[1] the bytes
     * of the memory file that it needs beside its heap -> ret: the file's size; the kernel's memfd_create(2) that
     * follows is answered by the monitor with THAW_FD_MEMORY. The others are not answered. */
    THAW_CALL_PROCESSES = 3,
    THAW_CALL_PROCESS = 4, /* arg[0]: pid of a new process of the sandbox */
    THAW_CALL_KICK = 5,    /* arg[0], arg[1]: pid and tid of a thread of the sandbox that is to get THAW_SIG_KICK */
    THAW_CALL_OVER = 6,    /* boot->exit is filled in: the sandbox is over */
    /* The host share. arg[0] is the share number; paths are relative to it, without a leading '/',
     * "" for the share itself; ".." and absolute symbolic links are never followed out of it. */
    THAW_CALL_STAT = 16,      /* data: path -> data: struct thaw_stat; symbolic links are not followed */
    THAW_CALL_OPEN = 17,      /* arg[1]: O_* (access mode, CREAT, EXCL, TRUNC, APPEND, DIRECTORY); arg[2]: mode;
                                data: path -> ret: handle; data: struct thaw_stat */
    THAW_CALL_CLOSE = 18,     /* arg[1]: handle; the one call without a reply */
    THAW_CALL_PREAD = 19,     /* arg[1]: handle, arg[2]: offset, arg[3]: count -> ret: bytes; data */
    THAW_CALL_PWRITE = 20,    /* arg[1]: handle, arg[2]: offset, data -> ret: bytes */
    THAW_CALL_READDIR = 21,   /* arg[1]: handle (a directory), arg[2]: position, 0 first -> data: struct thaw_dirent
                                records, 8-byte aligned; ret: their bytes, 0 at the end */
    THAW_CALL_FSTAT = 22,     /* arg[1]: handle -> data: struct thaw_stat */
    THAW_CALL_FTRUNCATE = 23, /* arg[1]: handle, arg[2]: size */
    THAW_CALL_FSYNC = 24,     /* arg[1]: handle */
    THAW_CALL_READLINK = 25,  /* data: path -> ret: length; data */
    THAW_CALL_MKDIR = 26,     /* arg[1]: mode; data: path */
    THAW_CALL_UNLINK = 27,    /* data: path */
    THAW_CALL_RMDIR = 28,     /* data: path */
    THAW_CALL_RENAME = 29,    /* arg[1]: RENAME_* flags; arg[2]: length of the first path; data: old path, new path */
    THAW_CALL_SYMLINK = 30,   /* arg[2]: length of the target; data: target, path */
    THAW_CALL_LINK = 31,      /* arg[2]: length of the first path; data: old path, new path */
    THAW_CALL_CHMOD = 32,     /* arg[1]: mode; data: path */
    THAW_CALL_UTIMENS = 33,   /* arg[1]: atime ns, arg[2]: mtime ns (THAW_TIME_OMIT: leave); data: path */
    THAW_CALL_STATFS = 34,    /* -> data: struct thaw_statfs */
    /* On the kvm machine only: what the process machine's kernel asks of the host itself. */
    THAW_CALL_EXIT = 64,          /* the sandbox ends; thaw_boot.exit says how. Does not return */
    THAW_CALL_CONSOLE_READ = 65,  /* arg[0]: descriptor 0 to 2, arg[1]: count; does not wait -> ret: bytes; data */
    THAW_CALL_CONSOLE_WRITE = 66, /* arg[0]: descriptor, data; does not wait -> ret: bytes, -EAGAIN if none */
    THAW_CALL_CONSOLE_IOCTL = 67, /* arg[0]: descriptor, arg[1]: request, arg[2]: a value if len is 0; data: what the
                                     argument points to -> ret; data: the same after */
    THAW_CALL_WAIT = 68,      /* arg[0]: until then (CLOCK_MONOTONIC of the host, ns; 0: without end), arg[1]: or until
                                     one of these poll(2) events, 16 bits for each descriptor; or an event comes
                                     -> ret: the events that are ready */
    THAW_CALL_TIMER = 69,     /* arg[0]: sets THAW_KVM_EVENT_TIMER then (host's CLOCK_MONOTONIC, ns; 0: never) */
    THAW_CALL_CLOCK = 70,     /* -> arg[0], arg[1]: the host's CLOCK_MONOTONIC and CLOCK_REALTIME, ns */
    THAW_CALL_CPU_START = 71, /* arg[0]: a processor, which begins in its kernel at kvm_image.cpu_entry; once */
    THAW_CALL_CPU_KICK = 72,  /* arg[0]: a processor that is to look at thaw_kvm.kicks: it leaves user mode, or WAIT */
    THAW_CALL_CPU_YIELD = 73  /* the processor waits for another, to which the host may give its own */
};
#define THAW_CALL_KVM THAW_CALL_EXIT
#define THAW_TIME_OMIT UINT64_MAX

/* A request or a reply; len bytes of data follow in the same packet. */
struct thaw_call {
    uint32_t op;  /* enum thaw_call_op; echoed in the reply */
    uint32_t len; /* bytes of data that follow, at most THAW_CALL_DATA_MAX */
    int64_t ret;  /* reply: result, or -errno */
    uint64_t arg[4];
};

/* Page-aligned in the boot area. What the monitor counts is of no use to the kernel. Processors: thaw_boot.cpus. */
struct thaw_kvm {
    uint64_t ram_size;                        /* bytes at THAW_KVM_RAM_GPA */
    uint64_t events;                          /* bit n: signal n has come, bit 0: the timer. Set and taken atomically */
    uint32_t tsc_khz;                         /* of the guest's time stamp counter; 0: it cannot serve as a clock */
    uint32_t slots, exits, ioctls;            /* counted by the monitor */
    uint32_t kicks[THAW_KVM_CPUS_MAX];        /* for each processor: not 0, another has something for it */
    struct thaw_call call[THAW_KVM_CPUS_MAX]; /* one for each processor, answered in place */
    unsigned char data[THAW_CALL_DATA_MAX];
};
#define THAW_KVM_EVENT_TIMER 1u

struct thaw_stat {
    uint64_t ino;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes */
    uint64_t atime_ns, mtime_ns, ctime_ns;
    uint32_t mode; /* S_IF* and permission bits */
    uint32_t nlink;
    uint32_t uid, gid; /* as the guest shall see them: 0 for the caller's own files, else 65534 */
};

struct thaw_dirent {
    uint64_t ino;
    uint64_t next;   /* position behind this record, for the next READDIR */
    uint16_t reclen; /* of the record, a multiple of 8 */
    uint8_t type;    /* DT_* */
    char name[5];    /* NUL-terminated, longer in fact */
};

struct thaw_statfs {
    uint64_t bsize, blocks, bfree, bavail, files, ffree;
    uint32_t namelen, pad;
};

/*
 * A call that the monitor has served before it was made: what a start asks for first is known. The records stand in
 * the boot area, key_len bytes of the call's data and then call.len bytes of the reply's behind each, padded to 8. An
 * answer is good for one call with the same op, arg[0..2] and key, and, of PREAD, an arg[3] of call.len at least; and
 * only for the first THAW_ANSWER_NS after t_entry_ns, so that nobody sees an old file.
 */
struct thaw_answer {
    struct thaw_call call;
    uint32_t key_len;
    uint32_t used;
};
#define THAW_ANSWER_NS 100000000ull

#define THAW_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " changed its layout")
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
THAW_ASSERT_SIZE(struct thaw_request, 48);
THAW_ASSERT_SIZE(struct thaw_share, 8);
THAW_ASSERT_SIZE(struct thaw_region, 32);
THAW_ASSERT_SIZE(struct thaw_stats, 72);
THAW_ASSERT_SIZE(struct thaw_exit, 256);
THAW_ASSERT_SIZE(struct thaw_vdso, 40);
THAW_ASSERT_SIZE(struct thaw_boot, 576);
THAW_ASSERT_SIZE(struct thaw_call, 48);
THAW_ASSERT_SIZE(struct thaw_kvm, 864 + THAW_CALL_DATA_MAX);
THAW_ASSERT_SIZE(struct thaw_answer, 56);
THAW_ASSERT_SIZE(struct thaw_stat, 64);
THAW_ASSERT_SIZE(struct thaw_dirent, 24);
THAW_ASSERT_SIZE(struct thaw_statfs, 56);
#endif

#endif
