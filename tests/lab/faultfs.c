/* SPDX-License-Identifier: GPL-2.0-or-later */
/* usage: understudy-faultfs mount NAME BACKING POINT RULES_DIR [SOCKET]
 *        understudy-faultfs wire BACKING LOG SOCKET
 * SOCKET: number of an inherited descriptor, one end of a SOCK_SEQPACKET pair; without it the kind `late` is refused.
 * Exit: 0, 1 something went wrong (said on stderr), 2 usage.
 */
#include "faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool number_parse(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > max / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *ret = value;
    return value <= max;
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "understudy-faultfs: %s: %s\n", what, strerror(-error));
    return 1;
}

static int mount_main(char **argv, int wire)
{
    int root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return fail(argv[1], -errno);
    umask(0);   /* the kernel has applied that of who asks */
    int error = wire_open(wire);
    if (error == 0)
        error = rules_open(argv[3], argv[0], root);
    if (error < 0)
        return fail("rules", error);
    error = fuse_run(argv[0], argv[2], root);
    return error < 0 ? fail(argv[2], error) : 0;
}

int main(int argc, char **argv)
{
    uint64_t socket = 0;
    bool numbered = argc >= 2 && number_parse(argv[argc - 1], 65535, &socket);

    if ((argc == 6 || (argc == 7 && numbered)) && strcmp(argv[1], "mount") == 0)
        return mount_main(argv + 2, argc == 7 ? (int)socket : -1);
    if (argc == 5 && numbered && strcmp(argv[1], "wire") == 0) {
        int error = wire_main(argv[2], argv[3], (int)socket);
        return error < 0 ? fail("wire", error) : 0;
    }
    fputs("usage: understudy-faultfs mount NAME BACKING POINT RULES_DIR [SOCKET]\n"
          "       understudy-faultfs wire BACKING LOG SOCKET\n", stderr);
    return 2;
}
