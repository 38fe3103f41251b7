/* A disk that fails: calls on files whose path begins with BENT_AT do what the file named by BENT_BY says, while it is
 * there. One line: `write 5` (writes, truncations and new space fail with this errno), `read 5`, `sync 5`; `slow 10`
 * (a sync takes so many seconds); with a path after it: only while that file is there too. Preloaded by tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

/* The number that the file says for `what`, or 0; asked for each call, so that a test can change its mind. */
static int bent(const char *what, int fd)
{
    const char *at = getenv("BENT_AT"), *by = getenv("BENT_BY");
    char link[64], path[4096], said[16], only[2048];
    int number = 0, words, was = errno;
    ssize_t n;
    FILE *file;
    if (!at || !by)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n < (ssize_t)strlen(at) || strncmp(path, at, strlen(at)) != 0)
        return errno = was, 0;
    file = fopen(by, "re");
    if (!file)
        return errno = was, 0;
    words = fscanf(file, "%15s %d %2047s", said, &number, only);
    fclose(file);
    errno = was;
    if (words < 2 || strcmp(said, what) != 0 || (words == 3 && access(only, F_OK) != 0))
        return errno = was, 0;
    return number;
}

static int failed(const char *what, int fd)
{
    int number = bent(what, fd);
    if (number)
        errno = number;
    return number;
}

ssize_t pwrite64(int fd, const void *from, size_t length, off_t at)
{
    if (failed("write", fd))
        return -1;
    return REAL(ssize_t(*)(int, const void *, size_t, off_t), "pwrite64")(fd, from, length, at);
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t at) { return pwrite64(fd, from, length, at); }

ssize_t write(int fd, const void *from, size_t length)
{
    if (failed("write", fd))
        return -1;
    return REAL(ssize_t(*)(int, const void *, size_t), "write")(fd, from, length);
}

int ftruncate64(int fd, off_t size)
{
    if (failed("write", fd))
        return -1;
    return REAL(int (*)(int, off_t), "ftruncate64")(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int posix_fallocate64(int fd, off_t at, off_t length)
{
    int number = bent("write", fd);
    return number ? number : REAL(int (*)(int, off_t, off_t), "posix_fallocate64")(fd, at, length);
}

int posix_fallocate(int fd, off_t at, off_t length) { return posix_fallocate64(fd, at, length); }

ssize_t pread64(int fd, void *into, size_t length, off_t at)
{
    if (failed("read", fd))
        return -1;
    return REAL(ssize_t(*)(int, void *, size_t, off_t), "pread64")(fd, into, length, at);
}

ssize_t pread(int fd, void *into, size_t length, off_t at) { return pread64(fd, into, length, at); }

static int synced(const char *name, int fd)
{
    int seconds = bent("slow", fd);
    if (failed("sync", fd))
        return -1;
    if (seconds)
        sleep((unsigned)seconds);
    return REAL(int (*)(int), name)(fd);
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
