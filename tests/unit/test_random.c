/* SPDX-License-Identifier: MIT */
/* ChaCha20 gives RFC 8439's vectors; the generator never repeats itself and depends on every seed it was given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#undef min
#undef max
#include "../../kernel/core/lib/random.c"

static jmp_buf panicked;
void panic(const char *fmt, ...) { longjmp(panicked, 1); }

static void hex(const char *s, u8 *out)
{
    for (; *s; s += 2) {
        unsigned v;
        while (*s == ' ')
            s++;
        assert_int_equal(sscanf(s, "%2x", &v), 1);
        *out++ = (u8)v;
    }
}

/* key, nonce and key stream in bytes, as the RFC prints them. */
static void block_is(const char *key_hex, u32 counter, const char *nonce_hex, const char *stream_hex)
{
    u32 k[8], nonce[3];
    u8 want[64], got[64];
    hex(key_hex, (u8 *)k);
    hex(nonce_hex, (u8 *)nonce);
    hex(stream_hex, want);
    chacha20_block(k, counter, nonce, got);
    assert_memory_equal(got, want, 64);
}

#define ZERO32 "0000000000000000000000000000000000000000000000000000000000000000"

static void rfc_8439_section_2_3_2(void **state)
{
    block_is("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 1, "000000090000004a00000000",
             "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
             "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");
}

static void rfc_8439_appendix_a_1(void **state)
{
    block_is(ZERO32, 0, "000000000000000000000000",
             "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
             "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
    block_is(ZERO32, 1, "000000000000000000000000",
             "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
             "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
    block_is("0000000000000000000000000000000000000000000000000000000000000001", 1, "000000000000000000000000",
             "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
             "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0");
    block_is("00ff000000000000000000000000000000000000000000000000000000000000", 2, "000000000000000000000000",
             "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
             "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096");
    block_is(ZERO32, 0, "000000000000000000000002",
             "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
             "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d");
}

static void reset(void)
{
    memset(key, 0, sizeof(key));
    seeded = false;
}

static void without_a_seed_nothing_is_given(void **state)
{
    u8 b[4];
    reset();
    if (setjmp(panicked))
        return;
    random_bytes(b, sizeof(b));
    fail();
}

static void same_seed_same_stream_other_seed_another(void **state)
{
    u8 seed[64], a[300], b[300];
    for (int i = 0; i < 64; i++)
        seed[i] = (u8)i;
    reset();
    random_reseed(seed, sizeof(seed));
    random_bytes(a, sizeof(a));
    reset();
    random_reseed(seed, sizeof(seed));
    random_bytes(b, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
    for (int i = 0; i < 64; i++) { /* each byte of it counts */
        reset();
        seed[i] ^= 1;
        random_reseed(seed, sizeof(seed));
        seed[i] ^= 1;
        random_bytes(b, sizeof(b));
        assert_memory_not_equal(a, b, 16);
    }
}

static void a_reseed_keeps_the_old_entropy(void **state)
{
    u8 s1[32] = {1}, s2[32] = {2}, a[32], b[32];
    reset();
    random_reseed(s1, sizeof(s1));
    random_reseed(s2, sizeof(s2));
    random_bytes(a, sizeof(a));
    reset();
    random_reseed(s2, sizeof(s2));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void requests_of_every_size_never_repeat(void **state)
{
    u8 a[512], b[512], zero[512] = {0};
    u8 seed[64] = {9};
    random_reseed(seed, sizeof(seed));
    for (size_t n = 0; n <= 512; n++) {
        memset(a, 0, sizeof(a));
        memset(b, 0, sizeof(b));
        random_bytes(a, n);
        random_bytes(b, n);
        if (n >= 8)
            assert_memory_not_equal(a, b, n);
        assert_memory_equal(a + n, zero, sizeof(a) - n); /* not a byte too many */
        if (n >= 40)
            assert_memory_not_equal(a + n - 16, zero, 16);
        for (size_t k = 0; k + 32 <= n; k += 16) /* nor within one */
            if (k)
                assert_memory_not_equal(a, a + k, 16);
    }
}

static void bits_are_balanced(void **state)
{
    u8 buf[4096];
    long ones = 0;
    for (int i = 0; i < 64; i++) {
        random_bytes(buf, sizeof(buf));
        for (size_t k = 0; k < sizeof(buf); k++)
            ones += __builtin_popcount(buf[k]);
    }
    long bits = 64L * 4096 * 8;
    assert_true(labs(ones - bits / 2) < 8000); /* 11 standard deviations */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_8439_section_2_3_2),
        cmocka_unit_test(rfc_8439_appendix_a_1),
        cmocka_unit_test(without_a_seed_nothing_is_given),
        cmocka_unit_test(same_seed_same_stream_other_seed_another),
        cmocka_unit_test(a_reseed_keeps_the_old_entropy),
        cmocka_unit_test(requests_of_every_size_never_repeat),
        cmocka_unit_test(bits_are_balanced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
