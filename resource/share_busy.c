/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/share_busy.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/banned.h"

/* mountinfo writes blanks and backslashes as \ooo. In place; the text only gets shorter. */
static void unescape(char *s)
{
    char *out = s;

    while (*s) {
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
            *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

/* The mount point and the file system type of a line; the type follows the word "-". 0 or -EBADMSG. */
static int line_parse(char *line, char **ret_point, const char **ret_fstype)
{
    unsigned n = 0;
    char *word;

    *ret_point = NULL;
    while ((word = strsep(&line, " "))) {
        if (n == 4)
            *ret_point = word;
        if (n++ >= 6 && !strcmp(word, "-")) {
            *ret_fstype = strsep(&line, " ");
            return *ret_point && *ret_fstype && (unescape(*ret_point), true) ? 0 : -EBADMSG;
        }
    }
    return -EBADMSG;
}

int share_mounted(FILE *mountinfo, const char *point, bool *ret_mounted, char ret_fstype[SHARE_FSTYPE_MAX])
{
    char *line = NULL, *place;
    const char *fstype;
    size_t size = 0;
    int rc = 0;

    *ret_mounted = false;
    while (rc == 0 && getline(&line, &size, mountinfo) > 0) {
        line[strcspn(line, "\n")] = '\0';
        rc = line_parse(line, &place, &fstype);
        if (rc || strcmp(place, point))
            continue;
        *ret_mounted = true;
        if (ret_fstype)
            (void)snprintf(ret_fstype, SHARE_FSTYPE_MAX, "%s", fstype);
    }
    if (rc == 0 && ferror(mountinfo))
        rc = -EIO;
    free(line);
    return rc;
}

/* Where the link of /proc leads: readlink does not look the target up. */
static bool leads_below(int dirfd, const char *name, const char *point, char ret[PATH_MAX])
{
    ssize_t n = readlinkat(dirfd, name, ret, PATH_MAX - 1);
    size_t len = strlen(point);

    if (n < 0)
        return false;
    ret[n] = '\0';
    return strncmp(ret, point, len) == 0 && (ret[len] == '/' || ret[len] == '\0' || ret[len] == ' ');
}

static bool fd_below(int proc, const char *point, char ret[PATH_MAX])
{
    int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *d;
    bool found = false;

    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    while (!found && (d = readdir(dir)))
        found = d->d_name[0] != '.' && leads_below(dirfd(dir), d->d_name, point, ret);
    (void)closedir(dir);
    return found;
}

/* A word for a record: no blank, nothing that a terminal would obey. */
static void wordify(char *s)
{
    for (; *s; s++)
        if (!isgraph((unsigned char)*s))
            *s = '_';
}

static void comm_read(int proc, char *buf, size_t size)
{
    int fd = openat(proc, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : -1;

    if (fd >= 0)
        (void)close(fd);
    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
}

void share_busy_record(FILE *out, const char *pid, unsigned uid, char *comm, const char *by, char *path)
{
    wordify(comm);
    wordify(path);
    (void)fprintf(out, "busy pid=%s uid=%u comm=%s by=%s path=%.*s\n", pid, uid, comm[0] ? comm : "-", by,
                  SHARE_BUSY_PATH, path);
}

static bool process_print(int proc, const char *pid, const char *point, bool print, FILE *out)
{
    static const char *const links[] = { "cwd", "root", "exe" };
    char path[PATH_MAX], comm[32];
    const char *by = NULL;
    struct stat st = { 0 };

    for (unsigned i = 0; !by && i < sizeof links / sizeof links[0]; i++)
        if (leads_below(proc, links[i], point, path))
            by = links[i];
    if (!by && fd_below(proc, point, path))
        by = "fd";
    if (!by)
        return false;
    comm_read(proc, comm, sizeof comm);
    (void)fstat(proc, &st);
    if (print)
        share_busy_record(out, pid, (unsigned)st.st_uid, comm, by, path);
    return true;
}

void share_busy_print(const char *point, FILE *out)
{
    DIR *dir = opendir("/proc");
    const struct dirent *d;
    unsigned n = 0;

    while (dir && (d = readdir(dir))) {
        if (strspn(d->d_name, "0123456789") != strlen(d->d_name))
            continue;
        int proc = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (proc < 0)
            continue;
        n += process_print(proc, d->d_name, point, n < SHARE_BUSY_MAX, out);
        (void)close(proc);
    }
    if (dir)
        (void)closedir(dir);
    if (n > SHARE_BUSY_MAX)
        (void)fprintf(out, "busy-more n=%u\n", n - SHARE_BUSY_MAX);
}
