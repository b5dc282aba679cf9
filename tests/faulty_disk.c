/* Preloaded into a server: notes what is synced and renamed, and lets chosen syncs fail.

   DISK_LOG   file that gets a line for each event: "sync PATH", "rename FROM TO"
   DISK_FAIL  part of a path: of files whose path contains it,
   DISK_FROM  the syncs from this one on (counted from 1) fail with EIO,
   DISK_COUNT as many of them; 0 for all                                                              */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int seen;

static void note(const char *text)
{
    const char *name = getenv("DISK_LOG");
    if (!name)
        return;
    int file = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (write(file, text, strlen(text)) < 0)
            perror("DISK_LOG");
        close(file);
    }
}

static int number(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static int fails(int fd)
{
    char link[64], path[PATH_MAX] = "", line[PATH_MAX + 16];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    const char *part = getenv("DISK_FAIL");
    int bad = 0;
    if (part && strstr(path, part)) {
        int from = number("DISK_FROM", 1), count = number("DISK_COUNT", 0);
        int now = __sync_add_and_fetch(&seen, 1);
        bad = now >= from && (!count || now < from + count);
    }
    snprintf(line, sizeof line, "%s %s\n", bad ? "fail" : "sync", path);
    note(line);
    return bad;
}

int fsync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    char line[2 * PATH_MAX + 16];
    snprintf(line, sizeof line, "rename %s %s\n", from, to);
    int result = real(from, to);
    if (!result)
        note(line);
    return result;
}
