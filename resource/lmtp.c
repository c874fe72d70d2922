/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/lmtp.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/intake.h"

#include "common/banned.h"

static int socket_wait(int fd, short events, uint64_t until_ms)
{
    struct pollfd p = { .fd = fd, .events = events };
    int           rc;

    do
        rc = poll(&p, 1, clock_poll_ms(clock_now_ms(), until_ms));
    while (rc < 0 && errno == EINTR);
    return rc > 0 ? 0 : rc == 0 ? -ETIMEDOUT : -errno;
}

static int socket_connect(const struct addrinfo *to, uint64_t until_ms, int *ret_fd)
{
    uint32_t  mark = INTAKE_PROBE_MARK;
    socklen_t size = sizeof(int);
    int       fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc = 0;

    if (fd < 0)
        return -errno;
    /* Without the right to set it this fails, and the probe sees what everybody sees. */
    (void)setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0)
        rc = errno == EINPROGRESS ? socket_wait(fd, POLLOUT, until_ms) : -errno;
    if (rc == 0) {
        int error = 0;
        rc = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ? -errno : -error;
    }
    if (rc != 0)
        (void)close(fd);
    else
        *ret_fd = fd;
    return rc;
}

int lmtp_greeting_judge(const char *text, size_t len)
{
    if (len < LMTP_GREETING_MIN)
        return -EAGAIN;
    return memcmp(text, "220", 3) == 0 && (text[3] == ' ' || text[3] == '-') ? 0 : -EPROTO;
}

int lmtp_greeting_read(int fd, uint64_t until_ms)
{
    char   text[LMTP_GREETING_MIN];
    size_t have = 0;
    int    verdict;

    while ((verdict = lmtp_greeting_judge(text, have)) == -EAGAIN) {
        int rc = socket_wait(fd, POLLIN, until_ms);
        if (rc != 0)
            return rc;
        ssize_t got = recv(fd, text + have, sizeof text - have, 0);
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (got == 0)
            return -EPROTO;
        have += got > 0 ? (size_t)got : 0;
    }
    return verdict;
}

int lmtp_probe_greeting(const char *host, uint16_t port, unsigned timeout_ms)
{
    struct addrinfo  hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *to;
    uint64_t         until_ms = clock_now_ms() + timeout_ms;
    char             service[8];
    int              fd = -1, rc;

    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (getaddrinfo(host, service, &hints, &to) != 0)
        return -EINVAL;
    rc = socket_connect(to, until_ms, &fd);
    freeaddrinfo(to);
    if (rc != 0)
        return rc;
    rc = lmtp_greeting_read(fd, until_ms);
    if (rc == 0)
        (void)send(fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
    (void)close(fd);
    return rc;
}
