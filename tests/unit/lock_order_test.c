/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takers and clearers of one lock, in every order of their changes: no live lock is ever taken off its name, no two hold it,
 * and nothing gets lost. The double break of reliability §3.3 is one of these orders. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "resource/state/lock_take.h"
#include "resource/state/quarantine.h"
#include "tests/unit/lock_sched.h"

#define LOCK  "test"
#define DEAD  "test|a.lab.test|999|1"
#define PID_0 1001
#define STUBBORN_MAX 8

static const struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a", .hostname = "a", .fqdn = "a.lab.test" },
                                                            { .name = "b", .hostname = "b", .fqdn = "b.lab.test" } } };

static struct {
    char              top[64], locks[80], proc[80];
    int               dirfd;
    struct state_ctx  ctx;
    struct lock_place place;
    ino_t             dead;
    int               rc[SCHED_MAX];
    bool              held[SCHED_MAX];
    char              claim[SCHED_MAX][LOCK_NAME_MAX];
    unsigned          clears, holds;
} t;

/* Told at once what broke it: the runs cannot be ended from within. */
static void broken(const char *what)
{
    (void)fprintf(stderr, "%s, in run %s\n", what, sched_path());
    abort();
}

static void file_make(const char *name)
{
    char text[256];
    int fd = openat(t.dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0660);
    int n = snprintf(text, sizeof text, "%s/%s", t.locks, name);

    if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) != 0)
        broken("no claim");
}

/* Every file below the directory is removed. */
static void empty(int dirfd)
{
    DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));

    for (const struct dirent *d; (d = readdir(dir));)
        if (d->d_type != DT_DIR)
            (void)unlinkat(dirfd, d->d_name, 0);
    (void)closedir(dir);
}

static int quarantine_dir(void)
{
    return openat(t.dirfd, QUARANTINE_NAME, O_RDONLY | O_DIRECTORY);
}

static void world_begin(void)
{
    int quarantine = quarantine_dir();

    empty(t.dirfd);
    if (quarantine >= 0) {
        empty(quarantine);
        (void)close(quarantine);
    }
    memset(t.held, 0, sizeof t.held);
    memset(t.claim, 0, sizeof t.claim);
    t.dead = 0;
}

static void world_begin_stale(void)
{
    struct stat st;

    world_begin();
    file_make(DEAD);
    if (linkat(t.dirfd, DEAD, t.dirfd, LOCK, 0) < 0 || fstatat(t.dirfd, LOCK, &st, 0) < 0)
        broken("no lock");
    t.dead = st.st_ino;
}

/* Who holds it has it under its name, whatever the others are in the middle of. */
static void world_check(void)
{
    struct stat lock, claim;
    unsigned n = 0;

    for (unsigned i = 0; i < SCHED_MAX; i++) {
        if (!t.held[i])
            continue;
        n++;
        if (fstatat(t.dirfd, t.claim[i], &claim, 0) < 0)
            broken("a live claim was removed");
        if (fstatat(t.dirfd, LOCK, &lock, 0) < 0)
            broken("a live lock was removed");
        if (lock.st_ino != claim.st_ino)
            broken("a live lock was replaced");
    }
    if (n > 1)
        broken("two hold the lock");
}

static unsigned files_count(int dirfd, ino_t ino)
{
    DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
    unsigned n = 0;

    for (const struct dirent *d; (d = readdir(dir));)
        n += d->d_type != DT_DIR && (!ino || d->d_ino == ino);
    (void)closedir(dir);
    return n;
}

static void world_end(void)
{
    int quarantine = quarantine_dir();
    unsigned moved = quarantine >= 0 ? files_count(quarantine, 0) : 0;

    if (t.dead && files_count(t.dirfd, t.dead) + moved != 2)
        broken("the dead lock is lost, or something else was moved");
    if (files_count(t.dirfd, 0) != (t.dead ? 2 - moved : 0))
        broken("something is left behind");
    t.clears += moved;
    if (quarantine >= 0)
        (void)close(quarantine);
}

/* As world_end(), where a refused removal may leave names of ours. */
static void world_end_faulty(void)
{
    struct stat st;

    if (fstatat(t.dirfd, LOCK, &st, 0) == 0)
        broken("the lock is left behind");
}

static struct lock_circumstances circumstances(void)
{
    return (struct lock_circumstances){ .ctx = &t.ctx };
}

static void clearer(unsigned self)
{
    struct lock_circumstances c = circumstances();

    t.rc[self] = lock_clear(&t.place, LOCK, &c);
}

static void take_and_release(unsigned self, const struct lock_circumstances *c)
{
    struct lock_handle h = LOCK_HANDLE_NONE;

    t.rc[self] = lock_take(&t.place, LOCK, 60, c, &h, NULL);
    if (t.rc[self])
        return;
    t.holds++;
    memcpy(t.claim[self], h.claim, sizeof h.claim);
    t.held[self] = true;
    int said = lock_held(&t.place, &h);
    if (said != 1 && said != -EIO)
        broken("it is held, and is said not to be");
    sched_step(); /* the others go on meanwhile */
    t.held[self] = false;
    for (int rc = -EIO, i = 0; rc && i < 3; i++) {
        rc = lock_release(&t.place, &h);
        if (rc == -ENOLCK)
            broken("it was held, and is said to be lost");
        if (rc && i == 2)
            broken("it cannot be released");
    }
}

static void taker(unsigned self)
{
    take_and_release(self, NULL);
}

/* It has the lock until all others have ended: fewer orders, as its release is none of them. */
static struct lock_handle kept = LOCK_HANDLE_NONE;

static void keeper(unsigned self)
{
    t.rc[self] = lock_take(&t.place, LOCK, 60, NULL, &kept, NULL);
    if (t.rc[self])
        return;
    t.holds++;
    memcpy(t.claim[self], kept.claim, sizeof kept.claim);
    t.held[self] = true;
}

static void world_end_kept(void)
{
    if (kept.held && lock_release(&t.place, &kept) != 0)
        broken("it was held to the end, and is lost");
    world_end();
}

static void clearing_taker(unsigned self)
{
    struct lock_circumstances c = circumstances();

    take_and_release(self, &c);
}

static bool all_orders(void)
{
    return getenv("LOCK_ORDERS_ALL") != NULL;
}

static void explore(const char *what, struct sched s, unsigned long runs_min)
{
    t.clears = t.holds = 0;
    for (unsigned i = 0; i < s.n; i++)
        s.pid[i] = PID_0 + (pid_t)i;
    s.check = world_check;
    s.shared_only = s.shared_only && (!all_orders() || s.looked_at);
    s.switches += all_orders() && s.switches >= 0;
    unsigned long runs = sched_explore(&s);
    (void)printf("# %s: %lu runs, %u times cleared, %u times held\n", what, runs, t.clears, t.holds);
    assert_true(runs >= runs_min);
    assert_true(t.holds > 0 || s.n == 2);
    assert_true((t.clears > 0) == (s.begin == world_begin_stale));
}

static void test_two_clearers_and_a_live_locker(void **state)
{
    (void)state;
    explore("two clearers, one taker, all orders", (struct sched){ .n = 3, .body = { clearer, clearer, taker },
            .begin = world_begin_stale, .end = world_end, .switches = -1, .shared_only = true }, 1000);
}

static void test_every_call_of_theirs(void **state)
{
    (void)state;
    explore("the same before every call, at most 2 switches", (struct sched){ .n = 3, .body = { clearer, clearer, taker },
            .begin = world_begin_stale, .end = world_end, .switches = 2, .every_call = true }, 1000);
}

/* Each look at the lock is a point as well, and its file may have changed between open and fstat: every order in which any
 * two calls can matter to each other. What only one of them knows the name of can be done at any time. LOCK_ORDERS_ALL: without
 * a limit, but for the release. */
static void test_two_breakers_at_each_call(void **state)
{
    (void)state;
    explore("two breakers, every call, all orders", (struct sched){ .n = 2, .body = { clearer, clearer },
            .begin = world_begin_stale, .end = world_end, .switches = -1, .every_call = true }, 100);
    if (all_orders())
        explore("two breakers and a live locker that keeps it, each call at the lock, all orders",
                (struct sched){ .n = 3, .body = { clearer, clearer, keeper }, .begin = world_begin_stale, .end = world_end_kept,
                                .switches = -1, .looked_at = LOCK, .shared_only = true }, 1000);
    explore("two breakers and a live locker, each call at the lock, at most 3 switches",
            (struct sched){ .n = 3, .body = { clearer, clearer, taker }, .begin = world_begin_stale, .end = world_end,
                            .switches = 3, .looked_at = LOCK, .shared_only = true }, 1000);
}

static void test_who_clears_and_takes(void **state)
{
    (void)state;
    explore("three that clear and take, at most 3 switches", (struct sched){ .n = 3,
            .body = { clearing_taker, clearing_taker, clearing_taker }, .begin = world_begin_stale, .end = world_end,
            .switches = 3, .shared_only = true }, 500);
}

/* Alone, and it comes again until it has the lock: what earlier attempts have left is its own, and goes. */
static void stubborn(unsigned self)
{
    struct lock_handle h = LOCK_HANDLE_NONE;

    for (unsigned i = 0; i < STUBBORN_MAX && (t.rc[self] = lock_take(&t.place, LOCK, 60, NULL, &h, NULL)) != 0; i++)
        if (t.rc[self] == -EALREADY)
            broken("it is held after a failure");
    if (t.rc[self])
        broken("a lock that nobody holds cannot be taken");
    t.holds++;
    for (unsigned i = 0; i < STUBBORN_MAX && (t.rc[self] = lock_release(&t.place, &h)) != 0; i++)
        if (t.rc[self] == -ENOLCK)
            broken("it was held, and is said to be lost");
    if (t.rc[self])
        broken("it cannot be released");
}

static void test_what_an_attempt_has_left_is_its_owners(void **state)
{
    (void)state;
    explore("one taker that comes again, four replies lost, requests refused or looks failed",
            (struct sched){ .n = 1, .body = { stubborn }, .begin = world_begin, .end = world_end_faulty, .switches = -1,
                            .faults = 4, .looks_fail = true, .shared_only = true }, 1000);
}

static void test_lost_replies(void **state)
{
    (void)state;
    explore("two takers, all orders, one reply lost or request refused", (struct sched){ .n = 2, .body = { taker, taker },
            .begin = world_begin, .end = world_end_faulty, .switches = -1, .faults = 1, .shared_only = true }, 100);
    explore("the same, or a look that fails", (struct sched){ .n = 2, .body = { taker, taker }, .begin = world_begin,
            .end = world_end_faulty, .switches = -1, .faults = 1, .looks_fail = true, .shared_only = true }, 200);
    explore("three takers, at most 2 switches, one reply lost or request refused", (struct sched){ .n = 3,
            .body = { taker, taker, taker }, .begin = world_begin, .end = world_end_faulty, .switches = 2, .faults = 1,
            .shared_only = true }, 500);
}

static void dir_make(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

static int world_make(void **state)
{
    char path[128];

    (void)state;
    /* in memory, if there is such a place: the runs are many */
    (void)snprintf(t.top, sizeof t.top, "%s/understudy-test.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(t.top));
    (void)snprintf(t.locks, sizeof t.locks, "%s/locks", t.top);
    (void)snprintf(t.proc, sizeof t.proc, "%s/proc", t.top);
    dir_make(t.locks);
    dir_make(t.proc);
    for (unsigned i = 0; i < SCHED_MAX; i++) { /* all but the dead owner live */
        (void)snprintf(path, sizeof path, "%s/%u", t.proc, PID_0 + i);
        dir_make(path);
        (void)snprintf(path, sizeof path, "%s/%u/status", t.proc, PID_0 + i);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        (void)fprintf(f, "State:\tS (sleeping)\nUid:\t%u\t%u\t%u\t%u\n", getuid(), getuid(), getuid(), getuid());
        (void)fclose(f);
    }
    t.dirfd = open(t.locks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(t.dirfd >= 0);
    t.ctx = (struct state_ctx){ .cfg = &cfg, .self = 0, .uid = getuid(), .proc = t.proc, .epoch = 7, .change = true };
    t.place = (struct lock_place){ .dirfd = t.dirfd, .path = t.locks, .ctx = &t.ctx };
    return 0;
}

static int world_remove(void **state)
{
    char command[128];

    (void)state;
    (void)close(t.dirfd);
    (void)snprintf(command, sizeof command, "rm -rf %s", t.top);
    return system(command);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_clearers_and_a_live_locker), cmocka_unit_test(test_every_call_of_theirs),
        cmocka_unit_test(test_two_breakers_at_each_call), cmocka_unit_test(test_who_clears_and_takes),
        cmocka_unit_test(test_lost_replies),
        cmocka_unit_test(test_what_an_attempt_has_left_is_its_owners),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, world_make, world_remove);
}
