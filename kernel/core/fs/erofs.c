/* SPDX-License-Identifier: MIT */
/*
 * EROFS, read-only and uncompressed, over an image in memory (Linux's Documentation/filesystems/erofs.rst).
 *
 * The image may be hostile. Every number is checked where it enters: the super block in erofs_read_super(), an inode
 * in erofs_read_inode(), a directory entry in erofs_block_entry(), a chunk in erofs_map(). What these let pass lies
 * within the image, and every loop is bounded by a size that they have checked.
 */
#include "fs_impl.h"
#include "machine.h"

#define EROFS_MAGIC 0xe0f5e1e2u
#define EROFS_SUPER_OFFSET 1024u
#define EROFS_SUPER_SIZE 128u
#define EROFS_BLOCK_BITS 12u /* the only block size: file pages have to be pages of the image */
#define EROFS_BLOCK (1u << EROFS_BLOCK_BITS)
#define EROFS_SLOT 32u /* inodes are numbered in units of this */
#define EROFS_DIRENT 12u

#define EROFS_COMPAT_CHECKSUM 0x1u
#define EROFS_INCOMPAT_ZERO_PADDING 0x1u /* only says how compressed data would be laid out */
#define EROFS_INCOMPAT_CHUNKED 0x4u
#define EROFS_INCOMPAT_KNOWN (EROFS_INCOMPAT_ZERO_PADDING | EROFS_INCOMPAT_CHUNKED)

enum { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2, EROFS_CHUNKED = 4 };
#define EROFS_CHUNK_BITS_MASK 0x1fu
#define EROFS_CHUNK_INDEXES 0x20u
#define EROFS_NULL_ADDR 0xffffffffu

#define EROFS_HASH 256u

struct erofs_inode {
    struct inode *inode;
    struct erofs_inode *hash_next;
    u64 nid;
    u32 layout;
    u64 data;        /* flat: image offset of block 0 */
    u64 tail;        /* flat inline: image offset of the last block's bytes */
    u64 inline_from; /* flat inline: file offset of the tail; else the size */
    u64 table;       /* chunked: image offset of the chunk table */
    u32 chunk_bits;
    bool indexes; /* table has 8-byte entries, not 4-byte ones */
};

struct erofs_sb {
    const u8 *image;
    u64 size;
    u64 meta; /* image offset of inode 0 */
    u64 blocks, inos;
    u64 build_ns;
    u64 root_nid;
    struct erofs_inode *hash[EROFS_HASH]; /* inodes in use, so that hard links share one */
};

static const struct inode_operations erofs_dir_iops, erofs_file_iops, erofs_link_iops;
static const struct file_operations erofs_dir_fops, erofs_file_fops;

/* ---- the image's bytes: little-endian, not aligned ---- */

static u16 le16(const u8 *p) { return (u16)(p[0] | p[1] << 8); }
static u32 le32(const u8 *p) { return le16(p) | (u32)le16(p + 2) << 16; }
static u64 le64(const u8 *p) { return le32(p) | (u64)le32(p + 4) << 32; }

/* The n bytes at off, or NULL when the image does not hold them. */
static const u8 *erofs_bytes(const struct erofs_sb *es, u64 off, u64 n)
{
    u64 end;

    if (check_add(off, n, &end) || end > es->size)
        return NULL;
    return es->image + off;
}

/* Seconds since the epoch, which may be negative, and nanoseconds; false: no such time. */
static bool erofs_time(u64 sec, u32 nsec, u64 *ns)
{
    s64 t;

    if (nsec >= 1000000000u || check_mul((s64)sec, (s64)1000000000, &t) || check_add(t, (s64)nsec, &t))
        return false;
    *ns = (u64)t;
    return true;
}

/* CRC-32C (Castagnoli), four bits at a time, without the final inversion. */
static u32 erofs_crc32c(u32 crc, const u8 *p, size_t n)
{
    static const u32 table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    while (n--) {
        crc ^= *p++;
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return crc;
}

/* ---- data ---- */

/*
 * Where the file's byte at off (< size) is: *data, NULL for a hole, and *n, the bytes from there on that lie together
 * and within the size. 0 or -EUCLEAN.
 */
static int erofs_map(const struct inode *inode, u64 off, const u8 **data, u64 *n)
{
    const struct erofs_sb *es = inode->sb->private;
    const struct erofs_inode *ei = inode->private;
    u64 chunk, within, addr;
    const u8 *entry;
    u32 block;

    if (ei->layout != EROFS_CHUNKED) {
        if (off < ei->inline_from) {
            *n = ei->inline_from - off;
            addr = ei->data + off;
        } else {
            *n = inode->size - off;
            addr = ei->tail + (off - ei->inline_from);
        }
        *data = es->image + addr; /* erofs_read_inode() has seen to the range */
        return 0;
    }
    chunk = off >> ei->chunk_bits;
    within = off & ((1ull << ei->chunk_bits) - 1);
    *n = min((1ull << ei->chunk_bits) - within, inode->size - off);
    entry = es->image + ei->table + chunk * (ei->indexes ? 8 : 4);
    if (ei->indexes) {
        if (le16(entry + 2)) /* another device: there is none */
            return -EUCLEAN;
        entry += 4;
    }
    block = le32(entry);
    if (block == EROFS_NULL_ADDR) {
        *data = NULL;
        return 0;
    }
    *data = erofs_bytes(es, ((u64)block << EROFS_BLOCK_BITS) + within, *n);
    return *data ? 0 : -EUCLEAN;
}

static ssize_t erofs_pread(const struct inode *inode, void *buf, size_t n, u64 off)
{
    size_t done = 0;

    if (off >= inode->size)
        return 0;
    n = (size_t)min((u64)n, inode->size - off);
    while (done < n) {
        const u8 *data;
        u64 here;
        int r = erofs_map(inode, off + done, &data, &here);

        if (r < 0)
            return done ? (ssize_t)done : r;
        here = min(here, (u64)(n - done));
        if (data)
            memcpy((u8 *)buf + done, data, here);
        else
            memset((u8 *)buf + done, 0, here);
        done += here;
    }
    return (ssize_t)done;
}

static ssize_t erofs_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    ssize_t r;

    if (*pos < 0)
        return -EINVAL;
    r = erofs_pread(f->inode, buf, n, (u64)*pos);
    if (r > 0)
        *pos += r;
    return r;
}

static bool erofs_map_image(struct file *f, u64 off, u64 len, u64 *image_offset)
{
    const struct inode *inode = f->inode;
    const struct erofs_sb *es = inode->sb->private;
    const struct erofs_inode *ei = inode->private;
    const u8 *start = NULL;
    u64 done, end;

    if (es->image != machine_image() || !len || (off & ~PAGE_MASK) || off >= inode->size || check_add(off, len, &end) ||
        end > page_align(inode->size))
        return false;
    end = min(end, inode->size);
    if (ei->layout == EROFS_FLAT_INLINE && end > ei->inline_from)
        return false;
    for (done = off; done < end;) {
        const u8 *data;
        u64 here;

        if (erofs_map(inode, done, &data, &here) < 0 || !data)
            return false;
        if (!start)
            start = data;
        if (data != start + (done - off))
            return false;
        done += here;
    }
    *image_offset = (u64)(start - es->image);
    /* Pages are mapped whole, so all of the last one has to be there. */
    return !(*image_offset & ~PAGE_MASK) && erofs_bytes(es, *image_offset, page_align(end - off));
}

/* ---- inodes ---- */

/* Checks and fills in where the data is. after: image offset of what follows the inode and its attributes. */
static int erofs_read_layout(struct inode *inode, u32 raw, u64 after)
{
    const struct erofs_sb *es = inode->sb->private;
    struct erofs_inode *ei = inode->private;
    u64 chunks, unit, bytes;

    ei->inline_from = inode->size;
    switch (ei->layout) {
    case EROFS_FLAT_INLINE:
        /* The last block's bytes follow the inode and do not cross a block's end. */
        if (!inode->size)
            return 0;
        ei->inline_from = (inode->size - 1) & ~(u64)(EROFS_BLOCK - 1);
        ei->tail = after;
        if ((after & (EROFS_BLOCK - 1)) + (inode->size - ei->inline_from) > EROFS_BLOCK ||
            !erofs_bytes(es, after, inode->size - ei->inline_from))
            return -EUCLEAN;
        /* fall through */
    case EROFS_FLAT_PLAIN:
        if (!ei->inline_from)
            return 0;
        ei->data = (u64)raw << EROFS_BLOCK_BITS;
        return erofs_bytes(es, ei->data, ei->inline_from) ? 0 : -EUCLEAN;
    case EROFS_CHUNKED:
        if ((raw & 0xffff) & ~(EROFS_CHUNK_BITS_MASK | EROFS_CHUNK_INDEXES))
            return -EUCLEAN;
        ei->chunk_bits = EROFS_BLOCK_BITS + (raw & EROFS_CHUNK_BITS_MASK);
        ei->indexes = raw & EROFS_CHUNK_INDEXES;
        unit = ei->indexes ? 8 : 4;
        ei->table = round_up(after, unit);
        chunks = inode->size ? ((inode->size - 1) >> ei->chunk_bits) + 1 : 0;
        if (check_mul(chunks, unit, &bytes) || !erofs_bytes(es, ei->table, bytes))
            return -EUCLEAN;
        return 0;
    default: return -EOPNOTSUPP; /* compressed */
    }
}

static int erofs_read_inode(struct inode *inode, u64 nid)
{
    const struct erofs_sb *es = inode->sb->private;
    struct erofs_inode *ei = inode->private;
    u64 off, after;
    u32 format, raw, xattrs, head = EROFS_SLOT;
    const u8 *p;

    if (check_mul(nid, (u64)EROFS_SLOT, &off) || check_add(off, es->meta, &off))
        return -EUCLEAN;
    p = erofs_bytes(es, off, head);
    if (!p)
        return -EUCLEAN;
    format = le16(p);
    if (format & ~0xfu)
        return -EOPNOTSUPP;
    if (format & 1) {
        head = 2 * EROFS_SLOT;
        p = erofs_bytes(es, off, head);
        if (!p)
            return -EUCLEAN;
    }
    xattrs = le16(p + 2);
    inode->ino = nid;
    inode->mode = le16(p + 4);
    raw = le32(p + 16);
    if (format & 1) {
        inode->size = le64(p + 8);
        inode->uid = le32(p + 24);
        inode->gid = le32(p + 28);
        inode->nlink = le32(p + 44);
        if (!erofs_time(le64(p + 32), le32(p + 40), &inode->mtime))
            return -EUCLEAN;
    } else {
        inode->size = le32(p + 8);
        inode->uid = le16(p + 24);
        inode->gid = le16(p + 26);
        inode->nlink = le16(p + 6);
        inode->mtime = es->build_ns;
    }
    inode->atime = inode->ctime = inode->mtime;
    ei->nid = nid;
    ei->layout = format >> 1;
    /* A header of 12 bytes, then entries of 4; the count includes the header as one. */
    after = off + head + (xattrs ? 12 + 4 * ((u64)xattrs - 1) : 0);

    switch (inode->mode & S_IFMT) {
    case S_IFREG:
        inode->op = &erofs_file_iops;
        inode->fop = &erofs_file_fops;
        break;
    case S_IFDIR:
        inode->op = &erofs_dir_iops;
        inode->fop = &erofs_dir_fops;
        break;
    case S_IFLNK:
        inode->op = &erofs_link_iops;
        if (inode->size == 0 || inode->size >= PATH_MAX)
            return -EUCLEAN;
        break;
    case S_IFCHR:
    case S_IFBLK:
        inode->rdev = raw; /* the encoding that stat(2) shows, too */
        /* fall through */
    case S_IFIFO:
    case S_IFSOCK:
        inode->op = &erofs_file_iops;
        inode->size = 0;
        return 0;
    default: return -EUCLEAN;
    }
    if (inode->size > (u64)INT64_MAX - PAGE_SIZE)
        return -EUCLEAN;
    inode->blocks = (inode->size + 511) / 512;
    return erofs_read_layout(inode, raw, after);
}

static struct erofs_inode **erofs_slot(struct erofs_sb *es, u64 nid)
{
    return &es->hash[(nid ^ (nid >> 8)) % EROFS_HASH];
}

static void erofs_evict_inode(struct inode *inode)
{
    struct erofs_inode *ei = inode->private, **p;

    if (!ei)
        return;
    for (p = erofs_slot(inode->sb->private, ei->nid); *p; p = &(*p)->hash_next)
        if (*p == ei) {
            *p = ei->hash_next;
            break;
        }
    kfree(ei);
}

/* The inode with number nid, with a reference. */
static int erofs_iget(struct super_block *sb, u64 nid, struct inode **res)
{
    struct erofs_inode **slot = erofs_slot(sb->private, nid), *ei;
    struct inode *inode;
    int r;

    for (ei = *slot; ei; ei = ei->hash_next)
        if (ei->nid == nid) {
            *res = inode_get(ei->inode);
            return 0;
        }
    inode = inode_alloc(sb);
    if (!inode)
        return -ENOMEM;
    ei = inode->private = kmalloc(sizeof(*ei));
    if (!ei) {
        inode_put(inode);
        return -ENOMEM;
    }
    ei->inode = inode;
    r = erofs_read_inode(inode, nid);
    if (r < 0) {
        printk("thaw: image: inode %llu is %s", (unsigned long long)nid,
               r == -EOPNOTSUPP ? "compressed or of an unknown kind" : "damaged");
        inode->mode = 0;
        inode_put(inode);
        return r;
    }
    ei->hash_next = *slot;
    *slot = ei;
    *res = inode;
    return 0;
}

/* ---- directories ---- */

/* A directory's block: entries of EROFS_DIRENT bytes, then their names. All of it lies in the image. */
struct erofs_block {
    const u8 *data;
    u32 len, count;
};
struct erofs_entry {
    const char *name;
    u32 len;
    u64 nid;
    u8 type;
};

/* off: a multiple of the block size, below the size. */
static int erofs_block_get(const struct inode *dir, u64 off, struct erofs_block *b)
{
    u64 n;
    u32 first;
    int r = erofs_map(dir, off, &b->data, &n);

    if (r < 0)
        return r;
    b->len = (u32)min(dir->size - off, (u64)EROFS_BLOCK);
    if (!b->data || n < b->len || b->len < EROFS_DIRENT)
        return -EUCLEAN;
    /* The first name begins where the entries end. */
    first = le16(b->data + 8);
    if (first < EROFS_DIRENT || first % EROFS_DIRENT || first >= b->len)
        return -EUCLEAN;
    b->count = first / EROFS_DIRENT;
    return 0;
}

static int erofs_block_entry(const struct erofs_block *b, u32 i, struct erofs_entry *e)
{
    const u8 *d = b->data + i * EROFS_DIRENT;
    u32 start = le16(d + 8), end = b->len;

    e->nid = le64(d);
    e->type = d[10];
    if (i + 1 < b->count)
        end = le16(d + EROFS_DIRENT + 8);
    if (start < b->count * EROFS_DIRENT || start >= end || end > b->len)
        return -EUCLEAN;
    e->name = (const char *)b->data + start;
    e->len = (u32)strnlen(e->name, end - start); /* the last one may be padded */
    if (e->len == 0 || e->len > NAME_MAX || memchr(e->name, '/', e->len))
        return -EUCLEAN;
    return 0;
}

static int erofs_name_cmp(const char *a, size_t a_len, const struct erofs_entry *e)
{
    int r = memcmp(a, e->name, min(a_len, (size_t)e->len));

    return r ? r : a_len < e->len ? -1 : a_len > e->len;
}

/* Names are sorted over the whole directory: first the block is searched for, then the entry. */
static int erofs_find(const struct inode *dir, const char *name, size_t len, struct erofs_entry *found)
{
    u64 low = 0, high = (dir->size + EROFS_BLOCK - 1) >> EROFS_BLOCK_BITS; /* the block is in [low, high) */
    struct erofs_block b;
    u32 from = 0, to;
    int r;

    if (!high)
        return -ENOENT;
    while (high - low > 1) {
        u64 mid = low + (high - low) / 2;

        r = erofs_block_get(dir, mid << EROFS_BLOCK_BITS, &b);
        if (r == 0)
            r = erofs_block_entry(&b, 0, found);
        if (r < 0)
            return r;
        if (erofs_name_cmp(name, len, found) < 0)
            high = mid;
        else
            low = mid;
    }
    r = erofs_block_get(dir, low << EROFS_BLOCK_BITS, &b);
    if (r < 0)
        return r;
    for (to = b.count; from < to;) {
        u32 mid = from + (to - from) / 2;
        int cmp;

        r = erofs_block_entry(&b, mid, found);
        if (r < 0)
            return r;
        cmp = erofs_name_cmp(name, len, found);
        if (cmp == 0)
            return 0;
        if (cmp < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return -ENOENT;
}

static int erofs_lookup(struct inode *dir, const char *name, size_t len, struct inode **res)
{
    struct erofs_entry e;
    int r = erofs_find(dir, name, len, &e);

    return r < 0 ? r : erofs_iget(dir->sb, e.nid, res);
}

/* The type in an entry counts from 1 in the order of this table. */
static u8 erofs_dt_type(u8 type)
{
    static const u8 table[] = {
        0, 8 /* DT_REG */, 4 /* DT_DIR */, 2 /* DT_CHR */, 6 /* DT_BLK */, 1 /* DT_FIFO */, 12 /* DT_SOCK */,
        10 /* DT_LNK */};

    return type < ARRAY_SIZE(table) ? table[type] : 0;
}

/* A position is the entry's offset in the directory. */
static int erofs_iterate(struct file *f, struct dir_context *ctx)
{
    const struct inode *dir = f->inode;
    u64 pos = (u64)f->pos;

    if (f->pos < 0)
        return -EINVAL;
    while (pos < dir->size) {
        u64 block = pos & ~(u64)(EROFS_BLOCK - 1);
        struct erofs_block b;
        u32 i = (u32)((pos - block + EROFS_DIRENT - 1) / EROFS_DIRENT);
        int r = erofs_block_get(dir, block, &b);

        if (r < 0)
            return r;
        for (; i < b.count; i++) {
            struct erofs_entry e;
            u64 next = i + 1 < b.count ? block + (i + 1) * EROFS_DIRENT : block + EROFS_BLOCK;

            r = erofs_block_entry(&b, i, &e);
            if (r < 0)
                return r;
            if (!ctx->actor(ctx, e.name, e.len, next, e.nid, erofs_dt_type(e.type)))
                return 0;
        }
        pos = block + EROFS_BLOCK;
    }
    return 0;
}

static ssize_t erofs_readlink(struct inode *inode, char *buf, size_t size) { return erofs_pread(inode, buf, size, 0); }

static int erofs_fsync(struct file *f) { return 0; }

static const struct inode_operations erofs_dir_iops = {.lookup = erofs_lookup};
static const struct inode_operations erofs_file_iops = {.lookup = NULL};
static const struct inode_operations erofs_link_iops = {.readlink = erofs_readlink};
static const struct file_operations erofs_dir_fops = {.iterate = erofs_iterate, .fsync = erofs_fsync};
static const struct file_operations erofs_file_fops = {
    .read = erofs_read,
    .fsync = erofs_fsync,
    .map_image = erofs_map_image,
};

/* ---- the file system ---- */

static int erofs_statfs(struct super_block *sb, struct thaw_statfs *st)
{
    const struct erofs_sb *es = sb->private;

    *st = (struct thaw_statfs){.bsize = EROFS_BLOCK, .blocks = es->blocks, .files = es->inos, .namelen = NAME_MAX};
    return 0;
}

static void erofs_put_super(struct super_block *sb) { kfree(sb->private); }

static const struct super_operations erofs_sops = {
    .statfs = erofs_statfs,
    .evict_inode = erofs_evict_inode,
    .put_super = erofs_put_super,
};

static int erofs_read_super(struct erofs_sb *es)
{
    const u8 *s = erofs_bytes(es, EROFS_SUPER_OFFSET, EROFS_SUPER_SIZE);
    u32 incompat;

    if (!s || le32(s) != EROFS_MAGIC) {
        printk("thaw: image: this is no EROFS file system");
        return -EINVAL;
    }
    if (s[12] != EROFS_BLOCK_BITS || s[90]) {
        printk("thaw: image: block size 2^%u, directory blocks 2^%u of these; only 4096-byte blocks are supported",
               s[12], s[90]);
        return -EINVAL;
    }
    if (!erofs_bytes(es, 0, EROFS_BLOCK))
        return -EINVAL;
    if (le32(s + 8) & EROFS_COMPAT_CHECKSUM) {
        /* Of the rest of the first block, the checksum's own field taken as zero. */
        static const u8 zero[4];
        u32 crc = erofs_crc32c(~0u, s, 4);

        crc = erofs_crc32c(crc, zero, 4);
        crc = erofs_crc32c(crc, s + 8, EROFS_BLOCK - EROFS_SUPER_OFFSET - 8);
        if (crc != le32(s + 4)) {
            printk("thaw: image: the super block's checksum is %08x, not %08x", crc, le32(s + 4));
            return -EUCLEAN;
        }
    }
    incompat = le32(s + 80);
    if (incompat & ~EROFS_INCOMPAT_KNOWN) {
        printk("thaw: image: unsupported features %#x (compression? make it without)",
               incompat & ~EROFS_INCOMPAT_KNOWN);
        return -EINVAL;
    }
    if (le16(s + 86)) {
        printk("thaw: image: parts of it lie on %u other devices", le16(s + 86));
        return -EINVAL;
    }
    es->root_nid = le16(s + 14);
    es->inos = le64(s + 16);
    es->blocks = le32(s + 36);
    es->meta = (u64)le32(s + 40) << EROFS_BLOCK_BITS;
    if (!erofs_time(le64(s + 24), le32(s + 32), &es->build_ns))
        return -EUCLEAN;
    return 0;
}

struct super_block *erofs_mount(const void *image, u64 size)
{
    struct super_block *sb = super_alloc("erofs", EROFS_MAGIC, &erofs_sops);
    struct erofs_sb *es;
    struct inode *root;
    int r;

    if (!sb)
        return ERR_PTR(-ENOMEM);
    es = sb->private = kmalloc(sizeof(*es));
    if (!es) {
        super_put(sb);
        return ERR_PTR(-ENOMEM);
    }
    es->image = image;
    es->size = size;
    sb->flags = SB_RDONLY;
    r = erofs_read_super(es);
    if (r == 0)
        r = erofs_iget(sb, es->root_nid, &root);
    if (r == 0 && !S_ISDIR(root->mode)) {
        inode_put(root);
        r = -EUCLEAN;
    }
    if (r == 0)
        r = super_set_root(sb, root);
    if (r < 0) {
        super_put(sb);
        return ERR_PTR(r);
    }
    return sb;
}
