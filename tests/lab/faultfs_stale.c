/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names and attributes of the past: as a cache that nobody revalidates, or a server that answers from an old copy. What
 * this host changes itself it sees at once. */
#include "faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
    char *path;
    struct stat st;
};

static struct {
    pthread_mutex_t lock;
    uint64_t until_ms;
    struct entry *v;            /* sorted by path */
    size_t n, size;
    char **touched;
    size_t n_touched, size_touched;
} the = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void forget(void)
{
    for (size_t i = 0; i < the.n; i++)
        free(the.v[i].path);
    for (size_t i = 0; i < the.n_touched; i++)
        free(the.touched[i]);
    the.n = the.n_touched = 0;
    the.until_ms = 0;
}

static int add(const char *path, const struct stat *st)
{
    if (the.n == the.size) {
        size_t size = the.size ? the.size * 2 : 256;
        struct entry *v = realloc(the.v, size * sizeof *v);

        if (!v)
            return -ENOMEM;
        the.v = v;
        the.size = size;
    }
    the.v[the.n] = (struct entry){ strdup(path), *st };
    return the.v[the.n].path ? (the.n++, 0) : -ENOMEM;
}

static int walk(int root, const char *path);

static int walk_entry(int root, const char *parent, const char *name)
{
    char path[4096];
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (snprintf(path, sizeof path, "%s/%s", parent[1] ? parent : "", name) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int rc = back_stat(root, path, &st);
    if (rc == -ENOENT)
        return 0;       /* gone since it was listed */
    if (rc == 0)
        rc = add(path, &st);
    return rc == 0 && S_ISDIR(st.st_mode) ? walk(root, path) : rc;
}

static int walk(int root, const char *path)
{
    int fd = back_open(root, path, O_RDONLY | O_DIRECTORY), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return fd < 0 ? fd : -errno;
    for (const struct dirent *d = readdir(dir); d && rc == 0; d = readdir(dir))
        rc = walk_entry(root, path, d->d_name);
    (void)closedir(dir);
    return rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

int stale_begin(int root, uint64_t for_ms)
{
    struct stat st;

    (void)pthread_mutex_lock(&the.lock);
    forget();
    int rc = back_stat(root, "/", &st);
    if (rc == 0)
        rc = add("/", &st);
    if (rc == 0)
        rc = walk(root, "/");
    if (rc == 0) {
        qsort(the.v, the.n, sizeof *the.v, compare);
        the.until_ms = now_ms() + for_ms;
    }
    (void)pthread_mutex_unlock(&the.lock);
    return rc;
}

void stale_end(void)
{
    (void)pthread_mutex_lock(&the.lock);
    forget();
    (void)pthread_mutex_unlock(&the.lock);
}

static bool in_force(void)
{
    return the.until_ms > now_ms();
}

static bool is_touched(const char *path)
{
    for (size_t i = 0; i < the.n_touched; i++) {
        if (strcmp(the.touched[i], path) == 0)
            return true;
    }
    return false;
}

void stale_touch(const char *path)
{
    (void)pthread_mutex_lock(&the.lock);
    if (in_force() && !is_touched(path)) {
        if (the.n_touched == the.size_touched) {
            size_t size = the.size_touched ? the.size_touched * 2 : 64;
            char **touched = realloc(the.touched, size * sizeof *touched);

            the.touched = touched ? touched : the.touched;
            the.size_touched = touched ? size : the.size_touched;
        }
        char *copy = the.n_touched < the.size_touched ? strdup(path) : NULL;
        if (copy)
            the.touched[the.n_touched++] = copy;
    }
    (void)pthread_mutex_unlock(&the.lock);
}

static const struct entry *find(const char *path)
{
    const struct entry key = { .path = (char *)(uintptr_t)path };

    return bsearch(&key, the.v, the.n, sizeof *the.v, compare);
}

bool stale_stat(const char *path, struct stat *ret, int *ret_rc)
{
    (void)pthread_mutex_lock(&the.lock);
    bool answers = in_force() && !is_touched(path);
    const struct entry *found = answers ? find(path) : NULL;

    if (found)
        *ret = found->st;
    *ret_rc = found ? 0 : -ENOENT;
    (void)pthread_mutex_unlock(&the.lock);
    return answers;
}

bool stale_was(const char *path)
{
    struct stat st;
    int rc;

    return stale_stat(path, &st, &rc) && rc == 0;
}

bool stale_hides(const char *path)
{
    (void)pthread_mutex_lock(&the.lock);
    bool hides = in_force() && !is_touched(path);
    (void)pthread_mutex_unlock(&the.lock);
    return hides;
}

bool stale_list(const char *path, void (*each)(void *ctx, const char *name, const struct stat *st), void *ctx)
{
    size_t length = path[1] ? strlen(path) : 0;

    (void)pthread_mutex_lock(&the.lock);
    bool answers = in_force() && find(path);
    for (size_t i = 0; answers && i < the.n; i++) {
        const char *at = the.v[i].path;

        if (strncmp(at, path, length) != 0 || at[length] != '/' || !at[length + 1] || strchr(at + length + 1, '/'))
            continue;
        if (!is_touched(at))
            each(ctx, at + length + 1, &the.v[i].st);
    }
    (void)pthread_mutex_unlock(&the.lock);
    return answers;
}
