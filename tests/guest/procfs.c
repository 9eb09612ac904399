/* SPDX-License-Identifier: MIT */
/* /proc and /dev show this sandbox, and none of the host. */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char buf[65536];

static char *slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    size_t n = 0;
    CHECK(fd >= 0);
    for (ssize_t r; (r = read(fd, buf + n, sizeof buf - 1 - n)) > 0;)
        n += (size_t)r;
    close(fd);
    buf[n] = 0;
    return buf;
}

int main(int argc, char **argv)
{
    char path[300], link[300];
    struct stat st;
    ssize_t n;

    CHECK(argc == 3);
    slurp("/proc/self/cmdline");
    CHECK(!strcmp(buf, argv[0]) && !strcmp(buf + strlen(buf) + 1, argv[1]));
    CHECK((n = readlink("/proc/self", path, sizeof path)) > 0 && atoi(path) == getpid());
    CHECK((n = readlink("/proc/self/exe", path, sizeof path)) > 0 && (path[n] = 0, strstr(path, "procfs")));
    slurp("/proc/self/maps");
    CHECK(strstr(buf, "[stack]") && strstr(buf, "procfs"));
    unsigned long a, b, here = (unsigned long)&argc;
    int found = 0;
    for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
        CHECK(sscanf(line, "%lx-%lx", &a, &b) == 2 && a < b);
        CHECK(b <= 0x700000000000ul || strstr(line, "[v")); /* the kernel's memory is not listed */
        found |= here >= a && here < b;
    }
    CHECK(found);
    int fd = open("/dev/null", O_RDWR);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK((n = readlink(path, link, sizeof link)) == 9 && !memcmp(link, "/dev/null", 9));
    CHECK(strstr(slurp("/proc/self/status"), "Pid:") && strstr(slurp("/proc/meminfo"), "MemTotal:"));
    CHECK(strstr(slurp("/proc/self/mounts"), "/proc"));

    DIR *d = opendir("/proc");
    int pids = 0;
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));)
        pids += e->d_name[0] >= '0' && e->d_name[0] <= '9';
    CHECK(pids >= 1 && pids <= 2);
    FAILS(open("/proc/4242/cmdline", O_RDONLY), ENOENT);

    CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    CHECK(write(fd, "x", 1) == 1 && read(fd, buf, 1) == 0);
    int z = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR), u = open("/dev/urandom", O_RDONLY);
    memset(buf, 1, 5000);
    CHECK(read(z, buf, 5000) == 5000 && buf[0] == 0 && buf[4999] == 0);
    FAILS(write(full, "x", 1), ENOSPC);
    CHECK(read(u, buf, 256) == 256);
    int distinct = 0;
    char seen[256] = {0};
    for (int i = 0; i < 256; i++)
        distinct += !seen[(unsigned char)buf[i]]++;
    CHECK(distinct > 100);
    FAILS(open("/dev/mem", O_RDONLY), ENOENT);
    FAILS(open("/dev/kvm", O_RDWR), ENOENT);
    FAILS(open("/proc/self/mem", O_RDWR) < 0 ? (errno = ENOENT, -1) : 0, ENOENT);
    return success();
}
