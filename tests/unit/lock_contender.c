/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One that wants a lock, for tests: counts in a shared file under it, looks whether another has it at the same time, or does
 * what it is told on its input. It is node 1 (a, a.lab.test) of three, or the one of --self. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/num.h"
#include "resource/state/lock_take.h"

#include "common/banned.h"

#define MOST 4000000000u

static const struct config cfg = { .n_nodes = 3, .nodes = { { .name = "a", .hostname = "a", .fqdn = "a.lab.test" },
    { .name = "b", .hostname = "b", .fqdn = "b.lab.test" }, { .name = "c", .hostname = "c", .fqdn = "c.lab.test" } } };

static struct {
    struct state_ctx         ctx;
    struct lock_place        place;
    struct lock_circumstances c;
    struct lock_handle       h;
    const char              *lock;
    uint32_t                 lifetime_s;
    bool                     clear;
    bool                     stale_is_busy; /* NFS: another's name was made anew at each look */
} t = { .ctx = { .cfg = &cfg, .proc = "/proc", .change = true }, .h = LOCK_HANDLE_NONE, .lifetime_s = 600 };

static int take(struct lock_other *other)
{
    return lock_take(&t.place, t.lock, t.lifetime_s, t.clear ? &t.c : NULL, &t.h, other);
}

static int die(const char *what, int rc)
{
    (void)fprintf(stderr, "lock_contender %d: %s: %s\n", (int)getpid(), what, strerror(-rc));
    exit(1);
}

static void wait_a_moment(void)
{
    unsigned char random = 0;

    (void)!getrandom(&random, sizeof random, 0);
    (void)poll(NULL, 0, 1 + random % 4);
}

/* Not atomic: two at once lose a count. */
static void count_one(const char *counter)
{
    char text[32] = "";
    uint64_t n = 0;
    int fd = open(counter, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (len < 0 || (len > 0 && num_parse_u64(text, 0, UINT64_MAX - 1, &n)))
        die("reading the counter", -errno);
    (void)poll(NULL, 0, 1);
    int size = snprintf(text, sizeof text, "%llu", (unsigned long long)n + 1);
    if (pwrite(fd, text, (size_t)size, 0) != size || close(fd) < 0)
        die("writing the counter", -errno);
}

/* `die_every` > 0: every so many rounds it ends while it holds the lock, after it has counted. */
static int count(uint32_t rounds, const char *counter, uint32_t die_every)
{
    int rc;

    for (uint32_t i = 1; i <= rounds; i++) {
        while ((rc = take(NULL)) == -EBUSY || (rc == -ESTALE && t.stale_is_busy))
            wait_a_moment();
        if (rc)
            die("taking", rc);
        count_one(counter);
        if (lock_held(&t.place, &t.h) != 1)
            die("it was held", -ENOLCK);
        (void)printf("%u\n", i);
        (void)fflush(stdout);
        if (die_every && i % die_every == 0)
            _exit(9);
        rc = lock_release(&t.place, &t.h);
        if (rc)
            die("releasing", rc);
    }
    return 0;
}

/* Only one process of the machine can have `oracle`, a file that no fault reaches: who holds the lock and does not get it has
 * found the second holder. What fails is tried again; a file that could not be removed stays. */
static void exclude_one(int oracle, uint32_t die_every, uint32_t round)
{
    int rc = 1;

    while (take(NULL) != 0)
        wait_a_moment();
    if (flock(oracle, LOCK_EX | LOCK_NB) < 0) {
        (void)fprintf(stderr, "lock_contender %d: two hold the lock\n", (int)getpid());
        exit(3);
    }
    wait_a_moment();
    for (unsigned i = 0; i < 100 && (rc = lock_held(&t.place, &t.h)) < 0; i++)
        wait_a_moment();
    if (rc == 0) {
        (void)fprintf(stderr, "lock_contender %d: a live lock was removed\n", (int)getpid());
        exit(4);
    }
    (void)printf("%u\n", round);
    (void)fflush(stdout);
    if (die_every && round % die_every == 0)
        _exit(9);
    (void)flock(oracle, LOCK_UN);
    while ((rc = lock_release(&t.place, &t.h)) < 0 && rc != -ENOLCK)
        wait_a_moment();
    if (rc == -ENOLCK) {
        (void)fprintf(stderr, "lock_contender %d: a live lock was removed before it was let go of\n", (int)getpid());
        exit(5);
    }
}

static int exclude(uint32_t rounds, const char *path, uint32_t die_every)
{
    int oracle = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);

    if (oracle < 0)
        die("opening the oracle", -errno);
    for (uint32_t i = 1; i <= rounds; i++)
        exclude_one(oracle, die_every, i);
    return 0;
}

static void tell(const char *what, int rc, const struct lock_other *o)
{
    const struct lock_file *f = &o->file;

    (void)printf("%s %s", what, rc < 0 ? strerrorname_np(-rc) : rc ? "1" : "0");
    if (rc == -EBUSY && f->name[0])
        (void)printf(" %s %d %s expired=%d", f->fault == LOCK_SOUND ? f->owner.host : "-",
                     f->fault == LOCK_SOUND ? (int)f->owner.pid : 0, f->why ? f->why : "-", o->expired_s > 0);
    (void)printf("\n");
    (void)fflush(stdout);
}

/* take, held, refresh, release, clear, die: one a line; answers "WORD RESULT ...". */
static int talk(void)
{
    char line[32];

    while (fgets(line, sizeof line, stdin)) {
        struct lock_other other = { .expired_s = 0 };

        line[strcspn(line, "\n")] = '\0';
        if (!strcmp(line, "take"))
            tell(line, take(&other), &other);
        else if (!strcmp(line, "held"))
            tell(line, lock_held(&t.place, &t.h), &other);
        else if (!strcmp(line, "refresh"))
            tell(line, lock_refresh(&t.place, &t.h, t.lifetime_s), &other);
        else if (!strcmp(line, "release"))
            tell(line, lock_release(&t.place, &t.h), &other);
        else if (!strcmp(line, "clear"))
            tell(line, lock_clear(&t.place, t.lock, &t.c), &other);
        else
            _exit(9);
    }
    return 0;
}

static uint32_t number(const char *text)
{
    uint32_t n;

    if (num_parse_u32(text, 0, MOST, &n))
        die(text, -EINVAL);
    return n;
}

static void grammar_set(const char *text)
{
    t.ctx.grammar = !strcmp(text, "3") ? LOCK_MAILMAN_3 : !strcmp(text, "21") ? LOCK_MAILMAN_21 : LOCK_MAILMAN_20;
}

int main(int argc, char **argv)
{
    static const struct option table[] = {
        { "grammar", required_argument, NULL, 'g' }, { "self", required_argument, NULL, 's' },
        { "clear", no_argument, NULL, 'c' }, { "harmless", required_argument, NULL, 'H' },
        { "lifetime", required_argument, NULL, 'l' }, { "nfs", no_argument, NULL, 'n' }, { NULL, 0, NULL, 0 },
    };

    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'g': grammar_set(optarg); break;
        case 's': t.ctx.self = number(optarg); break;
        case 'c': t.clear = true; break;
        case 'n': t.stale_is_busy = true; break;
        case 'H': t.ctx.harmless = number(optarg); break;
        case 'l': t.lifetime_s = number(optarg); break;
        default: return 2;
        }
    }
    if (argc - optind < 3)
        return 2;
    t.ctx.uid = geteuid();
    t.c.ctx = &t.ctx;
    t.lock = argv[optind + 1];
    t.place = (struct lock_place){ -1, argv[optind], &t.ctx };
    for (int i = 0; i < 1000 && t.place.dirfd < 0; i++) { /* on a share that misbehaves it may take some time */
        t.place.dirfd = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (t.place.dirfd < 0)
            wait_a_moment();
    }
    if (t.place.dirfd < 0)
        die("opening the directory", -errno);
    if (!strcmp(argv[optind + 2], "talk"))
        return talk();
    if (argc - optind < 5)
        return 2;
    uint32_t die_every = argc - optind > 5 ? number(argv[optind + 5]) : 0;
    return (!strcmp(argv[optind + 2], "exclude") ? exclude : count)(number(argv[optind + 3]), argv[optind + 4], die_every);
}
