/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instances: one pid namespace from its first process to the death of its init, that is one boot of one host. */
#include "audit.h"

#include <errno.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INSTANCES_MAX = 512 };

struct instance {
    ino_t inode;
    pid_t init;         /* number seen by us; 0 while not known */
    bool alive;
};

struct instances {
    ino_t own;
    int count;
    struct instance at[INSTANCES_MAX];
};

static int read_namespace(pid_t pid, ino_t *ret)
{
    char path[64];
    struct stat about;

    if (pid > 0)
        snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    else
        snprintf(path, sizeof path, "/proc/self/ns/pid");
    if (stat(path, &about) != 0)
        return -errno;
    *ret = about.st_ino;
    return 0;
}

bool audit_pid_innermost(pid_t pid, pid_t *ret)
{
    char path[64], line[512];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "NSpid:", 6) != 0)
            continue;
        char *last = strrchr(line, '\t');
        if (last) {
            *ret = (pid_t)strtol(last + 1, NULL, 10);
            found = true;
        }
        break;
    }
    fclose(file);
    return found;
}

int instances_open(struct instances **ret)
{
    struct instances *all = calloc(1, sizeof *all);

    if (!all)
        return -ENOMEM;
    int error = read_namespace(0, &all->own);
    if (error < 0) {
        free(all);
        return error;
    }
    *ret = all;
    return 0;
}

void instances_close(struct instances *all)
{
    free(all);
}

/* The init of a namespace that we meet through another of its processes first (nsenter, or a scan). */
static pid_t find_init(ino_t inode)
{
    pid_t found = 0, inner;
    ino_t other;
    DIR *proc = opendir("/proc");

    if (!proc)
        return 0;
    for (struct dirent *entry = readdir(proc); entry && !found; entry = readdir(proc)) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && read_namespace(pid, &other) == 0 && other == inode && audit_pid_innermost(pid, &inner) && inner == 1)
            found = pid;
    }
    closedir(proc);
    return found;
}

static void announce(const struct instances *all, int number)
{
    const struct instance *one = &all->at[number - 1];

    out_begin("ns", audit_now_us());
    out_number("inst", number);
    out_number("inode", (int64_t)one->inode);
    out_number("init", one->init);
    out_end();
    out_flush();
}

int instances_find(struct instances *all, pid_t pid)
{
    ino_t inode;
    pid_t inner = 0;

    if (read_namespace(pid, &inode) < 0)
        return AUDIT_UNKNOWN;
    if (inode == all->own)
        return AUDIT_OUTER;
    for (int i = all->count; i-- > 0;) {
        if (all->at[i].alive && all->at[i].inode == inode)
            return i + 1;
    }
    if (all->count == INSTANCES_MAX)
        return AUDIT_UNKNOWN;
    struct instance *one = &all->at[all->count++];
    one->inode = inode;
    one->alive = true;
    one->init = audit_pid_innermost(pid, &inner) && inner == 1 ? pid : find_init(inode);
    announce(all, all->count);
    return all->count;
}

int instances_count(const struct instances *all)
{
    return all->count;
}

pid_t instances_init(const struct instances *all, int number)
{
    return all->at[number - 1].init;
}

void instances_note_exit(struct instances *all, pid_t pid)
{
    for (int i = all->count; i-- > 0;) {
        struct instance *one = &all->at[i];

        if (!one->alive || one->init != pid)
            continue;
        one->alive = false;
        out_begin("gone", audit_now_us());
        out_number("inst", i + 1);
        out_number("init", pid);
        out_end();
        out_flush();
    }
}
