/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What answers at the list server's LMTP port: nothing but a 220 is a greeting, and what follows its code changes nothing. */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resource/lmtp.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096 /* fits the buffer of a socket: sending does not wait */

/* As from a server that says this and hangs up. */
static int read_all(const uint8_t *data, size_t size)
{
    int pair[2];

    PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    PROMISE(send(pair[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    (void)close(pair[1]);
    int rc = lmtp_greeting_read(pair[0], UINT64_MAX);
    (void)close(pair[0]);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool greets = size >= 4 && !memcmp(data, "220", 3) && (data[3] == ' ' || data[3] == '-');

    if (size > INPUT_MAX)
        return 0;
    for (size_t n = 0; n <= size; n++) {
        uint8_t *part = malloc(n ? n : 1); /* of exactly this size: a sanitizer sees a read beyond it */
        PROMISE(part);
        memcpy(part, data, n);
        int rc = lmtp_greeting_judge((const char *)part, n);
        PROMISE(rc == (n < 4 ? -EAGAIN : greets ? 0 : -EPROTO));
        free(part);
    }
    PROMISE(read_all(data, size) == (greets ? 0 : -EPROTO));
    return 0;
}
