/* SPDX-License-Identifier: MIT */
#include "direct.h"

#include "mm.h"
#include "snapshot.h"
#include "syscall.h"

#include <asm/unistd_64.h>

#define CALLS_MIN 32 /* a rewriting takes about as long as so many calls by SIGSYS */
#define SITES 256
#define SCRATCH_ADDR (THAW_KSTACK_END + (128ul << 20))

#define SYSCALL_SIZE 2
#define JUMP_SIZE 7 /* jmp *imm32 */
#define WINDOW 192  /* of code that is looked at: a page's at most */

#define EFLAGS_ARITHMETIC 0x8d5ull
#define EFLAGS_PLAIN 0x202ull /* what the way out restores beside the arithmetic flags */

_Static_assert(offsetof(struct thread_info, user_rsp) == TI_USER_RSP, "direct.S knows this offset");
_Static_assert(offsetof(struct thread_info, flags) == TI_FLAGS, "direct.S knows this offset");
_Static_assert(offsetof(struct thread_info, gs) == TI_GS, "direct.S knows this offset");
_Static_assert(THAW_KSTACK_ADDR == 0x700010000000 && THAW_KSTACK_END == 0x700050000000,
               "direct.S knows these addresses");

static void gs_load(struct thread_info *ti)
{
    ti->gs = ti->user_gs ? ti->user_gs : (u64)ti;
    ti->gs_loaded = true;
    if (boot->flags & THAW_BOOT_FSGSBASE)
        __asm__ volatile("wrgsbase %0" ::"r"(ti->gs));
    else
        host_syscall(HOST_arch_prctl, HOST_ARCH_SET_GS, ti->gs, 0, 0, 0, 0);
}

void direct_begin_first(struct thread_info *ti)
{
    ti->gs_loaded = false;
    if (ti->user_gs)
        gs_load(ti);
}

void direct_prepare(struct thread_info *ti)
{
    struct thread_info *self = thread_info();

    if (!self->gs_loaded)
        gs_load(self);
    ti->user_gs = self->user_gs;
    ti->gs = ti->user_gs ? ti->user_gs : (u64)ti;
    ti->gs_loaded = true;
}

/* ---- serving ---- */

/* The kernel is left: at once, or by way of SIGSYS if signals or a repetition have to be seen to with a whole frame. */
static void leave(struct thread_info *ti, struct pt_regs *regs)
{
    __atomic_store_n(&ti->kicked, 0, __ATOMIC_SEQ_CST);
    trap_drain();
    if (user_return_plain(regs) && (regs->eflags & ~EFLAGS_ARITHMETIC) == EFLAGS_PLAIN)
        return;
    ti->late = true;
    ti->late_rip = regs->rip;
    ti->late_rax = regs->rax;
    ti->late_orig_rax = regs->orig_rax;
    regs->rip = DIRECT_LATE;
    regs->rax = (u64)-1;
}

bool direct_resume(struct thread_info *ti, struct pt_regs *regs)
{
    if (!ti->late)
        return false;
    ti->late = false;
    regs->rip = ti->late_rip;
    regs->rax = ti->late_rax;
    regs->orig_rax = ti->late_orig_rax;
    return true;
}

void direct_syscall(struct pt_regs *regs);
void direct_syscall(struct pt_regs *regs)
{
    struct thread_info *ti = thread_info();

    regs->rip += SYSCALL_SIZE;
    regs->eflags = (regs->eflags & ~EFLAGS_ARITHMETIC) | (ti->flags >> 8 & 0xd5) | (u64)(ti->flags & 1) << 11;
    regs->rcx = regs->rip;
    regs->r11 = regs->eflags;
    kernel_lock();
    ti->uc = NULL;
    ti->regs = regs;
    syscall_dispatch(regs);
    leave(ti, regs);
    kernel_unlock();
}

void direct_kicked(struct pt_regs *regs);
void direct_kicked(struct pt_regs *regs)
{
    struct thread_info *ti = thread_info();

    kernel_lock();
    if (ti->late)
        __atomic_store_n(&ti->kicked, 0, __ATOMIC_SEQ_CST); /* seen to when it comes in again */
    else
        leave(ti, regs);
    kernel_unlock();
}

/* ---- rewriting ---- */

/* The page at addr becomes one that holds n bytes more, at addr: at once for whoever executes it. */
static int page_replace(u64 addr, const void *bytes, size_t n)
{
    u64 page = round_down(addr, PAGE_SIZE);
    s64 ret = host_syscall(HOST_mmap, SCRATCH_ADDR, PAGE_SIZE, HOST_PROT_READ | HOST_PROT_WRITE,
                           HOST_MAP_PRIVATE | HOST_MAP_ANONYMOUS | HOST_MAP_FIXED, (u64)-1, 0);

    if (ret != (s64)SCRATCH_ADDR)
        return -ENOMEM;
    if (!copy_from_user((void *)SCRATCH_ADDR, (const void *)page, PAGE_SIZE)) {
        memcpy((char *)SCRATCH_ADDR + (addr - page), bytes, n);
        if (!host_syscall(HOST_mprotect, SCRATCH_ADDR, PAGE_SIZE, HOST_PROT_READ | HOST_PROT_EXEC, 0, 0, 0) &&
            host_syscall(HOST_mremap, SCRATCH_ADDR, PAGE_SIZE, PAGE_SIZE, HOST_MREMAP_MAYMOVE | HOST_MREMAP_FIXED, page,
                         0) == (s64)page)
            return 0;
    }
    host_syscall(HOST_munmap, SCRATCH_ADDR, PAGE_SIZE, 0, 0, 0, 0);
    return -ENOMEM;
}

static void put32(u8 *at, u64 v)
{
    u32 low = (u32)v;
    memcpy(at, &low, sizeof(low));
}

/* jmp *where */
static void put_jump(u8 *at, u64 where)
{
    at[0] = 0xff;
    at[1] = 0x24;
    at[2] = 0x25;
    put32(at + 3, where);
}

/* The area for trampolines, with what is common to all of them. */
static int area_make(struct mm *mm)
{
    u8 head[DIRECT_FIRST] = {0x0f, 0x05, 0xf4 /* hlt */};
    u64 entry = (u64)(boot->flags & THAW_BOOT_FSGSBASE ? direct_entry_checked : direct_entry);
    s64 ret = mm_mmap(DIRECT_ADDR, DIRECT_SIZE, PROT_READ | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, NULL, 0);

    if (ret < 0)
        return (int)ret;
    mm_find_vma(mm, DIRECT_ADDR)->flags |= VMA_PINNED;
    memcpy(head + (DIRECT_COMMON - DIRECT_ADDR), &entry, sizeof(entry));
    return page_replace(DIRECT_ADDR, head, sizeof(head));
}

/* A page is replaced as a whole: no trampoline lies in two. */
static u64 trampoline_next(u64 at)
{
    at += TRAMPOLINE_SIZE;
    return at / PAGE_SIZE == (at + TRAMPOLINE_SIZE - 1) / PAGE_SIZE ? at : page_align(at);
}

/* The trampoline for the call at site, a new one or one from before; 0: none to be had. */
static u64 trampoline_get(struct mm *mm, u64 site, u64 nr)
{
    if (!mm->direct_used)
        mm->direct_used = area_make(mm) ? DIRECT_NONE : DIRECT_FIRST;
    if (mm->direct_used >= DIRECT_SIZE)
        return 0;
    u64 at = DIRECT_ADDR + DIRECT_FIRST;
    for (; at < DIRECT_ADDR + mm->direct_used; at = trampoline_next(at)) {
        u8 t[TRAMPOLINE_SIZE];
        if (copy_from_user(t, (const void *)at, sizeof(t)))
            return 0;
        if (!memcmp(t + TRAMPOLINE_SITE, &site, sizeof(site)) && !memcmp(t + TRAMPOLINE_NR, &(u32){(u32)nr}, 4))
            return at;
    }
    if (at + TRAMPOLINE_SIZE > DIRECT_ADDR + DIRECT_SIZE)
        return 0;
    u8 t[TRAMPOLINE_SIZE] = {0};
    u64 code = at + TRAMPOLINE_CODE;
    memcpy(t, &code, sizeof(code));
    t[TRAMPOLINE_CODE] = 0xb9; /* mov $at, %ecx */
    put32(t + TRAMPOLINE_CODE + 1, at);
    put_jump(t + TRAMPOLINE_CODE + 5, DIRECT_COMMON);
    t[TRAMPOLINE_PLAIN] = 0xb8; /* mov $nr, %eax */
    put32(t + TRAMPOLINE_NR, nr);
    put_jump(t + TRAMPOLINE_PLAIN + 5, at + TRAMPOLINE_SITE);
    memcpy(t + TRAMPOLINE_SITE, &site, sizeof(site));
    if (page_replace(at, t, sizeof(t)))
        return 0;
    mm->direct_used = (u32)(at + TRAMPOLINE_SIZE - DIRECT_ADDR);
    return at;
}

int direct_set_user_gs(u64 base)
{
    struct thread_info *ti = thread_info();
    struct mm *mm = current->process->mm;

    if (base && !(boot->flags & THAW_BOOT_FSGSBASE)) {
        /* Direct calls of this thread would look for it where the program now points: there are none from here on. */
        u64 off = (u64)direct_off;
        if (!mm->direct_used)
            mm->direct_used = DIRECT_NONE;
        if (mm->direct_used < DIRECT_SIZE && page_replace(DIRECT_COMMON, &off, sizeof(off)))
            return -ENOMEM;
        mm->direct_used = max(mm->direct_used, (u32)DIRECT_SIZE);
    }
    ti->user_gs = base;
    gs_load(ti);
    return 0;
}

/* How long the nop at p is, of those that a compiler pads with; 0: it is none of five bytes or more. */
static size_t padding_len(const u8 *p, size_t left)
{
    static const u8 nops[][8] = {
        {0x0f, 0x1f, 0x44, 0, 0}, {0x0f, 0x1f, 0x80, 0, 0, 0, 0}, {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}};
    static const u8 len[] = {5, 7, 8};
    size_t prefix = 0;

    while (prefix < left && p[prefix] == 0x66) /* prefixes make it longer */
        prefix++;
    if (prefix < left && p[prefix] == 0x2e)
        prefix++;
    for (size_t i = 0; i < ARRAY_SIZE(len); i++)
        if (left - prefix >= len[i] && !memcmp(p + prefix, nops[i], len[i]))
            return prefix + len[i];
    return 0;
}

/* The bytes of code, with ? for any. */
static bool matches(const u8 *p, size_t left, const char *pattern, size_t n)
{
    if (left < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] != '?' && p[i] != (u8)pattern[i])
            return false;
    return true;
}
#define MATCHES(p, left, pattern) matches(p, left, pattern, sizeof(pattern) - 1)

/*
 * Padding that nothing runs into: behind the function's end, found by following what a C library has behind a call.
 * cmp $-4095 or -4096, %rax; ja or jae (error); then ret, or, where threads can be cancelled, the way back from that:
 * mov %r8d, %edi; mov %rax, N(%rsp); call; mov N(%rsp), %rax; add $N, %rsp; ret.
 * Its offset from p, which is behind the `syscall`, and its length; 0: something else is there.
 */
static size_t padding_find(const u8 *p, size_t left, size_t *len)
{
    static const char back[] = "\x44\x89\xc7\x48\x89\x44\x24?\xe8????\x48\x8b\x44\x24?\x48\x83\xc4?";
    size_t n;

    if (MATCHES(p, left, "\x48\x3d?\xf0\xff\xff\x77?") || MATCHES(p, left, "\x48\x3d?\xf0\xff\xff\x73?"))
        n = 8;
    else if (MATCHES(p, left, "\x48\x3d?\xf0\xff\xff\x0f\x87????") ||
             MATCHES(p, left, "\x48\x3d?\xf0\xff\xff\x0f\x83????"))
        n = 12;
    else
        return 0;
    if (MATCHES(p + n, left - n, back))
        n += sizeof(back) - 1;
    if (n >= left || p[n] != 0xc3)
        return 0;
    n++;
    *len = padding_len(p + n, left - n);
    return *len ? n : 0;
}

/* What stands before an opcode may make it another's: a REX prefix, a byte that has a SIB byte behind it, lea. */
static bool begins_instruction(u8 before)
{
    return (before & 0xf0) != 0x40 && (before & 0xc7) != 0x84 && before != 0x8d;
}

/* The code at addr around a call: `syscall` ends at end, of n bytes. False: it is nothing known. Rewritten if a trampoline
 * is given. */
static bool code_rewrite(u8 *code, u64 addr, size_t end, size_t n, u64 nr, u64 trampoline)
{
    u32 imm;

    if (end > JUMP_SIZE && code[end - 7] == 0xb8 && begins_instruction(code[end - 8])) {
        memcpy(&imm, code + end - 6, sizeof(imm));
        if (imm == nr) {
            if (trampoline)
                put_jump(code + end - JUMP_SIZE, trampoline);
            return true;
        }
    }
    if (nr || end <= 4 || code[end - 4] != 0x31 || code[end - 3] != 0xc0 || !begins_instruction(code[end - 5]))
        return false;
    size_t len = 0, padding = padding_find(code + end, n - end, &len);
    /* Where only jmp rel32 fits it has to reach. */
    s64 reach = (s64)(DIRECT_ADDR - (addr + end + padding));
    if (!padding || padding + SYSCALL_SIZE > 127 || (len < JUMP_SIZE && reach < DIRECT_SIZE - 0x80000000ll))
        return false;
    if (trampoline && len >= JUMP_SIZE) {
        put_jump(code + end + padding, trampoline);
    } else if (trampoline) {
        code[end + padding] = 0xe9;
        put32(code + end + padding + 1, trampoline + TRAMPOLINE_CODE - (addr + end + padding + 5));
    }
    if (trampoline) {
        code[end - 4] = 0xeb;
        code[end - 3] = (u8)(SYSCALL_SIZE + padding);
    }
    return true;
}

/* The call of the trampoline t at at, as it was. */
static void undo(u64 at, const u8 *t)
{
    static const u8 xor [] = {0x31, 0xc0};
    u8 code[JUMP_SIZE], jump[JUMP_SIZE], mov[JUMP_SIZE - SYSCALL_SIZE] = {0xb8};
    u64 site;

    memcpy(&site, t + TRAMPOLINE_SITE, sizeof(site));
    u64 from = site + SYSCALL_SIZE - JUMP_SIZE;
    put_jump(jump, at);
    memcpy(mov + 1, t + TRAMPOLINE_NR, sizeof(mov) - 1);
    if (copy_from_user(code, (const void *)from, sizeof(code)))
        return;
    if (!memcmp(code, jump, sizeof(code)))
        page_replace(from, mov, sizeof(mov));
    else if (code[3] == 0xeb && code[5] == 0x0f && code[6] == 0x05)
        page_replace(site - sizeof(xor), xor, sizeof(xor));
}

void machine_code_changes(struct mm *mm, u64 addr, u64 len)
{
    u64 end = min((u64)mm->direct_used, (u64)(DIRECT_SIZE - TRAMPOLINE_SIZE + 1)), site;
    u8 t[TRAMPOLINE_SIZE];

    if (mm->direct_used == DIRECT_NONE)
        return;
    for (u64 at = DIRECT_ADDR + DIRECT_FIRST; at < DIRECT_ADDR + end; at = trampoline_next(at)) {
        if (copy_from_user(t, (const void *)at, sizeof(t)))
            return;
        memcpy(&site, t + TRAMPOLINE_SITE, sizeof(site));
        if (site && site - addr < len)
            undo(at, t);
    }
}

static bool may_be_direct(u64 nr)
{
    switch (nr) {
    case __NR_rt_sigreturn:
    case __NR_clone:
    case __NR_fork:
    case __NR_vfork:
    case __NR_execve:
    case __NR_exit:
    case __NR_exit_group:
    case __NR_execveat:
    case __NR_clone3: return false;
    default: return nr < 1024;
    }
}

static void rewrite(u64 rip, u64 nr)
{
    struct mm *mm = current->process->mm;
    struct thread_info *ti = thread_info();
    u64 site = rip - SYSCALL_SIZE, page = round_down(site, PAGE_SIZE);
    const struct vma *v = mm_find_vma(mm, site);
    u8 code[WINDOW];

    /* The program's own copy of what a file holds. */
    if (!v || v->start > page || v->end < page + PAGE_SIZE || v->prot != (PROT_READ | PROT_EXEC) ||
        (v->flags & (VMA_SHARED | VMA_PAGES)))
        return;
    u64 from = max(page, rip >= 16 ? rip - 16 : 0), to = min(page + PAGE_SIZE, from + sizeof(code));
    if (rip > to || copy_from_user(code, (const void *)from, to - from))
        return;
    if (!code_rewrite(code, from, rip - from, to - from, nr, 0))
        return;
    if (!ti->gs_loaded)
        gs_load(ti);
    u64 trampoline = trampoline_get(mm, site, nr);
    if (trampoline && code_rewrite(code, from, rip - from, to - from, nr, trampoline))
        page_replace(from, code, to - from);
}

void direct_count(u64 rip, u64 nr)
{
    static struct {
        u64 rip;
        u32 calls;
    } sites[SITES];
    typeof(sites[0]) *s = &sites[(rip ^ rip >> 8) % SITES];

    if (snapshot_may_come())
        return;
    if (s->rip != rip) {
        s->rip = rip;
        s->calls = 0;
    }
    if (++s->calls == CALLS_MIN && may_be_direct(nr))
        rewrite(rip, nr);
}
