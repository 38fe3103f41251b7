/* kill -9 at one step of a message's way through the gateway; preloaded by test_killed_at_each_step.py.
 *
 * KILL_AT: "<step> <k>", the k-th time that step is met. BROKER_PORT and SINK_PORT tell the sockets apart, OUTBOX names the
 * store's file. The step is appended to KILLED, so that the test knows that it was met.
 *
 *   receive     bytes of the broker were read                   (received, in nobody's hands yet)
 *   stepped     a transaction is about to be begun              (decided, nothing written)
 *   writing     a page of it was written                        (half a transaction)
 *   syncing     all is written, nothing synced
 *   committed   it is synced                                    (durable, not acknowledged)
 *   puback      half of the acknowledgements were sent
 *   delivering  half of a request was sent to the database
 *   answered    the database has answered                       (delivered, the cursor is not moved yet) */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char step[32];
static long left = -1;
static int in_transaction;

static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("KILL_AT");
    real_recv = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
    real_send = (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    real_sendmsg = (ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
    real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (at)
        sscanf(at, "%31s %ld", step, &left);
}

static void die(void)
{
    const char *path = getenv("KILLED");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (fd >= 0) {
        (void)!write(fd, step, strlen(step));
        (void)!write(fd, "\n", 1);
    }
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Whether this is the time: the step's name fits and it was met often enough. */
static int due(const char *name)
{
    int now;
    if (left < 0 || strcmp(step, name) != 0)
        return 0;
    pthread_mutex_lock(&lock);
    now = left > 0 && --left == 0;
    pthread_mutex_unlock(&lock);
    return now;
}

static int leads_to(int fd, const char *variable)
{
    const char *port = getenv(variable);
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    if (!port || getpeername(fd, (struct sockaddr *)&peer, &length) != 0 || peer.sin_family != AF_INET)
        return 0;
    return ntohs(peer.sin_port) == atoi(port);
}

static int is_journal(int fd)
{
    const char *name = getenv("OUTBOX");
    char link[64], path[4096], wanted[4096];
    ssize_t n;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (!name || n < 0)
        return 0;
    path[n] = 0;
    snprintf(wanted, sizeof wanted, "%s-wal", name);
    return strcmp(path, wanted) == 0;
}

ssize_t recv(int fd, void *into, size_t length, int flags)
{
    ssize_t got = real_recv(fd, into, length, flags);
    if (got > 0 && leads_to(fd, "BROKER_PORT") && due("receive"))
        die();
    if (got > 0 && leads_to(fd, "SINK_PORT") && due("answered"))
        die();
    return got;
}

static void sending(int fd, const void *what, size_t length, int flags)
{
    int acknowledges = length && (*(const unsigned char *)what >> 4) == 4;  /* PUBACK */
    if ((acknowledges && leads_to(fd, "BROKER_PORT") && due("puback"))
        || (leads_to(fd, "SINK_PORT") && due("delivering"))) {
        real_send(fd, what, length / 2, flags);
        die();
    }
}

ssize_t send(int fd, const void *what, size_t length, int flags)
{
    sending(fd, what, length, flags);
    return real_send(fd, what, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *what, int flags)
{
    if (what->msg_iovlen)
        sending(fd, what->msg_iov[0].iov_base, what->msg_iov[0].iov_len, flags);
    return real_sendmsg(fd, what, flags);
}

ssize_t pwrite64(int fd, const void *what, size_t length, off_t at)
{
    ssize_t done;
    int first;
    if (!is_journal(fd))
        return real_pwrite(fd, what, length, at);
    first = !in_transaction;
    in_transaction = 1;
    if (first && due("stepped"))
        die();
    done = real_pwrite(fd, what, length, at);
    if (first && due("writing"))
        die();
    return done;
}

ssize_t pwrite(int fd, const void *what, size_t length, off_t at) { return pwrite64(fd, what, length, at); }

static int synced(int fd, int (*real)(int))
{
    int done;
    if (!is_journal(fd))
        return real(fd);
    if (due("syncing"))
        die();
    done = real(fd);
    in_transaction = 0;
    if (due("committed"))
        die();
    return done;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }
