/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking and letting go of a lock: what lies in the directory, and what is never touched. */
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
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "resource/state/lock_claim.h"
#include "resource/state/lock_take.h"
#include "resource/state/quarantine.h"

#define DEAD 4194303 /* nothing here counts up to the limit */

static const struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a", .hostname = "a", .fqdn = "a.lab.test" },
                                                            { .name = "b", .hostname = "b", .fqdn = "b.lab.test" } } };
static const char *const lock_of[LOCK_GRAMMAR_N] = { "mta", "test.1", "qrunner.lock" };

static struct { char dir[64]; int dirfd; struct state_ctx ctx; struct lock_place place; struct lock_circumstances c; } t;

static int dir_make(void **state)
{
    (void)state;
    (void)snprintf(t.dir, sizeof t.dir, "/tmp/understudy-test.XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    t.dirfd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(t.dirfd >= 0);
    t.ctx = (struct state_ctx){ .cfg = &cfg, .self = 0, .uid = geteuid(), .proc = "/proc", .epoch = 7 };
    t.place = (struct lock_place){ .dirfd = t.dirfd, .path = t.dir, .ctx = &t.ctx };
    t.c = (struct lock_circumstances){ .ctx = &t.ctx };
    return 0;
}

static int dir_remove(void **state)
{
    char command[96];

    (void)state;
    (void)close(t.dirfd);
    (void)snprintf(command, sizeof command, "rm -rf %s", t.dir);
    return system(command);
}

/* Files there; the quarantine does not count. */
static unsigned files(void)
{
    DIR *dir = fdopendir(openat(t.dirfd, ".", O_RDONLY | O_DIRECTORY));
    unsigned n = 0;

    for (const struct dirent *d; (d = readdir(dir));)
        n += d->d_type != DT_DIR;
    (void)closedir(dir);
    return n;
}

static ino_t inode(const char *name)
{
    struct stat st;

    return fstatat(t.dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

static void file_write(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void file_write(const char *name, const char *format, ...)
{
    va_list ap;
    int fd = openat(t.dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0660);

    assert_true(fd >= 0);
    va_start(ap, format);
    assert_true(vdprintf(fd, format, ap) >= 0);
    va_end(ap);
    (void)close(fd);
}

/* A lock of the grammar in use; its claim's name in `ret`. */
static void lock_make(const char *lock, const char *host, int pid, char ret[LOCK_NAME_MAX])
{
    char s = t.ctx.grammar == LOCK_MAILMAN_3 ? '|' : '.';

    (void)snprintf(ret, LOCK_NAME_MAX, "%s%c%s%c%d%c%d", lock, s, host, s, pid, s, 5);
    file_write(ret, "%s/%s", t.dir, ret);
    assert_int_equal(linkat(t.dirfd, ret, t.dirfd, lock, 0), 0);
}

static const char *host_of(unsigned node)
{
    return t.ctx.grammar == LOCK_MAILMAN_3 ? cfg.nodes[node].fqdn : cfg.nodes[node].hostname;
}

static void assert_looks_like_mailmans(const struct lock_handle *h, const char *lock)
{
    char text[512] = "", wanted[512];
    struct stat st;
    int fd = openat(t.dirfd, lock, O_RDONLY);

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(st.st_mode, S_IFREG | 0660);
    assert_true(st.st_ino == inode(h->claim));
    assert_true(st.st_mtim.tv_sec >= time(NULL) + 590 && st.st_mtim.tv_sec <= time(NULL) + 610);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    (void)close(fd);
    (void)snprintf(wanted, sizeof wanted, "%s/%s", t.dir, h->claim);
    assert_string_equal(text, wanted);
}

static void test_taken_and_let_go(void **state)
{
    (void)state;
    for (unsigned g = 0; g < LOCK_GRAMMAR_N; g++) {
        struct lock_handle h = LOCK_HANDLE_NONE, second = LOCK_HANDLE_NONE;
        struct lock_other other;
        const char *lock = lock_of[g];

        t.ctx.grammar = (enum lock_grammar)g;
        assert_int_equal(lock_held(&t.place, &h), 0);
        assert_int_equal(lock_release(&t.place, &h), -EINVAL);
        assert_int_equal(lock_take(&t.place, lock, 600, NULL, &h, NULL), 0);
        assert_looks_like_mailmans(&h, lock);
        assert_int_equal(files(), 2);
        assert_int_equal(lock_held(&t.place, &h), 1);
        assert_int_equal(lock_take(&t.place, lock, 600, NULL, &h, NULL), -EALREADY);
        /* another of this very process: busy, and nobody's dead owner */
        assert_int_equal(lock_take(&t.place, lock, 600, &t.c, &second, &other), -EBUSY);
        assert_int_equal(other.file.owner.pid, getpid());
        assert_string_equal(other.file.owner.host, host_of(0));
        assert_true(other.expired_s <= -590);
        assert_int_equal(lock_take(&t.place, lock, 600, NULL, &second, NULL), -EBUSY); /* nor what its own link became */
        assert_int_equal(lock_clear(&t.place, lock, &t.c), -EBUSY);
        assert_int_equal(files(), 2);
        assert_int_equal(lock_held(&t.place, &h), 1);
        assert_int_equal(lock_refresh(&t.place, &h, 600), 1);
        assert_looks_like_mailmans(&h, lock);
        assert_int_equal(lock_release(&t.place, &h), 0);
        assert_int_equal(files(), 0);
        assert_int_equal(lock_take(&t.place, lock, 600, NULL, &second, NULL), 0);
        assert_int_equal(lock_release(&t.place, &second), 0);
        assert_int_equal(files(), 0);
    }
}

static void test_broken_by_somebody(void **state)
{
    char claim[LOCK_NAME_MAX];
    struct lock_handle h = LOCK_HANDLE_NONE;

    (void)state;
    assert_int_equal(lock_take(&t.place, "mta", 600, NULL, &h, NULL), 0);
    assert_int_equal(unlinkat(t.dirfd, "mta", 0), 0);
    assert_int_equal(lock_held(&t.place, &h), 0);
    assert_int_equal(unlinkat(t.dirfd, h.claim, 0), 0); /* Mailman removes both */
    assert_int_equal(lock_held(&t.place, &h), 0);
    lock_make("mta", host_of(1), 77, claim);
    ino_t theirs = inode("mta");
    assert_int_equal(lock_held(&t.place, &h), 0);
    assert_int_equal(lock_refresh(&t.place, &h, 600), 0);
    assert_int_equal(lock_release(&t.place, &h), -ENOLCK);
    assert_true(inode("mta") == theirs && inode(claim) == theirs);
    assert_int_equal(files(), 2);
    assert_int_equal(lock_release(&t.place, &h), -EINVAL);
}

/* Our claim without its lock, and our lock without its claim. */
static void test_half_broken(void **state)
{
    struct lock_handle h = LOCK_HANDLE_NONE;

    (void)state;
    assert_int_equal(lock_take(&t.place, "mta", 600, NULL, &h, NULL), 0);
    assert_int_equal(unlinkat(t.dirfd, h.claim, 0), 0);
    assert_int_equal(lock_held(&t.place, &h), 0);
    assert_int_equal(lock_release(&t.place, &h), 0);
    assert_int_equal(files(), 0);
    assert_int_equal(lock_take(&t.place, "mta", 600, NULL, &h, NULL), 0);
    assert_int_equal(linkat(t.dirfd, h.claim, t.dirfd, "third", 0), 0);
    assert_int_equal(lock_held(&t.place, &h), 0);
    assert_int_equal(lock_release(&t.place, &h), 0);
    assert_int_equal(files(), 1);
    assert_int_equal(lock_take(&t.place, "mta", 600, NULL, &h, NULL), 0);
    assert_int_equal(renameat(t.dirfd, h.claim, t.dirfd, "fourth"), 0); /* two links, and one is not ours */
    assert_int_equal(lock_held(&t.place, &h), 0);
    assert_int_equal(lock_release(&t.place, &h), 0);
    assert_int_equal(files(), 2);
}

struct in_the_way { unsigned node; int pid; uint32_t harmless; int64_t age_s; int rc; const char *why; };

static void way_check(const struct in_the_way *w)
{
    struct lock_handle h = LOCK_HANDLE_NONE;
    struct lock_other other;
    char claim[LOCK_NAME_MAX];

    lock_make(lock_of[t.ctx.grammar], w->node < 2 ? host_of(w->node) : "x", w->pid, claim);
    const struct timespec over[2] = { { .tv_sec = time(NULL) - w->age_s }, { .tv_sec = time(NULL) - w->age_s } };
    assert_int_equal(utimensat(t.dirfd, claim, over, 0), 0);
    ino_t theirs = inode(claim);
    t.ctx.harmless = w->harmless;
    assert_int_equal(lock_take(&t.place, lock_of[t.ctx.grammar], 600, &t.c, &h, &other), w->rc);
    assert_string_equal(other.file.why, w->why);
    assert_true(other.expired_s >= w->age_s - 5 && other.expired_s <= w->age_s + 5);
    if (w->rc)
        assert_true(inode(lock_of[t.ctx.grammar]) == theirs);
    else
        assert_int_equal(lock_release(&t.place, &h), 0);
    assert_true(inode(claim) == theirs);
    assert_int_equal(files(), w->rc ? 2 : 1);
    (void)unlinkat(t.dirfd, claim, 0);
    (void)unlinkat(t.dirfd, lock_of[t.ctx.grammar], 0);
    t.ctx.harmless = 0;
}

static void test_who_is_in_the_way(void **state)
{
    const struct in_the_way ways[] = {
        { 1, 77, 0, -100, -EBUSY, "owner-not-proven-harmless" }, { 1, 77, 0, 1000000, -EBUSY, "owner-not-proven-harmless" },
        { 1, 77, 2, -100, 0, "owner-harmless" }, { 1, 77, 2, 1000000, 0, "owner-harmless" },
        { 1, 77, 1, 1000000, -EBUSY, "owner-not-proven-harmless" },
        { 0, DEAD, 0, -100, 0, "process-dead" }, { 0, getppid(), 3, 1000000, -EBUSY, "process-alive" },
        { 2, 77, 3, 1000000, -EBUSY, "unknown-host" },
    };

    (void)state;
    for (unsigned g = 0; g < LOCK_GRAMMAR_N; g++) {
        t.ctx.grammar = (enum lock_grammar)g;
        for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++)
            way_check(&ways[i]);
    }
}

/* Odd ones are for the recovery of the whole directory, when no list server runs. */
static void test_odd_ones_stay(void **state)
{
    struct lock_handle h = LOCK_HANDLE_NONE;

    (void)state;
    t.c.all_others_harmless = true;
    for (unsigned i = 0; i < 4; i++) {
        if (i == 3)
            assert_int_equal(symlinkat("elsewhere", t.dirfd, "mta"), 0);
        else
            file_write("mta", "%s", i == 0 ? "" : i == 1 ? "mta|b.lab" : "/x/other|b.lab.test|5|6");
        ino_t theirs = inode("mta");
        assert_int_equal(lock_take(&t.place, "mta", 600, &t.c, &h, NULL), -EBUSY);
        assert_int_equal(lock_clear(&t.place, "mta", &t.c), -EBUSY);
        assert_true(inode("mta") == theirs);
        assert_int_equal(files(), 1);
        assert_int_equal(unlinkat(t.dirfd, "mta", 0), 0);
    }
    assert_int_equal(lock_clear(&t.place, "mta", &t.c), 0);
}

/* A link of ours that came when we had given up is found again, by its name, and by nobody else's handle. */
static void test_link_that_came_late(void **state)
{
    struct lock_handle h = LOCK_HANDLE_NONE, other = LOCK_HANDLE_NONE;
    char theirs[LOCK_NAME_MAX];

    (void)state;
    for (unsigned g = 0; g < LOCK_GRAMMAR_N; g++) {
        const char *lock = lock_of[g];

        t.ctx.grammar = (enum lock_grammar)g;
        lock_make(lock, host_of(1), 77, theirs);
        assert_int_equal(lock_take(&t.place, lock, 600, NULL, &h, NULL), -EBUSY);
        assert_int_equal(unlinkat(t.dirfd, theirs, 0), 0);
        assert_int_equal(unlinkat(t.dirfd, lock, 0), 0);
        file_write(lock, "%s/%s", t.dir, h.late[0]);
        assert_int_equal(lock_take(&t.place, lock, 600, &t.c, &other, NULL), -EBUSY);
        assert_int_equal(lock_take(&t.place, lock, 600, NULL, &h, NULL), 0);
        assert_int_equal(lock_release(&t.place, &h), 0);
        assert_int_equal(files(), 0);
    }
}

/* In the grammars of Mailman 2 a lock may be called as if it were a claim: its text tells. */
static void test_lock_with_the_name_of_a_claim(void **state)
{
    static const char *const locks[] = { "x.b.12.34", "x.q.12.34", "master-qrunner.b.12" };
    struct lock_handle h = LOCK_HANDLE_NONE, second = LOCK_HANDLE_NONE;
    struct lock_other other;

    (void)state;
    t.ctx.grammar = LOCK_MAILMAN_21;
    t.ctx.harmless = 2;
    for (unsigned i = 0; i < sizeof locks / sizeof locks[0]; i++) {
        assert_int_equal(lock_take(&t.place, locks[i], 600, NULL, &h, NULL), 0);
        assert_int_equal(lock_take(&t.place, locks[i], 600, &t.c, &second, &other), -EBUSY);
        assert_false(other.file.claim);
        assert_int_equal(other.file.owner.pid, getpid());
        assert_int_equal(lock_release(&t.place, &h), 0);
        assert_int_equal(files(), 0);
    }
}

/* The later of two clocks: of this node's, and of the file server's, which may be ahead. */
static void test_when_it_is_over(void **state)
{
    struct stat st;
    int64_t now = time(NULL);

    (void)state;
    file_write("claim", "x");
    int fd = openat(t.dirfd, "claim", O_RDWR);
    assert_int_equal(lock_claim_touch(fd, 60, now + 5000), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_mtim.tv_sec == now + 5060);
    assert_int_equal(lock_claim_touch(fd, 60, now - 5000), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_mtim.tv_sec >= now + 60 && st.st_mtim.tv_sec <= now + 70);
    (void)close(fd);
}

static void test_one_clears_at_a_time(void **state)
{
    char claim[LOCK_NAME_MAX];
    struct lock_handle h = LOCK_HANDLE_NONE;
    int quarantine = quarantine_open(t.dirfd);

    (void)state;
    lock_make("mta", host_of(0), DEAD, claim);
    assert_int_equal(quarantine_right(quarantine), 0);
    assert_int_equal(lock_clear(&t.place, "mta", &t.c), -EBUSY);
    assert_int_equal(lock_take(&t.place, "mta", 600, &t.c, &h, NULL), -EBUSY);
    assert_int_equal(files(), 2);
    (void)close(quarantine);
    assert_int_equal(lock_clear(&t.place, "mta", &t.c), 0);
    assert_int_equal(files(), 1);
}

/* Seen before the move, it is not moved at all: not even for a moment. */
static void test_another_file_is_not_moved(void **state)
{
    struct stat judged, before, after;
    int quarantine = quarantine_open(t.dirfd);

    (void)state;
    file_write("dead", "x");
    file_write("mta", "y");
    assert_int_equal(fstatat(t.dirfd, "dead", &judged, 0), 0);
    assert_int_equal(fstatat(t.dirfd, "mta", &before, 0), 0);
    (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    assert_int_equal(quarantine_move(t.dirfd, "mta", quarantine, 7, "", &judged), -ESTALE);
    assert_int_equal(fstatat(t.dirfd, "mta", &after, 0), 0);
    assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim);
    (void)close(quarantine);
}

static void test_names_that_cannot_be(void **state)
{
    struct lock_handle h = LOCK_HANDLE_NONE;
    char name[300];

    (void)state;
    memset(name, 'x', sizeof name);
    name[255] = '\0';
    assert_int_equal(lock_take(&t.place, name, 600, NULL, &h, NULL), -ENAMETOOLONG);
    assert_int_equal(lock_take(&t.place, "../mta", 600, NULL, &h, NULL), -EINVAL);
    assert_int_equal(lock_take(&t.place, "", 600, NULL, &h, NULL), -EINVAL);
    assert_int_equal(lock_take(&t.place, ".mta", 600, NULL, &h, NULL), -EINVAL);
    assert_int_equal(lock_take(&t.place, "m|ta", 600, NULL, &h, NULL), -EINVAL);
    assert_int_equal(files(), 0);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, dir_make, dir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_taken_and_let_go), WITH_DIR(test_broken_by_somebody), WITH_DIR(test_half_broken),
        WITH_DIR(test_who_is_in_the_way), WITH_DIR(test_odd_ones_stay), WITH_DIR(test_link_that_came_late),
        WITH_DIR(test_lock_with_the_name_of_a_claim), WITH_DIR(test_when_it_is_over), WITH_DIR(test_one_clears_at_a_time),
        WITH_DIR(test_another_file_is_not_moved), WITH_DIR(test_names_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
