/* A disk that does not answer: a write to a file whose path begins with SLOW_AT waits while the file SLOW_BY is there.
 * The file SLOW_HELD appears when one does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t write(int fd, const void *from, size_t length)
{
    const char *at = getenv("SLOW_AT"), *by = getenv("SLOW_BY");
    char link[64], path[4096] = "";
    if (at && by) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, path, sizeof path - 1) > 0 && strncmp(path, at, strlen(at)) == 0)
            for (int held = 0; access(by, F_OK) == 0; usleep(1000))
                if (!held++ && getenv("SLOW_HELD"))
                    fclose(fopen(getenv("SLOW_HELD"), "we"));
    }
    return ((ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, from, length);
}
