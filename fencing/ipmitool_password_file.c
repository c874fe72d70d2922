/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ipmitool-password-file: stands in for ipmitool in fence_ipmilan (its parameter ipmitool_path). That agent puts the
 * password into ipmitool's arguments, where every local user can read it. Here its -P and what follows is dropped, and
 * ipmitool is told to read the file that the environment names (reliability S4). Only the name is in the environment. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

#define IPMITOOL "/usr/bin/ipmitool"
#define FILE_ENV "UNDERSTUDY_PASSWORD_FILE"
#define ARGS_MAX 128

static int refuse(const char *file, const char *why)
{
    (void)fprintf(stderr, "ipmitool-password-file: %s: %s\n", file, why);
    return 1;
}

/* A password that others can read, or that others chose, is none. 0, or 1 with the sentence printed. */
static int file_check(const char *file)
{
    struct stat st;
    int         fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return refuse(file, strerror(errno));
    int rc = fstat(fd, &st);
    (void)close(fd);
    if (rc != 0 || !S_ISREG(st.st_mode))
        return refuse(file, "is no regular file; put the bare password into a file of its own");
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return refuse(file, "must belong to the user that fences and be readable by nobody else; chown root and chmod 600");
    if (st.st_size == 0)
        return refuse(file, "is empty; put the bare password into it");
    return 0;
}

int main(int argc, char **argv)
{
    const char *file = getenv(FILE_ENV);
    char       *args[ARGS_MAX + 4];
    int         n = 0;

    if (!file || *file != '/')
        return refuse(FILE_ENV, "is not set to the full path of a file; set password_file of the fence device");
    if (argc < 1 || argc > ARGS_MAX)
        return refuse(IPMITOOL, "too many arguments");
    if (file_check(file) != 0)
        return 1;
    args[n++] = (char[]){ IPMITOOL };
    args[n++] = (char[]){ "-f" };
    args[n++] = (char *)(uintptr_t)file;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-P")) {
            i++; /* with the password, real or empty */
            continue;
        }
        args[n++] = argv[i];
    }
    args[n] = NULL;
    (void)execv(args[0], args);
    return refuse(args[0], strerror(errno));
}
