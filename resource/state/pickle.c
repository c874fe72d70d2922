/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/pickle.h"

#include <errno.h>
#include <unistd.h>

#include "common/banned.h"

#define PICKLE_STOP '.'

int pickle_judge(int fd, struct stat *ret_st)
{
    char last = 0;

    if (fstat(fd, ret_st) < 0)
        return -errno;
    if (!S_ISREG(ret_st->st_mode) || ret_st->st_size == 0)
        return 1;
    if (pread(fd, &last, 1, ret_st->st_size - 1) < 0)
        return -errno;
    return last != PICKLE_STOP;
}
