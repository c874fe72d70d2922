/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: root's, but a draft of anybody's is checked by `understudy check-config`. */
#include <config.h>

#include <unistd.h>

#include "common/config.h"
#include "tests/fuzz/fuzz.h"

static char path[] = "/tmp/understudy-fuzz-config.XXXXXX";

static void remove_file(void)
{
    (void)unlink(path);
}

static const char *write_file(const uint8_t *data, size_t size)
{
    static int fd = -1;

    if (fd < 0) {
        fd = mkstemp(path);
        (void)atexit(remove_file);
    }
    PROMISE(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config c;
    char *text = NULL;
    size_t len = 0;
    FILE *errors = open_memstream(&text, &len);

    PROMISE(errors);
    int rc = config_read(write_file(data, size), &c, errors);
    PROMISE(fclose(errors) == 0);
    PROMISE((rc == 0) == (len == 0)); /* refused with a sentence, or taken without one */
    if (rc == 0) {
        PROMISE(c.n_nodes >= 1 && c.n_nodes <= CONFIG_NODES_MAX && c.n_devices <= CONFIG_DEVICES_MAX);
        PROMISE(c.control_share[0] == '/' && !strstr(c.control_share, "/../") && c.drain_ms > 0);
        for (unsigned i = 0; i < c.n_devices; i++)
            PROMISE(c.devices[i].node < c.n_nodes);
    }
    free(text);
    return 0;
}
