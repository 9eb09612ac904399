/* SPDX-License-Identifier: MIT */
/*
 * The kernel's random numbers: ChaCha20, its key replaced before any of its output leaves, so that a later look into
 * memory tells nothing about what was handed out before.
 */
#include "random.h"

static u32 key[8];
static bool seeded;

static inline u32 rotl(u32 v, int n) { return v << n | v >> (32 - n); }

static inline void quarter_round(u32 *x, int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotl(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotl(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotl(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotl(x[b] ^ x[c], 7);
}

void chacha20_block(const u32 k[8], u32 counter, const u32 nonce[3], u8 out[64])
{
    u32 in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    u32 x[16];

    memcpy(in + 4, k, 32);
    in[12] = counter;
    memcpy(in + 13, nonce, 12);
    memcpy(x, in, sizeof(x));
    for (int i = 0; i < 10; i++) {
        quarter_round(x, 0, 4, 8, 12);
        quarter_round(x, 1, 5, 9, 13);
        quarter_round(x, 2, 6, 10, 14);
        quarter_round(x, 3, 7, 11, 15);
        quarter_round(x, 0, 5, 10, 15);
        quarter_round(x, 1, 6, 11, 12);
        quarter_round(x, 2, 7, 8, 13);
        quarter_round(x, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        x[i] += in[i];
    memcpy(out, x, 64);
}

/* The compiler may not leave this out although nobody reads the memory again. */
static void wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* Each piece of seed goes into the key, then the key through the cipher: the old key's entropy is kept as well. */
void random_reseed(const void *seed, size_t n)
{
    const u8 *p = seed;
    u32 nonce[3] = {0x64656573}; /* apart from the nonces below */
    u8 block[64];

    if (!n)
        return;
    while (n) {
        size_t part = min(n, sizeof(key));
        u8 *k = (u8 *)key;
        for (size_t i = 0; i < part; i++)
            k[i] ^= p[i];
        nonce[1]++;
        chacha20_block(key, 0, nonce, block);
        memcpy(key, block, sizeof(key));
        p += part;
        n -= part;
    }
    wipe(block, sizeof(block));
    seeded = true;
}

void random_bytes(void *buf, size_t n)
{
    static const u32 nonce[3];
    u8 *out = buf;
    u8 block[64];
    u32 stream[8];

    BUG_ON(!seeded);
    /* The first half of the first block is the next key, the second half output, or the key of a longer stream. */
    chacha20_block(key, 0, nonce, block);
    memcpy(key, block, sizeof(key));
    if (n <= 32) {
        memcpy(out, block + 32, n);
        wipe(block, sizeof(block));
        return;
    }
    memcpy(stream, block + 32, sizeof(stream));
    for (u32 counter = 1; n; counter++) {
        size_t part = min(n, sizeof(block));
        BUG_ON(!counter);
        chacha20_block(stream, counter, nonce, block);
        memcpy(out, block, part);
        out += part;
        n -= part;
    }
    wipe(block, sizeof(block));
    wipe(stream, sizeof(stream));
}
