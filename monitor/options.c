/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CPUS_MAX 1024u /* as many as a cpu_set_t holds */

bool duration_parse(const char *text, int64_t *ns)
{
    static const struct {
        char name[4];
        uint64_t ns;
    } units[] = {{"ns", 1},        {"us", 1000},       {"ms", 1000000},     {"s", 1000000000},
                 {"", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
    uint64_t whole = 0, part = 0, scale = 1, total;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return false;
    if (p == text)
        return false;
    if (*p == '.') {
        const char *first = ++p;

        for (; *p >= '0' && *p <= '9'; p++)
            if (scale < 1000000000) {
                part = part * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
        if (p == first)
            return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(p, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(whole, units[i].ns, &total) ||
            __builtin_add_overflow(total, (uint64_t)((double)part / (double)scale * (double)units[i].ns + 0.5),
                                   &total) ||
            total > INT64_MAX / 2 || total == 0)
            return false;
        *ns = (int64_t)total;
        return true;
    }
    return false;
}

bool size_parse(const char *text, uint64_t *bytes)
{
    uint64_t n = 0;
    const char *p = text;
    unsigned shift = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return false;
    if (p == text)
        return false;
    switch (*p | 0x20) {
    case 'k': shift = 10; break;
    case 'm': shift = 20; break;
    case 'g': shift = 30; break;
    case 't': shift = 40; break;
    }
    if (shift) {
        p++;
        if (*p == 'i')
            p++;
    }
    if (*p == 'B' || *p == 'b')
        p++;
    if (*p || n > UINT64_MAX >> shift || n << shift > 1ull << 46)
        return false;
    *bytes = n << shift;
    return true;
}

bool cpus_parse(const char *text, uint32_t *cpus)
{
    char *end;
    unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

    if (n < 1 || n > CPUS_MAX || *end)
        return false;
    *cpus = (uint32_t)n;
    return true;
}

bool mount_parse(char *text, struct thaw_mount *mount)
{
    char *guest = strchr(text, ':'), *mode;

    if (!guest || guest == text)
        return false;
    *guest++ = 0;
    mode = strchr(guest, ':');
    mount->rdonly = false;
    if (mode) {
        *mode++ = 0;
        if (strcmp(mode, "ro") == 0)
            mount->rdonly = true;
        else if (strcmp(mode, "rw") != 0)
            return false;
    }
    mount->host = text;
    mount->guest = guest;
    return guest[0] == '/';
}

bool machine_parse(const char *name, enum thaw_machine *machine)
{
    static const char *const names[] = {
        [THAW_MACHINE_AUTO] = "auto", [THAW_MACHINE_PROCESS] = "process", [THAW_MACHINE_KVM] = "kvm"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *machine = (enum thaw_machine)i;
            return true;
        }
    return false;
}

struct parser {
    struct options *o;
    enum options_for what;
    const char *command;
    struct thaw_error *err;
    size_t env_room, mount_room;
};

static int usage_error(struct parser *p, const char *what, const char *text)
{
    return thaw_error_set(p->err, THAW_STATUS_FAILED, EINVAL, "%s '%.200s'; see `thaw %s --help`", what, text,
                          p->command);
}

static int add_env(struct parser *p, const char *entry)
{
    struct options *o = p->o;
    char *own = NULL;

    if (!strchr(entry, '=')) {
        const char *value = getenv(entry);

        if (!value)
            return 0; /* as a shell would: nothing there, nothing passed on */
        own = malloc(strlen(entry) + strlen(value) + 2);
        if (!own)
            goto oom;
        strcpy(own, entry);
        strcat(own, "=");
        strcat(own, value);
    } else if (entry[0] == '=') {
        return usage_error(p, "not NAME=VALUE:", entry);
    }
    if (o->env_count + 2 > p->env_room) {
        size_t room = p->env_room ? p->env_room * 2 : 16;
        const char **e = realloc(o->env, room * sizeof *e);

        if (!e)
            goto oom;
        o->env = e;
        p->env_room = room;
    }
    /* Entries that came from the environment live as long as the process does. */
    o->env[o->env_count++] = own ? own : entry;
    o->env[o->env_count] = NULL;
    return 0;
oom:
    free(own);
    return thaw_error_set(p->err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
}

static int add_mount(struct parser *p, char *text)
{
    struct options *o = p->o;

    if (o->mount_count == p->mount_room) {
        size_t room = p->mount_room ? p->mount_room * 2 : 8;
        struct thaw_mount *m = realloc(o->mounts, room * sizeof *m);

        if (!m)
            return thaw_error_set(p->err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
        o->mounts = m;
        p->mount_room = room;
    }
    if (!mount_parse(text, &o->mounts[o->mount_count]))
        return thaw_error_set(p->err, THAW_STATUS_FAILED, EINVAL,
                              "-v '%.200s' is not HOST:GUEST or HOST:GUEST:ro with an absolute GUEST", text);
    o->mount_count++;
    return 0;
}

#define FOR_RUN 1u
#define FOR_EXEC 2u
#define FOR_BOTH 3u

enum option_id {
    OPT_HELP,
    OPT_COLD,
    OPT_SNAPSHOT,
    OPT_IMAGE,
    OPT_MACHINE,
    OPT_MEMORY,
    OPT_CPUS,
    OPT_TIMEOUT,
    OPT_ENV,
    OPT_VOLUME,
    OPT_STATS,
    OPT_STRACE,
    OPT_HARDEN,
    OPT_ROOT,
    OPT_CWD
};
static const struct option_name {
    const char name[12];
    uint8_t id, takes_value, used_by;
} option_names[] = {
    {"-v", OPT_VOLUME, 1, FOR_BOTH},       {"-e", OPT_ENV, 1, FOR_BOTH},
    {"-h", OPT_HELP, 0, FOR_BOTH},         {"--help", OPT_HELP, 0, FOR_BOTH},
    {"--cold", OPT_COLD, 0, FOR_RUN},      {"--snapshot", OPT_SNAPSHOT, 1, FOR_BOTH},
    {"--image", OPT_IMAGE, 1, FOR_BOTH},   {"--machine", OPT_MACHINE, 1, FOR_BOTH},
    {"--memory", OPT_MEMORY, 1, FOR_BOTH}, {"--timeout", OPT_TIMEOUT, 1, FOR_BOTH},
    {"--env", OPT_ENV, 1, FOR_BOTH},       {"--volume", OPT_VOLUME, 1, FOR_BOTH},
    {"--stats", OPT_STATS, 1, FOR_BOTH},   {"--strace", OPT_STRACE, 0, FOR_BOTH},
    {"--harden", OPT_HARDEN, 0, FOR_BOTH}, {"--root", OPT_ROOT, 1, FOR_EXEC},
    {"--cwd", OPT_CWD, 1, FOR_EXEC},       {"--cpus", OPT_CPUS, 1, FOR_BOTH},
};

static int option_apply(struct parser *p, unsigned id, char *value)
{
    struct options *o = p->o;

    switch (id) {
    case OPT_HELP: o->help = true; return 0;
    case OPT_COLD: o->cold = true; return 0;
    case OPT_STRACE: o->strace = true; return 0;
    case OPT_HARDEN: o->harden = true; return 0;
    case OPT_SNAPSHOT: o->snapshot = value; return 0;
    case OPT_IMAGE: o->image = value; return 0;
    case OPT_STATS: o->stats = value; return 0;
    case OPT_ROOT: o->root = value; return 0;
    case OPT_MACHINE: return machine_parse(value, &o->machine) ? 0 : usage_error(p, "no machine", value);
    case OPT_ENV: return add_env(p, value);
    case OPT_VOLUME: return add_mount(p, value);
    case OPT_CWD: o->cwd = value; return value[0] == '/' ? 0 : usage_error(p, "--cwd is not an absolute path:", value);
    case OPT_MEMORY:
        return size_parse(value, &o->memory) && o->memory >= 4u << 20
                   ? 0
                   : usage_error(p, "--memory is not a size of 4M or more:", value);
    case OPT_CPUS:
        return cpus_parse(value, &o->cpus) ? 0 : usage_error(p, "--cpus is not a number from 1 to 1024:", value);
    case OPT_TIMEOUT:
        return duration_parse(value, &o->timeout)
                   ? 0
                   : usage_error(p, "--timeout is not a duration like 500ms, 10s or 2m:", value);
    }
    return 0;
}

static bool has_value_attached(const char *arg, const struct option_name *n)
{
    size_t len = strlen(n->name);

    return n->name[1] == '-' && strncmp(arg, n->name, len) == 0 && arg[len] == '=';
}

/* "-c CODE" and "-m MODULE" end the options, as python has it; so does "-cCODE", which is parted here. */
static int python_words(struct parser *p, char **argv)
{
    char *letter = argv[0][1] == 'c' ? "-c" : "-m", *value = argv[0][2] ? argv[0] + 2 : argv[1];
    char **rest = argv[0][2] ? argv + 1 : argv + 2;
    const char **v;
    size_t n = 0;

    if (!value)
        return usage_error(p, "argument expected for", letter);
    while (rest[n])
        n++;
    v = malloc((n + 3) * sizeof *v);
    if (!v)
        return thaw_error_set(p->err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    v[0] = letter;
    v[1] = value;
    for (size_t i = 0; i <= n; i++)
        v[i + 2] = rest[i];
    p->o->argv = v;
    return 0;
}

static int copy_rest(struct parser *p, char **argv)
{
    size_t n = 0;

    while (argv[n])
        n++;
    p->o->argv = malloc((n + 1) * sizeof *p->o->argv);
    if (!p->o->argv)
        return thaw_error_set(p->err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i <= n; i++)
        p->o->argv[i] = argv[i];
    return 0;
}

static int options_check(struct parser *p)
{
    struct options *o = p->o;

    if (o->help)
        return 0;
    if (o->cold && o->snapshot)
        return usage_error(p, "--cold does not go with --snapshot", o->snapshot);
    if (p->what == OPTIONS_EXEC) {
        if (!o->argv[0] && !o->image && !o->snapshot)
            return thaw_error_set(p->err, THAW_STATUS_FAILED, EINVAL, "no program given; see `thaw exec --help`");
        if (!o->root == !(o->image || o->snapshot))
            return thaw_error_set(p->err, THAW_STATUS_FAILED, EINVAL,
                                  "give --root DIR or --image NAME, one of them; see `thaw exec --help`");
    }
    if (!o->image && !o->root && !o->snapshot)
        o->image = "python";
    return 0;
}

int options_parse(struct options *o, enum options_for what, char **argv, struct thaw_error *err)
{
    struct parser p = {.o = o, .what = what, .command = argv[0], .err = err};
    unsigned mask = what == OPTIONS_RUN ? FOR_RUN : FOR_EXEC;
    char **a = argv + 1;

    memset(o, 0, sizeof *o);
    o->timeout = -1;
    for (; *a; a++) {
        const struct option_name *n = NULL;
        char *value = NULL;

        if ((*a)[0] != '-' || (*a)[1] == 0)
            break;
        if (strcmp(*a, "--") == 0) {
            a++;
            break;
        }
        if (what == OPTIONS_RUN && ((*a)[1] == 'c' || (*a)[1] == 'm'))
            return python_words(&p, a) < 0 ? -1 : options_check(&p);
        for (size_t i = 0; i < sizeof option_names / sizeof *option_names; i++)
            if ((option_names[i].used_by & mask) &&
                (strcmp(*a, option_names[i].name) == 0 || has_value_attached(*a, &option_names[i]))) {
                n = &option_names[i];
                break;
            }
        if (!n)
            return usage_error(&p, "unknown option", *a);
        if (has_value_attached(*a, n)) {
            if (!n->takes_value)
                return usage_error(&p, "no value expected:", *a);
            value = *a + strlen(n->name) + 1;
        } else if (n->takes_value) {
            if (!a[1])
                return usage_error(&p, "argument expected for", *a);
            value = *++a;
        }
        if (option_apply(&p, n->id, value) < 0)
            return -1;
    }
    return copy_rest(&p, a) < 0 ? -1 : options_check(&p);
}

void options_free(struct options *o)
{
    free(o->env);
    free(o->mounts);
    free(o->argv);
}
