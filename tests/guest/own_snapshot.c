/* SPDX-License-Identifier: MIT */
/*
 * A program that takes its own snapshot: it prepares, asks, and in each start prints what it prepared and the words of
 * the request. With the word "threads" it asks while another thread lives, with "write" through /dev/thaw.
 */
#include "guest.h"

#include "thaw_abi.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static long int80(long nr)
{
    long ret = nr;
    __asm__ volatile("int $0x80" : "+a"(ret)::"memory", "r8", "r9", "r10", "r11");
    return (int)ret;
}

static void *sleeper(void *arg)
{
    sleep(1000);
    return arg;
}

static union {
    struct thaw_request head;
    char bytes[65536];
} request;

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    char prepared[32];
    pthread_t thread;
    long ret;

    if (getenv("THAW_SNAPSHOT") == NULL)
        return 3;
    strcpy(prepared, "prepared"); /* by this run, not by the restored one */
    if (strcmp(way, "threads") == 0) {
        CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
        CHECK(int80(THAW_SNAPSHOT_NR) == -EBUSY);
        return 0;
    }
    int fd = open("/dev/thaw", O_RDWR);
    CHECK(fd >= 0);
    if (strcmp(way, "write") == 0) {
        CHECK(write(fd, "snap", 4) == -1 && errno == EINVAL);
        ret = write(fd, "snapshot\n", 9);
        CHECK(ret == 9);
    } else {
        ret = int80(THAW_SNAPSHOT_NR);
        CHECK(ret == THAW_SNAPSHOT_TAKEN || ret == THAW_SNAPSHOT_RESTORED);
    }
    CHECK(int80(THAW_SNAPSHOT_NR) == -EALREADY);
    ssize_t n = read(fd, request.bytes, sizeof request.bytes);
    CHECK(n >= (ssize_t)sizeof request.head && request.head.magic == THAW_REQUEST_MAGIC);
    printf("%s:", prepared);
    const char *word = request.bytes + request.head.argv_off;
    for (unsigned i = 0; i < request.head.argc; i++, word += strlen(word) + 1)
        printf(" %s", word);
    printf(" from %s\n", request.bytes + request.head.cwd_off);
    return 0;
}
