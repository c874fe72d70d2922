/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stands in for understudy-engine in the executor's test: says hello with what it was given, then passes messages
 * between the executor (descriptor 3) and the test (the socket `control` beside the configuration). */
#include <config.h>

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/wire.h"

static const char *value_after(int argc, char **argv, const char *option)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], option) == 0)
            return argv[i + 1];
    return "";
}

static int control_connect(const char *config)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *slash = strrchr(config, '/');
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void) snprintf(a.sun_path, sizeof a.sun_path, "%.*s/control", slash ? (int) (slash - config) : 0, config);
    return fd >= 0 && connect(fd, (struct sockaddr *) &a, sizeof a) == 0 ? fd : -1;
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");

    while (d && readdir(d))
        n++;
    if (d)
        (void) closedir(d);
    return n - 3; /* ".", "..", and the directory itself */
}

static int relay(int from, int to)
{
    static struct wire_msg m;
    ssize_t n = recv(from, &m, sizeof m, 0);

    return n > 0 && send(to, &m, (size_t) n, MSG_NOSIGNAL) == n ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct wire_msg hello = { .version = WIRE_VERSION, .kind = WIRE_CPG_OUT };
    unsigned fds = descriptors();
    int control = control_connect(value_after(argc, argv, "--config"));

    hello.u.cpg.len = (uint32_t) snprintf((char *) hello.u.cpg.data, sizeof hello.u.cpg.data,
                                          "run=%s node=%s uid=%u fds=%u pid=%d", value_after(argc, argv, "--run"),
                                          value_after(argc, argv, "--node"), (unsigned) geteuid(), fds, (int) getpid());
    if (control < 0 || send(control, &hello, sizeof hello, MSG_NOSIGNAL) < 0)
        return 1;
    for (;;) {
        struct pollfd p[2] = { { .fd = WIRE_FD_EXECUTOR, .events = POLLIN }, { .fd = control, .events = POLLIN } };
        if (poll(p, 2, -1) < 0)
            return 1;
        if (p[0].revents && relay(WIRE_FD_EXECUTOR, control) < 0)
            return 2;
        if (p[1].revents && relay(control, WIRE_FD_EXECUTOR) < 0)
            return 3;
    }
}
