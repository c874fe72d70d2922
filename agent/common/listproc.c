/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/listproc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The n-th argument, or NULL. The buffer ends with a NUL that is not counted in len. */
static const char *argument_get(const char *cmdline, size_t len, unsigned n)
{
    size_t at = 0;

    while (at < len) {
        if (n-- == 0)
            return cmdline + at;
        at += strlen(cmdline + at) + 1;
    }
    return NULL;
}

/* A decimal number at *at, which moves behind it. False when there is none, or it does not fit. */
static bool number_take(const char **at, uint64_t *ret)
{
    uint64_t v = 0;

    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at); (*at)++) {
        unsigned digit = (unsigned)(**at - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

/* "NAME:SLICE:COUNT" or "NAME"; anything odd leaves slice 0 of 1, for the process is a runner all the same. */
static void runner_parse(const char *spec, struct listproc *ret)
{
    size_t      len = strcspn(spec, ":");
    const char *at = spec + len;
    uint64_t    slice, count;

    ret->slice = 0;
    ret->count = 1;
    if (len >= sizeof ret->runner)
        len = sizeof ret->runner - 1;
    memcpy(ret->runner, spec, len);
    ret->runner[len] = '\0';
    for (char *c = ret->runner; *c; c++) /* it is looked for as a queue, and shown to people */
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            *c = '?';
    if (*at++ != ':' || !number_take(&at, &slice) || *at++ != ':' || !number_take(&at, &count) || *at != '\0')
        return;
    if (slice > 1024 || count > 1024 || count == 0)
        return;
    ret->slice = (unsigned)slice;
    ret->count = (unsigned)count;
}

/* What -C or --config says, NULL when it is not given. */
static const char *config_argument(const char *cmdline, size_t len)
{
    const char *a;

    for (unsigned i = 1; (a = argument_get(cmdline, len, i)); i++) {
        if (!strcmp(a, "-C") || !strcmp(a, "--config"))
            return argument_get(cmdline, len, i + 1);
        if (!strncmp(a, "--config=", 9))
            return a + 9;
        if (!strncmp(a, "-C", 2))
            return a + 2;
    }
    return NULL;
}

/* The number of the argument that names the program: the scripts run as "python3 /usr/lib/mailman3/bin/runner ...". */
static unsigned program_at(const char *cmdline, size_t len)
{
    const char *a = argument_get(cmdline, len, 0);
    unsigned    i = 1;

    if (!a || strncmp(base_name(a), "python", 6) != 0)
        return 0;
    while ((a = argument_get(cmdline, len, i)) && a[0] == '-' && a[1])
        i++;
    return a ? i : 0;
}

static bool runner_find(const char *cmdline, size_t len, struct listproc *ret)
{
    const char *a;

    for (unsigned i = 1; (a = argument_get(cmdline, len, i)); i++) {
        if (strncmp(a, "--runner=", 9) != 0)
            continue;
        ret->kind = LISTPROC_RUNNER;
        runner_parse(a + 9, ret);
        return true;
    }
    return false;
}

static void other_set(enum listproc_kind kind, struct listproc *ret)
{
    ret->kind = kind;
    ret->runner[0] = '\0';
    ret->slice = ret->count = 0;
}

static bool match_3(const char *cmdline, size_t len, const char *config, struct listproc *ret)
{
    const char *given = config_argument(cmdline, len), *name = base_name(argument_get(cmdline, len, program_at(cmdline, len)));

    if (given && strcmp(given, config) != 0)
        return false;
    if (runner_find(cmdline, len, ret))
        return true;
    if (strcmp(name, "master") != 0 && strcmp(name, "mailman") != 0)
        return false;
    other_set(strcmp(name, "master") == 0 ? LISTPROC_MASTER : LISTPROC_COMMAND, ret);
    return true;
}

/* PREFIX/bin/... and the like; what else is below PREFIX is read and edited, not run. */
static bool is_program_of(const char *path, const char *prefix)
{
    static const char *const dirs[] = { "bin/", "cron/", "mail/", "scripts/", "cgi-bin/" };
    size_t                   n = strlen(prefix);

    while (n > 0 && prefix[n - 1] == '/')
        n--;
    if (strncmp(path, prefix, n) != 0 || path[n] != '/')
        return false;
    for (unsigned i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (!strncmp(path + n + 1, dirs[i], strlen(dirs[i])))
            return true;
    return false;
}

/* Ends `path` in /DIR/NAME? */
static bool ends_in(const char *path, const char *dir_name)
{
    size_t n = strlen(path), m = strlen(dir_name);

    return n > m && path[n - m - 1] == '/' && !strcmp(path + n - m, dir_name);
}

static bool match_2(const char *cmdline, size_t len, const struct listproc_service *service, struct listproc *ret)
{
    unsigned    at = program_at(cmdline, len);
    const char *program = argument_get(cmdline, len, at), *name = base_name(program), *a;

    if (!strcmp(name, "understudy")) /* the gate, which has not let it pass yet: also a passive node's cron comes so far */
        return false;
    if (service->kind == LIST_MAILMAN20 && ends_in(program, "cron/qrunner")) {
        ret->kind = LISTPROC_RUNNER;
        runner_parse("qrunner", ret);
        return true;
    }
    if (!strcmp(name, "qrunner") && runner_find(cmdline, len, ret))
        return true;
    if (!strcmp(name, "mailmanctl")) {
        bool start = false;
        for (unsigned i = at + 1; (a = argument_get(cmdline, len, i)); i++)
            start = start || !strcmp(a, "start");
        other_set(start ? LISTPROC_MASTER : LISTPROC_COMMAND, ret);
        return true;
    }
    for (unsigned i = 0; (a = argument_get(cmdline, len, i)); i++)
        if (is_program_of(a, service->path)) {
            other_set(LISTPROC_COMMAND, ret);
            return true;
        }
    return false;
}

struct listproc_service listproc_service_of(const struct config_listserver *list)
{
    return (struct listproc_service){ list->kind, list->kind == LIST_MAILMAN3 ? list->config : list->prefix };
}

bool listproc_match(const char *cmdline, size_t len, const struct listproc_service *service, struct listproc *ret)
{
    if (!argument_get(cmdline, len, 0))
        return false;
    return service->kind == LIST_MAILMAN3 ? match_3(cmdline, len, service->path, ret) : match_2(cmdline, len, service, ret);
}

/* Reads a whole small file below `dirfd` into buf and ends it with a NUL. Returns the length or -errno. */
static ssize_t small_read(int dirfd, const char *name, char *buf, size_t size)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got, len = 0;

    if (fd < 0)
        return -errno;
    while ((size_t)len < size - 1) {
        got = read(fd, buf + len, size - 1 - (size_t)len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            len = -errno;
        if (got <= 0)
            break;
        len += got;
    }
    (void)close(fd);
    if (len >= 0)
        buf[len] = '\0';
    return len;
}

/* pid (comm) state ppid ... 22nd: start time. comm may hold spaces and parentheses, hence the last ')'. */
bool listproc_stat_parse(const char *text, struct listproc *ret)
{
    const char *at = strrchr(text, ')');
    uint64_t ppid;

    if (!at || at[1] != ' ' || !at[2] || at[3] != ' ')
        return false;
    ret->state = at[2];
    at += 4;
    if (!number_take(&at, &ppid) || ppid > INT32_MAX)
        return false;
    ret->ppid = (pid_t)ppid;
    for (unsigned field = 5; field < 22; field++) {
        if (*at != ' ')
            return false;
        at += 1 + strcspn(at + 1, " ");
    }
    return *at++ == ' ' && number_take(&at, &ret->start_ticks);
}

/* Of the two, the effective uid owns /proc/PID only while the process is dumpable; status is always right. */
bool listproc_status_uid_is(const char *status, uid_t uid)
{
    const char *at = strstr(status, "\nUid:\t");
    uint64_t real, effective;

    if (!at)
        return false;
    at += 6;
    return number_take(&at, &real) && *at++ == '\t' && number_take(&at, &effective) && (real == uid || effective == uid);
}

int listproc_uid_is(int dirfd, uid_t uid)
{
    char    text[LISTPROC_CMDLINE_MAX];
    ssize_t len = small_read(dirfd, "status", text, sizeof text);

    return len < 0 ? (int)len : listproc_status_uid_is(text, uid);
}

static void list_add(struct listproc_list *l, const struct listproc *p)
{
    if (p->kind != LISTPROC_ZOMBIE)
        l->n_alive++;
    if (l->n < LISTPROC_MAX)
        l->v[l->n++] = *p;
}

/* One process. A file that vanishes means that the process is gone, which is no gap in the scan. */
static void process_look(int dirfd, uid_t uid, const struct listproc_service *service, struct listproc_list *l, struct listproc *p)
{
    char    text[LISTPROC_CMDLINE_MAX];
    ssize_t len = small_read(dirfd, "status", text, sizeof text);

    if (len < 0) {
        l->complete = l->complete && (len == -ENOENT || len == -ESRCH);
        return;
    }
    if (!listproc_status_uid_is(text, uid))
        return;
    len = small_read(dirfd, "stat", text, sizeof text);
    if (len < 0 || !listproc_stat_parse(text, p)) {
        l->complete = l->complete && (len == -ENOENT || len == -ESRCH);
        return;
    }
    if (p->state == 'Z' || p->state == 'X') {
        p->kind = LISTPROC_ZOMBIE;
        list_add(l, p);
        return;
    }
    len = small_read(dirfd, "cmdline", text, sizeof text);
    if (len <= 0) /* empty: it is exiting, and may still hold files of the share open */
        l->complete = l->complete && (len == -ENOENT || len == -ESRCH);
    else if (listproc_match(text, (size_t)len, service, p))
        list_add(l, p);
}

static bool others_visible(int dirfd)
{
    struct stat st;

    return fstatat(dirfd, "1/status", &st, 0) == 0;
}

int listproc_scan(const char *proc, uid_t uid, const struct listproc_service *service, struct listproc_list *ret)
{
    struct listproc_list l = { .complete = true };
    struct dirent *e;
    DIR *dir = opendir(proc);

    if (!dir)
        return -errno;
    if (!others_visible(dirfd(dir))) {
        (void)closedir(dir);
        return -EACCES;
    }
    while (errno = 0, (e = readdir(dir))) {
        struct listproc p = { 0 };
        const char *at = e->d_name;
        uint64_t pid;
        if (!number_take(&at, &pid) || *at != '\0' || pid > INT32_MAX)
            continue;
        p.pid = (pid_t)pid;
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            l.complete = l.complete && (errno == ENOENT || errno == ESRCH);
            continue;
        }
        process_look(fd, uid, service, &l, &p);
        (void)close(fd);
    }
    l.complete = l.complete && errno == 0;
    (void)closedir(dir);
    *ret = l;
    return 0;
}
