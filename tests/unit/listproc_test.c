/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which processes belong to the list service, by command line and by a made-up /proc. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fileio.h"
#include "common/listproc.h"

#define CFG "/etc/mailman3/mailman.cfg"

static struct listproc p;
static char top[] = "listproc-XXXXXX";

static const struct listproc_service service = { LIST_MAILMAN3, CFG };

#define MATCH(text) listproc_match(text, sizeof text - 1, &service, &p)

static void command_lines(void **state)
{
    (void)state;
    assert_true(MATCH("/usr/bin/python3\0/usr/lib/mailman3/bin/runner\0-C\0" CFG "\0--runner=out:1:2\0"));
    assert_int_equal(p.kind, LISTPROC_RUNNER);
    assert_string_equal(p.runner, "out");
    assert_int_equal(p.slice, 1);
    assert_int_equal(p.count, 2);
    assert_true(MATCH("/usr/bin/python3\0/usr/lib/mailman3/bin/master\0-C\0" CFG "\0"));
    assert_int_equal(p.kind, LISTPROC_MASTER);
    assert_true(MATCH("python3\0/usr/lib/mailman3/bin/master\0--config=" CFG "\0"));
    assert_true(MATCH("/usr/bin/python3\0/usr/lib/mailman3/bin/mailman\0digests\0--periodic\0")); /* cron */
    assert_int_equal(p.kind, LISTPROC_COMMAND);
    assert_true(MATCH("/usr/bin/python3\0/usr/lib/mailman3/bin/runner\0-C\0" CFG "\0--runner=odd:x\0"));
    assert_string_equal(p.runner, "odd");
    assert_true(MATCH("/x\0--runner=../../etc:0:1\0")); /* a name that is looked for as a queue */
    assert_string_equal(p.runner, "??????etc");
    assert_false(MATCH("/usr/bin/python3\0/usr/lib/mailman3/bin/runner\0-C\0/other.cfg\0--runner=out:0:1\0"));
    assert_false(MATCH("/usr/bin/python3\0/usr/lib/mailman3/bin/master\0-C\0/other.cfg\0"));
    assert_false(MATCH("/bin/sh\0-c\0less /usr/lib/mailman3/bin/master\0"));
    assert_false(MATCH("vi\0master\0"));
    assert_false(listproc_match("", 0, &service, &p));
}

#define PREFIX "/usr/lib/mailman"
#define MATCH2(kind, text) listproc_match(text, sizeof text - 1, &(const struct listproc_service){ kind, PREFIX }, &p)
#define MATCH21(text) MATCH2(LIST_MAILMAN21, text)

/* As facts E has them, and by another interpreter and another name of PREFIX. */
static void command_lines_of_2_1(void **state)
{
    (void)state;
    assert_true(MATCH21("/usr/bin/python2\0" PREFIX "/bin/qrunner\0--runner=IncomingRunner:1:4\0-s\0"));
    assert_int_equal(p.kind, LISTPROC_RUNNER);
    assert_string_equal(p.runner, "IncomingRunner");
    assert_int_equal(p.slice, 1);
    assert_int_equal(p.count, 4);
    assert_true(MATCH21("python\0-S\0-u\0/var/lib/mailman/bin/qrunner\0--runner=OutgoingRunner:0:1\0-s\0"));
    assert_int_equal(p.kind, LISTPROC_RUNNER);
    assert_true(MATCH21("/usr/bin/python2\0" PREFIX "/bin/mailmanctl\0-s\0-q\0start\0"));
    assert_int_equal(p.kind, LISTPROC_MASTER);
    assert_true(MATCH21("/opt/pypy/python2.7\0/var/lib/mailman/bin/mailmanctl\0start\0"));
    assert_int_equal(p.kind, LISTPROC_MASTER);
    assert_true(MATCH21("/usr/bin/python2\0" PREFIX "/bin/mailmanctl\0-q\0restart\0")); /* signals a master, is none */
    assert_int_equal(p.kind, LISTPROC_COMMAND);
    assert_true(MATCH21(PREFIX "/mail/mailman\0post\0test\0"));
    assert_int_equal(p.kind, LISTPROC_COMMAND);
    assert_string_equal(p.runner, "");
    assert_true(MATCH21("/usr/bin/python2\0-S\0" PREFIX "/scripts/post\0test\0"));
    assert_true(MATCH21("/usr/bin/python2\0-S\0" PREFIX "/cron/senddigests\0"));
    assert_true(MATCH21("timeout\0" "60\0" PREFIX "/bin/add_members\0-r\0-\0test\0")); /* is about to start it */
    assert_false(MATCH21("vi\0" PREFIX "/Mailman/mm_cfg.py\0"));
    assert_false(MATCH21("/usr/bin/python2\0" PREFIX "er/bin/add_members\0")); /* only looks as if it were below */
    assert_false(MATCH21("understudy\0gate\0--quiet\0--\0" PREFIX "/mail/mailman\0post\0test\0"));
    assert_false(MATCH21("/usr/bin/python3\0/usr/lib/mailman3/bin/runner\0-C\0/c\0--runner=in:0:1\0"));
    assert_false(MATCH21("sleep\0--runner=IncomingRunner:0:1\0"));
    assert_false(MATCH21("-bash\0"));
}

static void command_lines_of_2_0(void **state)
{
    (void)state;
    assert_true(MATCH2(LIST_MAILMAN20, "/usr/bin/python\0-S\0" PREFIX "/cron/qrunner\0"));
    assert_int_equal(p.kind, LISTPROC_RUNNER);
    assert_string_equal(p.runner, "qrunner");
    assert_true(MATCH2(LIST_MAILMAN20, "/usr/bin/python\0/home/mailman/cron/qrunner\0"));
    assert_int_equal(p.kind, LISTPROC_RUNNER);
    assert_true(MATCH21("/usr/bin/python\0" PREFIX "/cron/qrunner\0"));
    assert_int_equal(p.kind, LISTPROC_COMMAND);
    assert_false(MATCH2(LIST_MAILMAN20, "/usr/bin/python\0/home/mailman/cron/gate_news\0"));
}

static void process_make(int pid, const char *comm, char state, int ppid, unsigned uid, const char *cmdline, size_t len)
{
    char dir[256], name[300], text[512];
    int n;

    (void)snprintf(dir, sizeof dir, "%s/%d", top, pid);
    assert_int_equal(mkdir(dir, 0755), 0);
    (void)snprintf(name, sizeof name, "%s/stat", dir);
    n = snprintf(text, sizeof text, "%d (%s) %c %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 1 1\n", pid, comm, state, ppid);
    assert_int_equal(fileio_write_replace(AT_FDCWD, name, text, (size_t)n, 0644), 0);
    (void)snprintf(name, sizeof name, "%s/status", dir);
    n = snprintf(text, sizeof text, "Name:\t%s\nUid:\t%u\t%u\t%u\t%u\n", comm, uid, uid, uid, uid);
    assert_int_equal(fileio_write_replace(AT_FDCWD, name, text, (size_t)n, 0644), 0);
    (void)snprintf(name, sizeof name, "%s/cmdline", dir);
    assert_int_equal(fileio_write_replace(AT_FDCWD, name, cmdline, len, 0644), 0);
}

#define MAKE(pid, comm, state, ppid, uid, text) process_make(pid, comm, state, ppid, uid, text, sizeof text - 1)

static void process_remove(int pid)
{
    static const char *const files[] = { "stat", "status", "cmdline" };
    char name[300];

    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s/%d/%s", top, pid, files[i]);
        (void)unlink(name);
    }
    (void)snprintf(name, sizeof name, "%s/%d", top, pid);
    (void)rmdir(name);
}

static void a_made_up_proc(void **state)
{
    struct listproc_list l;

    (void)state;
    assert_int_equal(listproc_scan(top, 38, &service, &l), -EACCES); /* pid 1 is hidden: nothing is proven */
    MAKE(1, "init", 'S', 0, 0, "init\0");
    MAKE(10, "python3", 'S', 1, 1000, "python3\0/usr/lib/mailman3/bin/master\0-C\0" CFG "\0"); /* not the list user */
    assert_int_equal(listproc_scan(top, 38, &service, &l), 0);
    assert_true(l.complete);
    assert_int_equal(l.n_alive, 0);
    MAKE(11, "a) b (c", 'S', 1, 38, "python3\0/usr/lib/mailman3/bin/master\0-C\0" CFG "\0");
    MAKE(12, "python3", 'D', 11, 38, "python3\0/usr/lib/mailman3/bin/runner\0-C\0" CFG "\0--runner=in:0:1\0");
    MAKE(13, "python3", 'Z', 11, 38, "");
    assert_int_equal(listproc_scan(top, 38, &service, &l), 0);
    assert_int_equal(l.n_alive, 2);
    assert_int_equal(l.n, 3);
    for (unsigned i = 0; i < l.n; i++)
        if (l.v[i].pid == 12) {
            assert_int_equal(l.v[i].ppid, 11);
            assert_int_equal(l.v[i].state, 'D');
            assert_int_equal(l.v[i].start_ticks, 4711);
        } else if (l.v[i].pid == 13) {
            assert_int_equal(l.v[i].kind, LISTPROC_ZOMBIE);
        }
    assert_true(l.complete);
    MAKE(14, "python3", 'R', 1, 38, ""); /* exiting: no memory any more, maybe files */
    assert_int_equal(listproc_scan(top, 38, &service, &l), 0);
    assert_false(l.complete);
    static const int all[] = { 1, 10, 11, 12, 13, 14 };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        process_remove(all[i]);
}

static void the_real_proc(void **state)
{
    static const struct listproc_service none = { LIST_MAILMAN3, "/no/such/config" };
    struct listproc_list l;

    (void)state;
    assert_int_equal(listproc_scan("/proc", geteuid(), &none, &l), 0);
    assert_int_equal(listproc_scan("/no/such/proc", 0, &service, &l), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_lines),
        cmocka_unit_test(command_lines_of_2_1),
        cmocka_unit_test(command_lines_of_2_0),
        cmocka_unit_test(a_made_up_proc),
        cmocka_unit_test(the_real_proc),
    };

    if (!mkdtemp(top))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(top);
    return rc;
}
