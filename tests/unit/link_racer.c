/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list user at war with a program that works in its directories: runs the program again and again, and while it runs
 * exchanges files and directories for symbolic links that lead outside, and back.
 *
 *   link_racer SWAPS PAIRS COMMAND...    PAIRS: a file with lines "PLACE TARGET"
 *
 * PLACE and PLACE.real or PLACE.link, whichever is not there, are exchanged by one rename; what the program has taken away is
 * made anew. TARGET is where the link leads; a place that ends with a slash is a directory. Ends after that many exchanges, all
 * of them made while the program ran, and prints how many those were, and how often the program ended with which code. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/num.h"

#define PAIRS_MAX 32
#define PATH_SIZE 512

struct pair { char folder[PATH_SIZE], place[PATH_SIZE], link[PATH_SIZE + 8], real[PATH_SIZE + 8], target[PATH_SIZE]; bool is_dir; };

static struct pair pairs[PAIRS_MAX];
static unsigned n_pairs;

static void pair_add(char *place, const char *target)
{
    struct pair *p = &pairs[n_pairs++];
    size_t len = strlen(place);

    p->is_dir = place[len - 1] == '/';
    if (p->is_dir)
        place[len - 1] = '\0';
    char *name = strrchr(place, '/');
    *name++ = '\0';
    (void)snprintf(p->folder, sizeof p->folder, "%s", place);
    (void)snprintf(p->place, sizeof p->place, "%s", name);
    (void)snprintf(p->target, sizeof p->target, "%s", target);
    (void)snprintf(p->link, sizeof p->link, "%s.link", name);
    (void)snprintf(p->real, sizeof p->real, "%s.real", name);
}

static void pairs_read(const char *path)
{
    FILE *f = fopen(path, "re");
    char place[PATH_SIZE], target[PATH_SIZE];

    while (f && n_pairs < PAIRS_MAX && fscanf(f, "%511s %511s", place, target) == 2)
        pair_add(place, target);
    if (f)
        (void)fclose(f);
}

static bool is_there(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Empty, as a lock or an entry that the program wants to move. */
static void real_make(int dir, const struct pair *p)
{
    int fd = p->is_dir ? mkdirat(dir, p->place, 0700) : openat(dir, p->place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);

    if (fd >= 0 && !p->is_dir)
        (void)close(fd);
}

/* What is beside the place, link or real, changes places with what is there. */
static unsigned swap_in(int dir, const struct pair *p)
{
    if (!is_there(dir, p->link) && !is_there(dir, p->real))
        (void)!symlinkat(p->target, dir, p->link);
    if (!is_there(dir, p->place))
        real_make(dir, p);
    const char *aside = is_there(dir, p->link) ? p->link : p->real;
    const char *other = aside == p->link ? p->real : p->link;
    if (renameat2(dir, aside, dir, p->place, RENAME_EXCHANGE) < 0)
        return 0;
    (void)renameat(dir, aside, dir, other);
    return 1;
}

/* The folder may be such a link at this moment: we follow none ourselves. */
static unsigned swap(const struct pair *p)
{
    const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
    int dir = (int)syscall(SYS_openat2, AT_FDCWD, p->folder, &how, sizeof how);
    unsigned done = dir < 0 ? 0 : swap_in(dir, p);

    if (dir >= 0)
        (void)close(dir);
    return done;
}

static unsigned char one_of_pairs(void)
{
    unsigned char which = 0;

    (void)!getrandom(&which, sizeof which, 0);
    return (unsigned char)(which % n_pairs);
}

static pid_t program_start(char **command)
{
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execv(command[0], command);
        _exit(127);
    }
    return pid;
}

int main(int argc, char **argv)
{
    static unsigned codes[256];
    uint64_t most = 0, swaps = 0, runs = 0;

    if (argc < 4 || num_parse_u64(argv[1], 1, UINT32_MAX, &most))
        return 2;
    pairs_read(argv[2]);
    while (n_pairs && swaps < most) {
        pid_t pid = program_start(argv + 3);
        int status = 0;
        /* In every other run one pair alone, as often as can be: some chances last no longer than a call. */
        unsigned char which = one_of_pairs();
        while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
            swaps += swap(&pairs[which]);
            which = runs % 2 ? which : one_of_pairs();
        }
        if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
            return 1;
        codes[WEXITSTATUS(status)]++;
        runs++;
    }
    (void)printf("swaps=%" PRIu64 " runs=%" PRIu64, swaps, runs);
    for (unsigned i = 0; i < 256; i++)
        if (codes[i])
            (void)printf(" exit%u=%u", i, codes[i]);
    (void)printf("\n");
    return 0;
}
