/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One fanotify group over both shares; names by directory handle, so that nothing has to be looked up in a race. */
#include "audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum { BATCH_SIZE = 1 << 20, CACHE_SIZE = 1024, HANDLE_MAX = 128 };

#define CHANGES (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | FAN_ONDIR)

static const struct {
    uint64_t bit;
    const char *name;
} mask_names[] = {
    { FAN_CREATE, "create" }, { FAN_DELETE, "delete" }, { FAN_MOVED_FROM, "from" }, { FAN_MOVED_TO, "to" },
    { FAN_MODIFY, "modify" }, { FAN_ATTRIB, "attrib" }, { FAN_OPEN, "open" },
};

struct share {
    const char *name;
    char root[PATH_MAX];
    size_t root_length;
    int fd;
    fsid_t id;
};

struct cached {
    fsid_t id;
    uint32_t bytes;
    int type;
    unsigned char handle[HANDLE_MAX];
    int share;
    char dir[PATH_MAX];
};

struct shares {
    int fd;
    bool directories;
    uint64_t count;
    struct share at[2];
    struct cached *cache[CACHE_SIZE];
    char batch[BATCH_SIZE] __attribute__((aligned(8)));
};

struct place {
    int share;          /* -1: neither */
    const char *dir;    /* below the share's root, "" is the root itself */
    const char *name;
};

static int mark_tree(struct shares *shares, const char *path)
{
    char below[PATH_MAX];

    if (fanotify_mark(shares->fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, CHANGES | FAN_EVENT_ON_CHILD, AT_FDCWD, path) != 0)
        return -errno;
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < (int)sizeof below)
            (void)mark_tree(shares, below);
    }
    closedir(dir);
    return 0;
}

static bool is_own_filesystem(const char *path)
{
    char parent[PATH_MAX];
    struct stat here, above;

    return snprintf(parent, sizeof parent, "%s/..", path) < (int)sizeof parent && stat(path, &here) == 0 &&
           stat(parent, &above) == 0 && here.st_dev != above.st_dev;
}

static int add_share(struct shares *shares, struct share *share, const char *name, const char *path)
{
    struct statfs about;

    share->name = name;
    if (!realpath(path, share->root))
        return -errno;
    share->root_length = strlen(share->root);
    share->fd = open(share->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (share->fd < 0 || fstatfs(share->fd, &about) != 0)
        return -errno;
    share->id = about.f_fsid;
    if (!is_own_filesystem(share->root)) {
        shares->directories = true;
        return mark_tree(shares, share->root);
    }
    return fanotify_mark(shares->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, CHANGES, AT_FDCWD, share->root) != 0 ? -errno : 0;
}

int shares_open(struct shares **ret, const char *list, const char *control, bool want_pidfd)
{
    struct shares *shares = calloc(1, sizeof *shares);
    unsigned int flags = FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS |
                         FAN_REPORT_DFID_NAME;

    if (!shares)
        return -ENOMEM;
    shares->at[0].fd = shares->at[1].fd = -1;
    shares->fd = fanotify_init(want_pidfd ? flags | FAN_REPORT_PIDFD : flags, O_RDONLY | O_CLOEXEC | O_LARGEFILE);
    int error = shares->fd < 0 ? -errno : add_share(shares, &shares->at[0], "list", list);
    if (error == 0)
        error = add_share(shares, &shares->at[1], "control", control);
    if (error < 0) {
        shares_close(shares);
        return error;
    }
    *ret = shares;
    return 0;
}

void shares_close(struct shares *shares)
{
    if (!shares)
        return;
    for (size_t i = 0; i < CACHE_SIZE; i++)
        free(shares->cache[i]);
    for (size_t i = 0; i < 2; i++) {
        if (shares->at[i].fd >= 0)
            close(shares->at[i].fd);
    }
    if (shares->fd >= 0)
        close(shares->fd);
    free(shares);
}

static void split_path(struct shares *shares, struct cached *entry, const char *path)
{
    entry->share = -1;
    for (int i = 0; i < 2; i++) {
        const struct share *share = &shares->at[i];
        if (strncmp(path, share->root, share->root_length) != 0)
            continue;
        const char *rest = path + share->root_length;
        if (*rest != '\0' && *rest != '/')
            continue;
        entry->share = i;
        snprintf(entry->dir, sizeof entry->dir, "%s", *rest == '/' ? rest + 1 : rest);
        return;
    }
}

static void resolve_handle(struct shares *shares, struct cached *entry, struct file_handle *handle)
{
    char link[64], path[PATH_MAX];

    entry->share = -1;
    for (int i = 0; i < 2; i++) {
        if (memcmp(&shares->at[i].id, &entry->id, sizeof entry->id) != 0)
            continue;
        entry->share = i;       /* the file system says which, also when the directory has gone */
        int fd = open_by_handle_at(shares->at[i].fd, handle, O_PATH | O_CLOEXEC);
        if (fd < 0) {
            snprintf(entry->dir, sizeof entry->dir, "?");
            continue;
        }
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        close(fd);
        if (length <= 0)
            continue;
        path[length] = '\0';
        split_path(shares, entry, path);
        if (entry->share >= 0)
            return;
    }
}

static const struct cached *find_directory(struct shares *shares, const fsid_t *id, struct file_handle *handle)
{
    uint64_t hash = 1469598103934665603U;

    if (handle->handle_bytes > HANDLE_MAX)
        return NULL;
    for (uint32_t i = 0; i < handle->handle_bytes; i++)
        hash = (hash ^ handle->f_handle[i]) * 1099511628211U;
    struct cached **slot = &shares->cache[hash % CACHE_SIZE];
    if (*slot && (*slot)->bytes == handle->handle_bytes && (*slot)->type == handle->handle_type &&
        memcmp(&(*slot)->id, id, sizeof *id) == 0 && memcmp((*slot)->handle, handle->f_handle, handle->handle_bytes) == 0)
        return *slot;
    if (!*slot)
        *slot = calloc(1, sizeof **slot);
    if (!*slot)
        return NULL;
    (*slot)->id = *id;
    (*slot)->bytes = handle->handle_bytes;
    (*slot)->type = handle->handle_type;
    memcpy((*slot)->handle, handle->f_handle, handle->handle_bytes);
    resolve_handle(shares, *slot, handle);
    return *slot;
}

/* Reads the info records behind one event. The pidfd, if there is one, becomes the caller's. */
static struct place read_records(struct shares *shares, const struct fanotify_event_metadata *event, int *ret_pidfd)
{
    struct place place = { .share = -1, .dir = "?", .name = "?" };
    const char *at = (const char *)event + event->metadata_len, *end = (const char *)event + event->event_len;

    while (at + sizeof(struct fanotify_event_info_header) <= end) {
        const struct fanotify_event_info_header *head = (const void *)at;
        if (head->len == 0)
            break;
        if (head->info_type == FAN_EVENT_INFO_TYPE_PIDFD) {
            *ret_pidfd = ((const struct fanotify_event_info_pidfd *)(const void *)at)->pidfd;
        } else if (head->info_type == FAN_EVENT_INFO_TYPE_DFID_NAME) {
            const struct fanotify_event_info_fid *fid = (const void *)at;
            struct file_handle *handle = (struct file_handle *)(uintptr_t)fid->handle;
            fsid_t id;

            memcpy(&id, &fid->fsid, sizeof id);
            const struct cached *found = find_directory(shares, &id, handle);
            place.name = (const char *)handle->f_handle + handle->handle_bytes;
            place.share = found ? found->share : -1;
            place.dir = found ? found->dir : "?";
        }
        at += head->len;
    }
    return place;
}

static void print_mask(uint64_t mask)
{
    char text[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof mask_names / sizeof mask_names[0]; i++) {
        if (mask & mask_names[i].bit)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? "," : "", mask_names[i].name);
    }
    out_text("mask", text);
    out_number("isdir", (mask & FAN_ONDIR) != 0);
}

static void follow_new_directory(struct shares *shares, const struct place *place, uint64_t mask)
{
    char path[PATH_MAX * 2];

    if (!shares->directories || !(mask & FAN_ONDIR) || !(mask & (FAN_CREATE | FAN_MOVED_TO)))
        return;
    snprintf(path, sizeof path, "%s/%s/%s", shares->at[place->share].root, place->dir, place->name);
    (void)mark_tree(shares, path);
}

static void take_event(struct shares *shares, struct procs *procs, const struct fanotify_event_metadata *event, uint64_t now_us)
{
    int pidfd = -1;

    if (event->mask & FAN_Q_OVERFLOW) {
        out_begin("lost", now_us);
        out_text("what", "share events");
        out_end();
        return;
    }
    struct place place = read_records(shares, event, &pidfd);
    bool noise = (event->mask & FAN_ONDIR) && !(event->mask & ~(uint64_t)(FAN_ONDIR | FAN_OPEN));
    if (place.share >= 0 && !noise) {
        follow_new_directory(shares, &place, event->mask);
        int instance = procs_find_instance(procs, event->pid, pidfd);
        out_begin("fs", now_us);
        out_number("seq", (int64_t)++shares->count);
        out_text("share", shares->at[place.share].name);
        out_number("pid", event->pid);
        out_number("inst", instance);
        out_text("kind", audit_kind_name(procs_find_kind(procs, event->pid)));
        print_mask(event->mask);
        out_text("dir", place.dir);
        out_text("name", place.name);
        out_end();
    }
    if (pidfd >= 0)
        close(pidfd);
}

bool shares_drain(struct shares *shares, struct procs *procs)
{
    ssize_t got = read(shares->fd, shares->batch, sizeof shares->batch);
    uint64_t now_us = audit_now_us();

    if (got <= 0)
        return false;
    procs_drain_events(procs);
    const struct fanotify_event_metadata *event = (const void *)shares->batch;
    for (size_t left = (size_t)got; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left))
        take_event(shares, procs, event, now_us);
    return true;
}

int shares_fd(const struct shares *shares)
{
    return shares->fd;
}

const char *shares_mode(const struct shares *shares)
{
    return shares->directories ? "directory" : "filesystem";
}

uint64_t shares_count(const struct shares *shares)
{
    return shares->count;
}
