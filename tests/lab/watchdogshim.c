/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A watchdog device where there is none: preloaded into understudyd in the lab's hosts, and linked into the executor's
 * unit test. Opening WATCHDOG_DEVICE becomes a connection to labwatchdog.py at WATCHDOG_SOCKET, which lives outside of
 * the host and bites like the real thing; ioctl, write and close on it are those of linux/watchdog.h. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/watchdog.h>

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int ioctl(int fd, unsigned long request, ...);

typedef int open_fn(const char *, int, ...);
typedef int ioctl_fn(int, unsigned long, ...);
typedef ssize_t write_fn(int, const void *, size_t);
typedef int close_fn(int);

static int device_fd = -1;

/* Sends `line`; the number that is answered, negative = -errno. */
static int ask(const char *line)
{
    char answer[32] = "";

    if (send(device_fd, line, strlen(line), MSG_NOSIGNAL) < 0)
        return -EIO;
    ssize_t n = recv(device_fd, answer, sizeof answer - 1, 0);
    return n <= 0 ? -EIO : (int)strtol(answer, NULL, 10);
}

static int result(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

static int device_open(int flags)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *path = getenv("WATCHDOG_SOCKET");
    int rc;

    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path ? path : "/run/lab/watchdog/sock");
    device_fd = socket(AF_UNIX, SOCK_SEQPACKET | (flags & O_CLOEXEC ? SOCK_CLOEXEC : 0), 0);
    if (device_fd < 0)
        return -1;
    rc = connect(device_fd, (struct sockaddr *)&a, sizeof a) < 0 ? -ENXIO : ask("open");
    if (rc == 0)
        return device_fd;
    close_fn *real = (close_fn *)dlsym(RTLD_NEXT, "close");
    (void)real(device_fd);
    device_fd = -1;
    return result(rc);
}

static int is_device(const char *path)
{
    const char *device = getenv("WATCHDOG_DEVICE");

    return strcmp(path, device ? device : "/dev/watchdog") == 0;
}

static int any_open(const char *name, const char *path, int flags, mode_t mode)
{
    open_fn *real = (open_fn *)dlsym(RTLD_NEXT, name);

    return is_device(path) ? device_open(flags) : real(path, flags, mode);
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...)                                  \
    {                                                                           \
        va_list ap;                                                             \
        va_start(ap, flags);                                                    \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0; \
        va_end(ap);                                                             \
        return any_open(#name, path, flags, mode);                              \
    }
OPEN(open)
OPEN(open64)
int __open_2(const char *path, int flags) { return any_open("open", path, flags, 0); }
int __open64_2(const char *path, int flags) { return any_open("open64", path, flags, 0); }

static int device_ioctl(unsigned long request, void *argument)
{
    char line[32];
    int rc;

    switch (request) {
    case WDIOC_GETSUPPORT:
        rc = ask("support");
        if (rc >= 0)
            *(struct watchdog_info *)argument = (struct watchdog_info){ .options = (unsigned)rc, .identity = "lab" };
        return result(rc < 0 ? rc : 0);
    case WDIOC_SETTIMEOUT:
        (void)snprintf(line, sizeof line, "timeout %d", *(int *)argument);
        return result(ask(line));
    case WDIOC_GETTIMEOUT:
        rc = ask("gettimeout");
        *(int *)argument = rc;
        return result(rc < 0 ? rc : 0);
    case WDIOC_KEEPALIVE:
        return result(ask("pet"));
    case WDIOC_SETOPTIONS:
        return result(ask(*(int *)argument & WDIOS_DISABLECARD ? "disable" : "enable"));
    default:
        return result(-ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    ioctl_fn *real = (ioctl_fn *)dlsym(RTLD_NEXT, "ioctl");
    va_list ap;

    va_start(ap, request);
    void *argument = va_arg(ap, void *);
    va_end(ap);
    return fd >= 0 && fd == device_fd ? device_ioctl(request, argument) : real(fd, request, argument);
}

ssize_t write(int fd, const void *data, size_t len)
{
    write_fn *real = (write_fn *)dlsym(RTLD_NEXT, "write");

    if (fd < 0 || fd != device_fd)
        return real(fd, data, len);
    return ask(memchr(data, 'V', len) ? "V" : "write") < 0 ? -1 : (ssize_t)len;
}

int close(int fd)
{
    close_fn *real = (close_fn *)dlsym(RTLD_NEXT, "close");

    if (fd >= 0 && fd == device_fd)
        device_fd = -1;
    return real(fd);
}
