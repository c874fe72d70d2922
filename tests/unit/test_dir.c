/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "test_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resource/state/quarantine.h"

#include "common/banned.h"

#define TEMPLATE "/tmp/understudy-test.XXXXXX"

int         test_dir_fd = -1;
static char path[] = TEMPLATE;

int test_dir_setup(void **state)
{
    (void)state;
    memcpy(path, TEMPLATE, sizeof path);
    assert_non_null(mkdtemp(path));
    test_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return test_dir_fd < 0;
}

static unsigned count(int dirfd, bool clear)
{
    int                  copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR                 *d = fdopendir(copy);
    const struct dirent *e;
    unsigned             n = 0;

    while ((e = readdir(d))) {
        n += e->d_name[0] != '.';
        if (clear)
            (void)unlinkat(dirfd, e->d_name, 0); /* not directories */
    }
    (void)closedir(d);
    return n;
}

static unsigned quarantine(bool clear)
{
    int q = openat(test_dir_fd, QUARANTINE_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (q < 0)
        return 0;
    unsigned n = count(q, clear);
    (void)close(q);
    if (clear)
        assert_int_equal(unlinkat(test_dir_fd, QUARANTINE_NAME, AT_REMOVEDIR), 0);
    return n;
}

void test_dir_clear(void)
{
    (void)quarantine(true);
    (void)count(test_dir_fd, true);
}

int test_dir_teardown(void **state)
{
    (void)state;
    test_dir_clear();
    (void)close(test_dir_fd);
    return rmdir(path);
}

void test_dir_put(const char *name, const void *data, size_t len)
{
    int fd = openat(test_dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    (void)close(fd);
}

const char *test_dir_text(const char *name)
{
    static char text[64];
    int         fd = openat(test_dir_fd, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

bool     test_dir_has(const char *name) { return faccessat(test_dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }
unsigned test_dir_files(void) { return count(test_dir_fd, false); }
unsigned test_dir_quarantined(void) { return quarantine(false); }
unsigned test_dir_quarantine_clear(void) { return quarantine(true); }
