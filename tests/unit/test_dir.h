/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory for one test, open as test_dir_fd, with what is needed to fill and to read it. Files with a leading dot are not
 * counted; nothing of it is there after the test. */
#ifndef UNDERSTUDY_TEST_DIR_H
#define UNDERSTUDY_TEST_DIR_H

#include <stdbool.h>
#include <stddef.h>

extern int test_dir_fd;

int test_dir_setup(void **state);
int test_dir_teardown(void **state);

/* Made or overwritten. */
void test_dir_put(const char *name, const void *data, size_t len);
/* At most 63 bytes of it, until the next call; NULL: it is not there. */
const char *test_dir_text(const char *name);
bool test_dir_has(const char *name);
unsigned test_dir_files(void);
/* How many files are kept in its quarantine. */
unsigned test_dir_quarantined(void);
/* The same, and they go with it. */
unsigned test_dir_quarantine_clear(void);
/* Everything goes. */
void test_dir_clear(void);

#endif
