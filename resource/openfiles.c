/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/openfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fileio.h"
#include "common/listproc.h"
#include "common/num.h"

#include "common/banned.h"

#define MOUNTINFO_MAX (256u << 10)

static const char *digits_take(const char *p, unsigned base, uint64_t *ret)
{
    uint64_t v = 0;
    size_t   n = 0;

    for (; *p >= '0' && *p < (char)('0' + base) && n < 18; n++, p++)
        v = v * base + (uint64_t)(*p - '0');
    *ret = v;
    return n ? p : NULL;
}

/* The number in the line "KEY:\tNUMBER". */
static bool fdinfo_value(const char *text, const char *key, unsigned base, uint64_t *ret)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        line += strlen(key);
        return digits_take(line + strspn(line, " \t"), base, ret) != NULL;
    }
    return false;
}

bool openfiles_flags_write(const char *fdinfo)
{
    uint64_t flags;

    if (!fdinfo_value(fdinfo, "flags:", 8, &flags))
        return true;
    return !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

/* "ID PARENT MAJOR:MINOR ..." */
bool openfiles_mount_find(const char *mountinfo, uint64_t id, uint32_t *ret_major, uint32_t *ret_minor)
{
    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n')) {
        uint64_t    v[4];
        const char *p;
        line += *line == '\n';
        p = digits_take(line, 10, &v[0]);
        if (!p || v[0] != id || *p++ != ' ')
            continue;
        p = digits_take(p, 10, &v[1]);
        if (!p || *p++ != ' ' || !(p = digits_take(p, 10, &v[2])) || *p++ != ':' || !digits_take(p, 10, &v[3]))
            return false;
        *ret_major = (uint32_t)v[2];
        *ret_minor = (uint32_t)v[3];
        return true;
    }
    return false;
}

static int text_read(int dir, const char *name, char *buf, size_t size)
{
    size_t len;
    int    rc = fileio_read(dir, name, buf, size - 1, &len, NULL);

    buf[rc == 0 ? len : 0] = '\0';
    return rc == -ESRCH ? -ENOENT : rc;
}

/* `dir` is /proc/PID. */
static int descriptor_device(int dir, const char *fdinfo, uint32_t *ret_major, uint32_t *ret_minor)
{
    static char mounts[MOUNTINFO_MAX];
    uint64_t    id;
    int         rc;

    if (!fdinfo_value(fdinfo, "mnt_id:", 10, &id))
        return -EBADMSG;
    rc = text_read(dir, "mountinfo", mounts, sizeof mounts);
    if (rc != 0)
        return rc;
    return openfiles_mount_find(mounts, id, ret_major, ret_minor) ? 0 : -ENOENT; /* pipes and sockets have none */
}

static int process_open(pid_t pid)
{
    char path[32];
    int  dir;

    (void)snprintf(path, sizeof path, "/proc/%ld", (long)pid);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

int openfiles_device(pid_t pid, int fd, uint32_t *ret_major, uint32_t *ret_minor)
{
    char name[32], text[1024];
    int  dir = process_open(pid), rc;

    if (dir < 0)
        return dir;
    (void)snprintf(name, sizeof name, "fdinfo/%d", fd);
    rc = text_read(dir, name, text, sizeof text);
    if (rc == 0)
        rc = descriptor_device(dir, text, ret_major, ret_minor);
    (void)close(dir);
    return rc;
}

struct search {
    const struct openfiles_device *devices;
    unsigned                       n_devices, max, n;
    struct openfile               *found;
};

static int descriptor_look(struct search *s, int dir, pid_t pid, const char *fd)
{
    char     name[64], text[1024];
    uint32_t major_no, minor_no, number;
    int      rc;

    if (num_parse_u32(fd, 0, INT32_MAX, &number) != 0)
        return 0;
    (void)snprintf(name, sizeof name, "fdinfo/%u", number);
    rc = text_read(dir, name, text, sizeof text);
    if (rc == -EFBIG) /* epoll and the like list what they watch; no file of a file system is so long */
        return 0;
    if (rc != 0 || !openfiles_flags_write(text))
        return rc == -ENOENT ? 0 : rc;
    rc = descriptor_device(dir, text, &major_no, &minor_no);
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    for (unsigned i = 0; i < s->n_devices; i++) {
        if (s->devices[i].major != major_no || s->devices[i].minor != minor_no)
            continue;
        if (s->n < s->max) {
            struct openfile *f = &s->found[s->n];
            (void)snprintf(name, sizeof name, "fd/%u", number);
            ssize_t len = readlinkat(dir, name, f->name, sizeof f->name - 1);
            f->name[len > 0 ? len : 0] = '\0';
            f->pid = pid;
            f->fd = (int)number;
        }
        s->n++;
        break;
    }
    return 0;
}

static int process_look(struct search *s, int dir, pid_t pid)
{
    int                  fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR                 *list = fds < 0 ? NULL : fdopendir(fds);
    const struct dirent *d;

    if (!list)
        return errno == ENOENT || errno == ESRCH ? 0 : -errno;
    while (rc == 0 && (d = readdir(list)))
        rc = descriptor_look(s, dir, pid, d->d_name);
    (void)closedir(list);
    return rc;
}

static bool is_skipped(const pid_t *skip, unsigned n, pid_t pid)
{
    for (unsigned i = 0; i < n; i++)
        if (skip[i] == pid)
            return true;
    return false;
}

int openfiles_find(uid_t uid, const struct openfiles_device *devices, unsigned n_devices, const pid_t *skip,
                   unsigned n_skip, struct openfile *ret, unsigned max, unsigned *ret_n)
{
    struct search        s = { devices, n_devices, max, 0, ret };
    DIR                 *proc = opendir("/proc");
    const struct dirent *d;
    int                  rc = 0;

    if (!proc)
        return -errno;
    while (rc == 0 && (d = readdir(proc))) {
        uint32_t pid;
        if (num_parse_u32(d->d_name, 1, INT32_MAX, &pid) != 0 || is_skipped(skip, n_skip, (pid_t)pid))
            continue;
        int dir = process_open((pid_t)pid);
        if (dir < 0)
            continue;
        int whose = listproc_uid_is(dir, uid);
        if (whose == 1)
            rc = process_look(&s, dir, (pid_t)pid);
        rc = whose < 0 && whose != -ENOENT && whose != -ESRCH ? whose : rc;
        (void)close(dir);
    }
    (void)closedir(proc);
    *ret_n = s.n;
    return rc != 0 ? -EAGAIN : 0;
}
