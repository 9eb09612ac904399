/* SPDX-License-Identifier: MIT */
/* execve: ELF64 programs for x86-64 (static, PIE, or with an interpreter) and #! scripts. Follows elf(5), execve(2). */
#include "elf.h"
#include "fs.h"
#include "mm.h"
#include "syscall.h"
#include "task.h"
#include "task_impl.h"

#include <linux/auxvec.h>

#define STACK_EAGER (256ul << 10) /* of the stack, what is writable at once */
#define PIE_BASE 0x0000200000000000ul
#define INTERP_DEPTH 4

struct elf {
    struct file *file;
    struct elf64_ehdr eh;
    struct elf64_phdr *ph;
    u64 lo, hi; /* page-aligned extent of PT_LOAD, unrelocated */
    u64 bias;
    char interp[PATH_MAX];
};

static int elf_read_all(struct file *f, void *buf, size_t n, u64 off)
{
    ssize_t r = file_pread(f, buf, n, off);
    return r == (ssize_t)n ? 0 : r < 0 ? (int)r : -ENOEXEC;
}

static void elf_close(struct elf *e)
{
    if (!e)
        return;
    if (e->file)
        file_put(e->file);
    kfree(e->ph);
    kfree(e);
}

/* Reads and checks the headers: every number that is used later is sane after this. Takes over file. */
static struct elf *elf_open(struct file *file)
{
    struct elf *e = kmalloc(sizeof(*e));
    int err = -ENOEXEC;

    if (!e) {
        file_put(file);
        return ERR_PTR(-ENOMEM);
    }
    e->file = file;
    if (elf_read_all(file, &e->eh, sizeof(e->eh), 0))
        goto bad;
    if (memcmp(e->eh.ident, "\177ELF\2\1\1", 7) || (e->eh.type != ET_EXEC && e->eh.type != ET_DYN) ||
        e->eh.machine != EM_X86_64 || e->eh.phentsize != sizeof(struct elf64_phdr) || !e->eh.phnum || e->eh.phnum > 64)
        goto bad;
    err = -ENOMEM;
    e->ph = kmalloc(e->eh.phnum * sizeof(*e->ph));
    if (!e->ph)
        goto bad;
    err = elf_read_all(file, e->ph, e->eh.phnum * sizeof(*e->ph), e->eh.phoff);
    if (err)
        goto bad;
    err = -ENOEXEC;
    e->lo = THAW_USER_END;
    for (u32 i = 0; i < e->eh.phnum; i++) {
        const struct elf64_phdr *p = &e->ph[i];
        u64 end, file_end;
        if (p->type == PT_INTERP) {
            if (p->filesz < 2 || p->filesz > sizeof(e->interp) || elf_read_all(file, e->interp, p->filesz, p->offset) ||
                e->interp[p->filesz - 1])
                goto bad;
        }
        if (p->type != PT_LOAD || !p->memsz)
            continue;
        if (p->filesz > p->memsz || check_add(p->vaddr, p->memsz, &end) || end > THAW_USER_END ||
            check_add(p->offset, p->filesz, &file_end) || file_end > (1ull << 62) ||
            ((p->vaddr ^ p->offset) & (PAGE_SIZE - 1)))
            goto bad;
        e->lo = min(e->lo, round_down(p->vaddr, PAGE_SIZE));
        e->hi = max(e->hi, page_align(end));
    }
    if (e->lo >= e->hi || (e->eh.type == ET_EXEC && e->lo < THAW_USER_START))
        goto bad;
    return e;
bad:
    elf_close(e);
    return ERR_PTR(err);
}

static int elf_map_segment(struct mm *mm, const struct elf *e, const struct elf64_phdr *p)
{
    u32 prot =
        (p->flags & PF_R ? PROT_READ : 0) | (p->flags & PF_W ? PROT_WRITE : 0) | (p->flags & PF_X ? PROT_EXEC : 0);
    u64 skew = p->vaddr & (PAGE_SIZE - 1);
    u64 start = e->bias + p->vaddr - skew;
    u64 file_end = e->bias + p->vaddr + p->filesz, mem_end = e->bias + p->vaddr + p->memsz;
    s64 ret;

    if (p->filesz) {
        ret = mm_mmap(start, skew + p->filesz, prot, MAP_PRIVATE | MAP_FIXED, e->file, p->offset - skew);
        if (ret < 0)
            return (int)ret;
    }
    /* To the end of the page, beyond memsz: ld.so takes its first memory from there and expects zeros. */
    if (p->filesz && p->memsz > p->filesz && (p->flags & PF_W) &&
        clear_user((void *)file_end, page_align(file_end) - file_end))
        return -EFAULT;
    u64 anon = p->filesz ? page_align(file_end) : start;
    if (page_align(mem_end) > anon) {
        u64 len = page_align(mem_end) - anon;
        u32 eager = len <= BSS_EAGER_MAX ? MAP_STACK : 0;
        ret = mm_mmap(anon, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | eager, NULL, 0);
        if (ret < 0)
            return (int)ret;
    }
    return 0;
}

static int elf_map(struct mm *mm, struct elf *e, u64 base)
{
    if (e->eh.type == ET_DYN)
        e->bias = base - e->lo;
    if (e->eh.type == ET_DYN && e->hi - e->lo > THAW_USER_END - base)
        return -ENOMEM;
    for (u32 i = 0; i < e->eh.phnum; i++) {
        const struct elf64_phdr *p = &e->ph[i];
        if (p->type != PT_LOAD || !p->memsz)
            continue;
        int err = elf_map_segment(mm, e, p);
        if (err)
            return err;
        u64 start = e->bias + p->vaddr, file_end = start + p->filesz;
        if (p->flags & PF_X) {
            mm->start_code = mm->start_code ? min(mm->start_code, start) : start;
            mm->end_code = max(mm->end_code, file_end);
        } else if (p->flags & PF_W) {
            mm->start_data = start;
            mm->end_data = file_end;
        }
    }
    return 0;
}

/* Where the program headers are once mapped (AT_PHDR). */
static u64 elf_phdr_addr(const struct elf *e)
{
    for (u32 i = 0; i < e->eh.phnum; i++) {
        const struct elf64_phdr *p = &e->ph[i];
        if (p->type == PT_LOAD && p->offset <= e->eh.phoff && e->eh.phoff < p->offset + p->filesz)
            return e->bias + p->vaddr + (e->eh.phoff - p->offset);
    }
    return 0;
}

extern const char vdso_start[], vdso_end[];

static int vdso_map(struct mm *mm)
{
    u64 len = page_align((u64)(vdso_end - vdso_start));
    s64 ret = mm_mmap(VDSO_ADDR(mm), len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);

    if (ret < 0)
        return (int)ret;
    if (copy_to_user((void *)VDSO_ADDR(mm), vdso_start, (size_t)(vdso_end - vdso_start)))
        return -EFAULT;
    return mm_mprotect(mm, VDSO_ADDR(mm), len, PROT_READ | PROT_EXEC);
}

struct stack_builder {
    u64 sp, bottom;
    int err;
};

static u64 stack_push(struct stack_builder *b, const void *data, size_t n)
{
    if (b->err || n > STACK_EAGER || b->sp - n < b->bottom) {
        b->err = b->err ? b->err : -E2BIG;
        return 0;
    }
    b->sp -= n;
    if (copy_to_user((void *)b->sp, data, n))
        b->err = -EFAULT;
    return b->sp;
}

static u32 vector_len(char *const v[])
{
    u32 n = 0;
    while (v[n])
        n++;
    return n;
}

static int stack_setup(struct mm *mm, const struct elf *prog, u64 interp_base, const char *path, char *const argv[],
                       char *const envp[], u64 *sp)
{
    const u64 top = STACK_TOP(mm);
    struct stack_builder b = {.sp = top - 16, .bottom = top - USER_STACK_SIZE};
    u32 argc = vector_len(argv), envc = vector_len(envp);
    size_t words = 1 + argc + 1 + envc + 1 + ARRAY_SIZE(mm->auxv);
    u64 *vec, random[2];
    s64 ret;

    ret = mm_mmap(top - STACK_EAGER, STACK_EAGER, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK, NULL, 0);
    if (ret >= 0)
        ret = mm_mmap(top - USER_STACK_SIZE, USER_STACK_SIZE - STACK_EAGER, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0);
    if (ret < 0)
        return (int)ret;
    mm_find_vma(mm, top - 1)->flags |= VMA_STACK;
    mm_find_vma(mm, top - USER_STACK_SIZE)->flags |= VMA_STACK;
    mm->start_stack = top;

    if (words * 8 > ARG_MAX || !(vec = kmalloc(words * 8)))
        return -E2BIG;
    u64 execfn = stack_push(&b, path, strlen(path) + 1);
    mm->env_end = b.sp;
    for (u32 i = envc; i-- > 0;)
        vec[1 + argc + 1 + i] = stack_push(&b, envp[i], strlen(envp[i]) + 1);
    mm->env_start = mm->arg_end = b.sp;
    for (u32 i = argc; i-- > 0;)
        vec[1 + i] = stack_push(&b, argv[i], strlen(argv[i]) + 1);
    mm->arg_start = b.sp;
    u64 platform = stack_push(&b, "x86_64", 7);
    random_bytes(random, sizeof(random));
    u64 at_random = stack_push(&b, random, sizeof(random));

    const struct thaw_boot *boot = machine_boot();
    const struct cred *cred = &current->process->cred;
    const u64 aux[] = {
        AT_SYSINFO_EHDR, VDSO_ADDR(mm),
        AT_HWCAP,        boot->hwcap,
        AT_HWCAP2,       boot->hwcap2,
        AT_PAGESZ,       PAGE_SIZE,
        AT_CLKTCK,       100,
        AT_PHDR,         elf_phdr_addr(prog),
        AT_PHENT,        sizeof(struct elf64_phdr),
        AT_PHNUM,        prog->eh.phnum,
        AT_BASE,         interp_base,
        AT_FLAGS,        0,
        AT_ENTRY,        prog->bias + prog->eh.entry,
        AT_UID,          cred->user.real,
        AT_EUID,         cred->user.effective,
        AT_GID,          cred->group.real,
        AT_EGID,         cred->group.effective,
        AT_SECURE,       cred->user.real != cred->user.effective || cred->group.real != cred->group.effective,
        AT_RANDOM,       at_random,
        AT_EXECFN,       execfn,
        AT_PLATFORM,     platform,
        AT_NULL,         0,
    };
    _Static_assert(sizeof(aux) <= sizeof(mm->auxv), "auxv");
    memset(mm->auxv, 0, sizeof(mm->auxv));
    memcpy(mm->auxv, aux, sizeof(aux));
    vec[0] = argc;
    vec[1 + argc] = 0;
    vec[1 + argc + 1 + envc] = 0;
    size_t used = 1 + argc + 1 + envc + 1 + ARRAY_SIZE(aux);
    memcpy(&vec[1 + argc + 1 + envc + 1], aux, sizeof(aux));
    b.sp = round_down(b.sp, 16);
    if (used & 1)
        b.sp -= 8;
    *sp = stack_push(&b, vec, used * 8);
    kfree(vec);
    return b.err;
}

/* Joins strings, each with its NUL. */
static char *join_strings(char *const v[], size_t *len)
{
    size_t n = 0;
    for (u32 i = 0; v[i]; i++)
        n += strlen(v[i]) + 1;
    char *buf = kmalloc(n + 1), *p = buf;
    for (u32 i = 0; buf && v[i]; i++) {
        size_t l = strlen(v[i]) + 1;
        memcpy(p, v[i], l);
        p += l;
    }
    *len = buf ? n : 0;
    return buf;
}

/* "#! interpreter [one argument]": the words point into line. False: not such a file. */
static bool parse_script(char *line, char **interp, char **arg)
{
    if (line[0] != '#' || line[1] != '!')
        return false;
    char *end = strchr(line, '\n');
    if (!end)
        return false;
    *end = 0;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    char *p = line + 2;
    while (*p == ' ' || *p == '\t')
        p++;
    *interp = p;
    while (*p && *p != ' ' && *p != '\t')
        p++;
    *arg = NULL;
    if (*p) {
        *p++ = 0;
        while (*p == ' ' || *p == '\t')
            p++;
        if (*p)
            *arg = p;
    }
    return **interp != 0;
}

/* name: what was executed, path itself or a script whose interpreter path is. */
static int exec_elf(struct file *f, const char *path, const char *name, char *const argv[], char *const envp[],
                    struct pt_regs *regs)
{
    struct process *p = current->process;
    struct elf *interp = NULL, *prog = elf_open(f);
    struct mm *mm = NULL;
    u64 sp = 0;
    int err = 0;

    if (IS_ERR(prog))
        return (int)PTR_ERR(prog);
    if (prog->interp[0]) {
        struct file *fi = file_open(prog->interp, O_EXEC, 0);
        interp = IS_ERR(fi) ? (struct elf *)fi : elf_open(fi);
        if (IS_ERR(interp)) {
            err = (int)PTR_ERR(interp);
            interp = NULL;
            goto out;
        }
    }
    char *cmdline, *environ;
    size_t cmdline_len, environ_len;
    cmdline = join_strings(argv, &cmdline_len);
    environ = join_strings(envp, &environ_len);
    mm = mm_create();
    if (!mm || !cmdline || !environ) {
        kfree(cmdline);
        kfree(environ);
        if (mm)
            mm_put(mm);
        err = -ENOMEM;
        goto out;
    }

    err = task_exec_begin();
    if (err) {
        kfree(cmdline);
        kfree(environ);
        mm_put(mm);
        goto out;
    }

    err = files_unshare(&p->files);
    err = err ? err : machine_exec(mm, p->mm && !mm_is_shared(p->mm) ? p->mm : NULL);
    if (err) {
        kfree(cmdline);
        kfree(environ);
        mm_put(mm);
        goto out;
    }
    /* The point of no return: from here a failure ends the process. */
    if (p->mm)
        mm_put(p->mm);
    p->mm = mm;
    vfork_release(p);
    files_close_on_exec(p->files);
    kfree(p->cmdline);
    kfree(p->environ);
    p->cmdline = cmdline, p->cmdline_len = cmdline_len;
    p->environ = environ, p->environ_len = environ_len;
    struct kstat st;
    if (file_stat(prog->file, &st))
        memset(&st, 0, sizeof(st));
    p->dumpable = !cred_exec(&p->cred, p->no_new_privs ? 0 : st.st_mode, st.st_uid, st.st_gid);
    if (file_path(prog->file, p->exe, sizeof(p->exe)) < 0)
        strlcpy(p->exe, path, sizeof(p->exe));

    if (prog->eh.type == ET_EXEC && !interp && prog->hi <= TOP_LOW_PROGRAM) {
        mm->top = TOP_LOW;
        mm->mmap_base = MMAP_BASE(mm->top);
    }
    err = elf_map(mm, prog, PIE_BASE);
    mm->start_brk = mm->brk = page_align(prog->bias + prog->hi);
    if (!err && interp) {
        u64 base = round_down(mm->mmap_base - (interp->hi - interp->lo), COMMIT_CHUNK);
        err = elf_map(mm, interp, base);
    }
    err = err ? err : vdso_map(mm);
    if (!err)
        err = stack_setup(mm, prog, interp ? interp->bias : 0, name, argv, envp, &sp);
    if (err) {
        process_exit_group(9);
        err = 0;
        goto out;
    }
    task_exec_commit(name);
    memset(regs, 0, sizeof(*regs));
    regs->rip = interp ? interp->bias + interp->eh.entry : prog->bias + prog->eh.entry;
    regs->rsp = sp;
    regs->cs = 0x33;
    regs->ss = 0x2b;
    regs->eflags = 0x202;
    regs->orig_rax = (u64)-1;
    machine_set_fsbase(0);
    machine_set_gsbase(0);
    machine_reset_fpu();
out:
    elf_close(interp);
    elf_close(prog);
    return err;
}

static int exec_at_depth(const char *path, const char *name, char *const argv[], char *const envp[],
                         struct pt_regs *regs, int depth)
{
    struct file *f = file_open(path, O_EXEC, 0);
    char *line;
    int err;

    if (IS_ERR(f))
        return (int)PTR_ERR(f);
    err = file_may_exec(f);
    if (!err && !(line = kmalloc(256)))
        err = -ENOMEM;
    if (err) {
        file_put(f);
        return err;
    }
    ssize_t n = file_pread(f, line, 255, 0);
    char *interp, *arg;
    if (n < 0 || !parse_script(line, &interp, &arg)) {
        kfree(line);
        if (n < 0) {
            file_put(f);
            return (int)n;
        }
        return exec_elf(f, path, name, argv, envp, regs);
    }
    file_put(f);
    err = -ELOOP;
    if (depth < INTERP_DEPTH) {
        u32 argc = vector_len(argv), k = 0;
        char **nargv = kmalloc((argc + 4) * sizeof(*nargv));
        err = -ENOMEM;
        if (nargv) {
            nargv[k++] = interp;
            if (arg)
                nargv[k++] = arg;
            nargv[k++] = (char *)path;
            for (u32 i = 1; i < argc; i++)
                nargv[k++] = argv[i];
            err = exec_at_depth(interp, name, nargv, envp, regs, depth + 1);
            kfree(nargv);
        }
    }
    kfree(line);
    return err;
}

int exec_program(const char *path, char *const argv[], char *const envp[], struct pt_regs *regs)
{
    return exec_at_depth(path, path, argv, envp, regs, 0);
}

/* ---- execve(2) ---- */

static void free_strings(char **v)
{
    for (u32 i = 0; v && v[i]; i++)
        kfree(v[i]);
    kfree(v);
}

static char **strings_from_user(u64 uvec, size_t *total)
{
    char **v = NULL;
    u32 n = 0, cap = 0;
    char *buf = page_alloc(STACK_EAGER / 2 / PAGE_SIZE);
    int err = buf ? 0 : -ENOMEM;

    while (!err) {
        u64 ptr = 0;
        if (n + 1 >= cap) {
            char **w = krealloc(v, cap * sizeof(*v), (cap + 64) * sizeof(*v));
            err = w ? 0 : -ENOMEM;
            if (err)
                break;
            memset(w + cap, 0, 64 * sizeof(*w));
            v = w;
            cap += 64;
        }
        if (uvec && copy_from_user(&ptr, (const void *)(uvec + n * 8ul), 8)) {
            err = -EFAULT;
            break;
        }
        if (!ptr) {
            page_free(buf, STACK_EAGER / 2 / PAGE_SIZE);
            return v;
        }
        ssize_t len = strncpy_from_user(buf, (const char *)ptr, STACK_EAGER / 2);
        if (len >= 0) {
            v[n] = kstrdup(buf);
            err = v[n] ? 0 : -ENOMEM;
            *total += (size_t)len + 9;
            n++;
        } else {
            err = len == -ENAMETOOLONG ? -E2BIG : (int)len;
        }
        if (!err && *total > ARG_MAX)
            err = -E2BIG;
    }
    if (buf)
        page_free(buf, STACK_EAGER / 2 / PAGE_SIZE);
    free_strings(v);
    return ERR_PTR(err);
}

SYSCALL(execve)
{
    size_t total = 0;
    char **argv = NULL, **envp = NULL, *path = kmalloc(PATH_MAX);
    s64 ret = path ? strncpy_from_user(path, (const char *)a0, PATH_MAX) : -ENOMEM;

    UNUSED6;
    if (ret >= 0) {
        argv = strings_from_user(a1, &total);
        ret = IS_ERR(argv) ? PTR_ERR(argv) : 0;
        argv = IS_ERR(argv) ? NULL : argv;
    }
    if (ret >= 0) {
        envp = strings_from_user(a2, &total);
        ret = IS_ERR(envp) ? PTR_ERR(envp) : 0;
        envp = IS_ERR(envp) ? NULL : envp;
    }
    if (ret >= 0)
        ret = exec_program(path, argv, envp, current_regs());
    free_strings(argv);
    free_strings(envp);
    kfree(path);
    return ret;
}
