/* Forgets writes that were not synced, as a power cut does; preloaded by the tests in this folder.
 *
 * CUT_IN names the store's file; what is written to it and to its journal since the last sync of each is remembered with
 * what stood there before. At call CUT_AFTER of write, truncate or sync, a random part of it is undone, newest first, and
 * the process ends. CUT_SEED decides the part: a disk writes in any order what nobody waits for. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct undo {
    struct undo *older;
    dev_t dev;
    ino_t ino;
    int fd;          /* a descriptor of our own: the program may close its own before the cut */
    off_t at, size;  /* where, and how long the file was before */
    size_t length;   /* of what stood there */
    char *before;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo *newest;
static long calls_left = -1;
static unsigned seed;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static int (*real_truncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void)
{
    const char *after = getenv("CUT_AFTER"), *s = getenv("CUT_SEED");
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    real_pread = (ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread64");
    real_truncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (after)
        calls_left = atol(after);
    seed = s ? (unsigned)atol(s) : 1;
}

/* Whether fd is the store's file or its journal; the index (-shm) is never durable anyway. */
static int is_ours(int fd)
{
    const char *name = getenv("CUT_IN");
    char link[64], path[4096];
    ssize_t n;
    size_t length;
    if (!name)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    length = strlen(name);
    if (n < (ssize_t)length)
        return 0;
    path[n] = 0;
    return strncmp(path, name, length) == 0 && strcmp(path + length, "-shm") != 0;
}

static void cut(void)
{
    for (struct undo *one = newest; one; one = one->older) {
        if (rand_r(&seed) % 4 == 0)
            continue;  /* this one had reached the disk */
        if (one->length)
            real_pwrite(one->fd, one->before, one->length, one->at);
        real_truncate(one->fd, one->size);
    }
    _exit(99);
}

static void count(void)
{
    if (calls_left > 0 && --calls_left == 0)
        cut();
}

static void remember(int fd, off_t at, size_t length)
{
    struct stat is;
    char link[64];
    struct undo *one = calloc(1, sizeof *one);
    ssize_t got;
    fstat(fd, &is);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    one->fd = open(link, O_RDWR | O_CLOEXEC);
    one->dev = is.st_dev, one->ino = is.st_ino, one->at = at, one->size = is.st_size;
    one->before = malloc(length ? length : 1);
    got = length ? real_pread(fd, one->before, length, at) : 0;
    one->length = got > 0 ? (size_t)got : 0;
    one->older = newest;
    newest = one;
}

static void forget(int fd)
{
    struct stat is;
    struct undo **place = &newest;
    fstat(fd, &is);
    while (*place) {
        struct undo *one = *place;
        if (one->dev == is.st_dev && one->ino == is.st_ino) {
            *place = one->older;
            close(one->fd);
            free(one->before);
            free(one);
        } else
            place = &one->older;
    }
}

ssize_t pwrite64(int fd, const void *what, size_t length, off_t at)
{
    ssize_t done;
    if (!is_ours(fd))
        return real_pwrite(fd, what, length, at);
    pthread_mutex_lock(&lock);
    count();
    remember(fd, at, length);
    done = real_pwrite(fd, what, length, at);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *what, size_t length, off_t at) { return pwrite64(fd, what, length, at); }

int ftruncate64(int fd, off_t size)
{
    struct stat is;
    int done;
    if (!is_ours(fd))
        return real_truncate(fd, size);
    pthread_mutex_lock(&lock);
    count();
    fstat(fd, &is);
    remember(fd, size, is.st_size > size ? (size_t)(is.st_size - size) : 0);
    done = real_truncate(fd, size);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int (*real)(int))
{
    int done;
    if (!is_ours(fd))
        return real(fd);
    pthread_mutex_lock(&lock);
    count();
    done = real(fd);
    if (done == 0)
        forget(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }
