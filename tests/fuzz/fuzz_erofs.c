/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the kernel's EROFS: the input is an image, which is mounted, walked and read in full.
 *
 * clang -g -O1 -fsanitize=fuzzer,address,undefined with the sources named in tests/fuzz/README.md. The super block's
 * checksum is taken out of the way: a fuzzer would never come past it.
 */
#include "../unit/erofs_walk.h"

#include <stdlib.h>
#include <string.h>

#define SUPER 1024
#define COMPAT_CHECKSUM 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *image;
    long before = erofs_walk_leaks();

    if (size < SUPER + 128 || size > 1 << 20)
        return -1;
    erofs_walk_quiet();
    /* exactly as large as the image: each byte beyond is an error */
    image = malloc(size);
    if (!image)
        return -1;
    memcpy(image, data, size);
    image[SUPER + 8] &= (unsigned char)~COMPAT_CHECKSUM;
    erofs_walk(image, size, (struct erofs_budget){.entries = 2000, .bytes = 70000}, NULL, NULL, NULL);
    free(image);
    if (erofs_walk_leaks() != before)
        abort();
    return 0;
}
