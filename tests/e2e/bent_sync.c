/* fsync and fdatasync take 2 s while the file named by SLOW_SYNC is there, and fail while the one named by FAIL_SYNC is;
 * preloaded by the tests in this folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int is_there(const char *variable)
{
    const char *path = getenv(variable);
    return path && access(path, F_OK) == 0;
}

static int bent(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (is_there("FAIL_SYNC")) {
        errno = EIO;
        return -1;
    }
    if (is_there("SLOW_SYNC"))
        usleep(2000000);
    return real(fd);
}

int fsync(int fd) { return bent("fsync", fd); }
int fdatasync(int fd) { return bent("fdatasync", fd); }
