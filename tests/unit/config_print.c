/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a configuration was read as, byte for byte, on stdout; for tests that read it without memory. */
#include <config.h>

#include <stdio.h>

#include "common/config.h"

int main(int argc, char **argv)
{
    static struct config cfg;

    if (argc != 2 || config_read(argv[1], &cfg, stderr) != 0)
        return 1;
    return fwrite(&cfg, sizeof cfg, 1, stdout) == 1 && fflush(stdout) == 0 ? 0 : 1;
}
