/* SPDX-License-Identifier: MIT */
/* `thaw snapshot`. */
#define _GNU_SOURCE
#include "command.h"
#include "kvm_cpuid.h"
#include "libthaw.h"
#include "machine.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "Usage: thaw snapshot create NAME [--image IMAGE] [--machine MACHINE] [--memory SIZE] [--cpus N]\n"
    "                            [--warm CODE|FILE] [--train CODE|FILE]\n"
    "       thaw snapshot create NAME --image IMAGE [--machine MACHINE] [--memory SIZE] [--cpus N] -- PROGRAM "
    "[ARG...]\n"
    "       thaw snapshot list\n"
    "       thaw snapshot inspect NAME [--map]   what it belongs to; its memory map\n"
    "       thaw snapshot verify NAME            check every page\n"
    "       thaw snapshot remove NAME\n"
    "\n"
    "create boots the image's Python, runs the warm code, if any, and takes the snapshot behind it; or it runs a "
    "PROGRAM\n"
    "that asks for the snapshot by itself (docs/abi.md), for `thaw exec --snapshot NAME`.\n"
    "--train names a typical program: it is run once, and what it writes to will be fast to write to, at the price "
    "of\n"
    "more memory for each sandbox (at most 48 MiB).\n"
    "`thaw run` makes its snapshots by itself; these are those that you name, for `thaw run --snapshot NAME`. NAME "
    "may\n"
    "be a path. inspect, verify and remove also take the names of automatic ones, as list prints them.\n";

static int wrong_use(const char *what, struct thaw_error *err)
{
    return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "%s; see `thaw snapshot --help`", what);
}

/* The contents of a file of that name, or else the text itself: malloc'ed. */
static char *code_read(const char *option, const char *text, struct thaw_error *err)
{
    struct stat st;
    FILE *f = stat(text, &st) == 0 && S_ISREG(st.st_mode) ? fopen(text, "re") : NULL;
    char *code;
    size_t n = 0;

    if (!f) {
        code = strdup(text);
        if (!code)
            thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
        return code;
    }
    code = malloc(THAW_REQUEST_MAX);
    if (code)
        n = fread(code, 1, THAW_REQUEST_MAX - 1, f);
    if (!code || ferror(f) || !feof(f) || memchr(code, 0, n)) {
        thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "%s: %s cannot be read, is larger than 1 MiB, or is no source",
                       option, text);
        free(code);
        code = NULL;
    } else {
        code[n] = 0;
    }
    fclose(f);
    return code;
}

static int snapshot_create_command(struct thaw_store *store, char **argv, struct thaw_error *err)
{
    const char *image_name = "python", *memory_text = NULL, *cpus_text = NULL, *machine_name = "auto",
               *warm_text = NULL, *train_text = NULL;
    const struct command_option options[] = {{"--image", &image_name, NULL}, {"--memory", &memory_text, NULL},
                                             {"--cpus", &cpus_text, NULL},   {"--machine", &machine_name, NULL},
                                             {"--warm", &warm_text, NULL},   {"--train", &train_text, NULL}};
    struct thaw_creation creation = {.size = sizeof creation};
    struct thaw_image *image;
    char *warm = NULL, *train = NULL;
    int n = command_options(argv, options, sizeof options / sizeof *options, "snapshot", err), ret = -1;

    if (n < 0)
        return -1;
    if (n < 1 || (n > 1 && (warm_text || train_text)))
        return wrong_use("`thaw snapshot create` wants one NAME, and --warm and --train or a PROGRAM", err);
    if (memory_text && !size_parse(memory_text, &creation.memory))
        return wrong_use("--memory is not a size", err);
    if (cpus_text && !cpus_parse(cpus_text, &creation.cpus))
        return wrong_use("--cpus is not a number from 1 to 1024", err);
    if (!machine_parse(machine_name, &creation.machine))
        return wrong_use("--machine is not auto, process or kvm", err);
    if (n > 1)
        creation.argv = (const char *const *)argv + 2;
    if ((warm_text && !(warm = code_read("--warm", warm_text, err))) ||
        (train_text && !(train = code_read("--train", train_text, err))))
        goto out;
    creation.warm = warm;
    creation.train = train;
    ret = thaw_image_open(store, image_name, &image, err);
    if (ret == 0) {
        ret = thaw_snapshot_create(store, image, argv[1], &creation, err);
        thaw_image_close(image);
    }
out:
    free(warm);
    free(train);
    return ret;
}

/* A named one, or else an automatic one. */
static int snapshot_find(const struct thaw_store *store, const char *name, char *path, struct thaw_error *err)
{
    char automatic[PATH_MAX], dir[PATH_MAX];
    struct stat st;

    if (store_snapshot_named(store, name, false, path, err) < 0)
        return -1;
    if (strchr(name, '/') || lstat(path, &st) == 0)
        return 0;
    if (store_snapshot_dirs(store, automatic, dir, err) < 0)
        return -1;
    if ((size_t)snprintf(dir, sizeof dir, "%s/%s.snap", automatic, name) < sizeof dir && lstat(dir, &st) == 0)
        strcpy(path, dir);
    return 0;
}

static void print_hex(const char *label, const uint8_t *p, size_t n)
{
    printf("%-10s", label);
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
    putchar('\n');
}

static void print_map(const struct snapshot *s)
{
    static const char *const kinds[] = {"?", "zero", "image", "data", "populate", "huge", "copy"};

    for (uint32_t i = 0; i < s->region_count; i++) {
        const struct thaw_region *r = &s->regions[i];

        printf("%012llx-%012llx %c%c%c %-8s %10llx %8llu KiB\n", (unsigned long long)r->start,
               (unsigned long long)(r->start + r->len), r->prot & 1 ? 'r' : '-', r->prot & 2 ? 'w' : '-',
               r->prot & 4 ? 'x' : '-', kinds[r->kind < sizeof kinds / sizeof kinds[0] ? r->kind : 0],
               (unsigned long long)r->offset, (unsigned long long)r->len >> 10);
    }
}

static void format_time(uint64_t ns, char *dst, size_t size)
{
    time_t t = (time_t)(ns / 1000000000u);
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(dst, size, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(dst, size, "?");
}

/* Whether this build would use it, its image apart. If not, why may say what the host lacks; else it is "". */
static bool is_for_this_host(const struct snapshot *s, char why[CPUID_WHY])
{
    struct cpuid host, saved = {.count = s->cpuid_count};
    struct snapshot_key key;
    struct thaw_error ignored;

    why[0] = 0;
    memset(&key, 0, sizeof key);
    const struct machine *machine = machine_find((const char *)s->key.machine);
    if (!machine || snapshot_key_init(&key, machine, &ignored) < 0)
        return false;
    if (memcmp(key.kernel, s->key.kernel, sizeof key.kernel) != 0)
        return false;
    if (machine == &machine_kvm) {
        if (cpuid_host(&host, &ignored) < 0) {
            snprintf(why, CPUID_WHY, "a KVM that this user may open");
            return false;
        }
        memcpy(saved.entry, s->cpuid, saved.count * sizeof saved.entry[0]);
        return cpuid_fits(&host, &saved, why);
    }
    return memcmp(key.machine, s->key.machine, sizeof key.machine) == 0 &&
           memcmp(key.cpu, s->key.cpu, sizeof key.cpu) == 0;
}

static int snapshot_print(const char *path, bool map, struct thaw_error *err)
{
    uint64_t kib[THAW_REGION_COPY + 1] = {0};
    enum snapshot_result r;
    struct snapshot s;
    char when[32], why[CPUID_WHY];

    err->text[0] = 0;
    r = snapshot_open(&s, path, NULL, false, err);
    if (r != SNAPSHOT_OK)
        return snapshot_result_error(r, path, err);
    for (uint32_t i = 0; i < s.region_count; i++)
        if (s.regions[i].kind <= THAW_REGION_COPY)
            kib[s.regions[i].kind] += s.regions[i].len >> 10;
    format_time(s.created_ns, when, sizeof when);
    bool fits = is_for_this_host(&s, why);
    printf("file      %s\nsize      %llu\ncreated   %s UTC\nmachine   %.8s\nfor       %s%s\n", path,
           (unsigned long long)s.size, when, (const char *)s.key.machine,
           fits     ? "this thaw and this host"
           : why[0] ? "another host: this one lacks "
                    : "another build of thaw or another host",
           why);
    print_hex("kernel", s.key.kernel, sizeof s.key.kernel);
    print_hex("image", s.key.image, sizeof s.key.image);
    print_hex("cpu", s.key.cpu, sizeof s.key.cpu);
    printf("memory    %llu KiB at most\nregions   %u, and %u hints\n", (unsigned long long)s.memory_limit >> 10,
           s.region_count - s.populate_count, s.populate_count);
    printf("pages     %llu KiB saved, %llu KiB of the image, %llu KiB zero, %llu KiB copied at start\n",
           (unsigned long long)kib[THAW_REGION_DATA], (unsigned long long)kib[THAW_REGION_IMAGE],
           (unsigned long long)kib[THAW_REGION_ZERO], (unsigned long long)kib[THAW_REGION_COPY]);
    if (map)
        print_map(&s);
    snapshot_close(&s);
    return 0;
}

struct listing {
    unsigned count;
    const char *kind;
};

static int list_one(void *arg, const char *dir, const char *name)
{
    struct listing *l = arg;
    char path[PATH_MAX], when[32] = "?", why[CPUID_WHY];
    const char *state = "damaged";
    struct thaw_error err = {0};
    enum snapshot_result r;
    struct snapshot s;
    struct stat st;

    if (store_path(path, &err, "%s/%s.snap", dir, name) < 0 || stat(path, &st) < 0)
        return 0;
    if (l->count++ == 0)
        printf("%-30s %-9s %12s  %-19s  %s\n", "NAME", "KIND", "BYTES", "CREATED (UTC)", "STATE");
    r = snapshot_open(&s, path, NULL, false, &err);
    if (r == SNAPSHOT_OK) {
        format_time(s.created_ns, when, sizeof when);
        state = is_for_this_host(&s, why) ? "good" : "for another build or host";
        snapshot_close(&s);
    } else if (r == SNAPSHOT_STALE) {
        state = "for another build or host";
    } else if (r == SNAPSHOT_ERROR) {
        state = "cannot be read";
    }
    printf("%-30s %-9s %12lld  %-19s  %s\n", name, l->kind, (long long)st.st_size, when, state);
    return 0;
}

static int snapshot_list(const struct thaw_store *store, struct thaw_error *err)
{
    char automatic[PATH_MAX], named[PATH_MAX];
    struct listing l = {0};

    if (store_snapshot_dirs(store, automatic, named, err) < 0)
        return -1;
    l.kind = "named";
    store_list(named, ".snap", list_one, &l);
    l.kind = "automatic";
    store_list(automatic, ".snap", list_one, &l);
    if (l.count == 0)
        puts("no snapshots; the first `thaw run` makes one");
    return 0;
}

static int snapshot_verify(const char *path, struct thaw_error *err)
{
    enum snapshot_result r;
    struct snapshot s;

    err->text[0] = 0;
    r = snapshot_open(&s, path, NULL, true, err);
    if (r != SNAPSHOT_OK)
        return snapshot_result_error(r, path, err);
    snapshot_close(&s);
    printf("%s: good\n", path);
    return 0;
}

static int snapshot_remove(const char *path, struct thaw_error *err)
{
    if (store_remove(path) == 0)
        return 0;
    return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot remove snapshot %s: %s", path, strerror(errno));
}

static int snapshot_one(const struct thaw_store *store, char **argv, struct thaw_error *err)
{
    const char *what = argv[0];
    bool map = false;
    const struct command_option options[] = {{"--map", NULL, &map}};
    int n = command_options(argv, options, strcmp(what, "inspect") == 0, "snapshot", err);
    char path[PATH_MAX];

    if (n < 0)
        return -1;
    if (n != 1)
        return wrong_use("one NAME is wanted", err);
    if (snapshot_find(store, argv[1], path, err) < 0)
        return -1;
    if (strcmp(what, "inspect") == 0)
        return snapshot_print(path, map, err);
    return strcmp(what, "verify") == 0 ? snapshot_verify(path, err) : snapshot_remove(path, err);
}

int command_snapshot(char **argv)
{
    const char *what = argv[1];
    struct thaw_store *store;
    struct thaw_error err = {0};
    int ret;

    for (char **a = argv + 1; *a; a++)
        if (strcmp(*a, "--help") == 0 || strcmp(*a, "-h") == 0)
            return command_print(help);
    if (!what) {
        fputs(help, stderr);
        return THAW_STATUS_FAILED;
    }
    if (thaw_store_open(&store, &err) < 0)
        return command_fail(&err);
    argv++;
    if (strcmp(what, "create") == 0)
        ret = snapshot_create_command(store, argv, &err);
    else if (strcmp(what, "list") == 0)
        ret = argv[1] ? wrong_use("`thaw snapshot list` takes no argument", &err) : snapshot_list(store, &err);
    else if (strcmp(what, "inspect") == 0 || strcmp(what, "verify") == 0 || strcmp(what, "remove") == 0)
        ret = snapshot_one(store, argv, &err);
    else
        ret = thaw_error_set(&err, THAW_STATUS_FAILED, EINVAL,
                             "no command 'snapshot %.100s'; see `thaw snapshot --help`", what);
    thaw_store_close(store);
    return ret < 0 ? command_fail(&err) : command_flush();
}
