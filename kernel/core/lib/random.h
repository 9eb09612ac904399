/* SPDX-License-Identifier: MIT */
#ifndef CORE_RANDOM_H
#define CORE_RANDOM_H

#include "kernel.h"

/* One block of ChaCha20's key stream (RFC 8439, 2.3). */
void chacha20_block(const u32 key[8], u32 counter, const u32 nonce[3], u8 out[64]);

#endif
