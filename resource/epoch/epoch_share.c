/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/epoch/epoch_share.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fileio.h"
#include "common/num.h"
#include "resource/epoch/epoch_file.h"

#include "common/banned.h"

#define DIR_NAME ".understudy"

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static int field_copy(const char *field, char *ret, size_t size)
{
    size_t n = 0;

    while (*field) {
        unsigned char c = (unsigned char)*field++;
        if (c == '\\' && strspn(field, "01234567") >= 3) {
            c = (unsigned char)((field[0] - '0') << 6 | (field[1] - '0') << 3 | (field[2] - '0'));
            field += 3;
        }
        if (n + 1 >= size)
            return -EBADMSG;
        ret[n++] = (char)c;
    }
    ret[n] = '\0';
    return 0;
}

/* ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER */
static int mount_parse(char *rest, struct epoch_mount *ret)
{
    const char *field[6] = { NULL };
    bool separator = false;
    unsigned n = 0, before = 0;

    for (char *word; n < 6 && (word = strsep(&rest, " ")) != NULL;) {
        if (separator || before < 4)
            field[n++] = word;
        if (!separator && before >= 5 && !strcmp(word, "-"))
            separator = true;
        before++;
    }
    if (n < 6 || !separator)
        return -EBADMSG;
    return field_copy(field[3], ret->point, sizeof ret->point) || field_copy(field[4], ret->fstype, sizeof ret->fstype)
        || field_copy(field[5], ret->source, sizeof ret->source) ? -EBADMSG : 0;
}

int epoch_mount_find(FILE *mountinfo, uint64_t id, struct epoch_mount *ret)
{
    char *line = NULL;
    size_t size = 0;
    int rc = -ENOENT;

    while (rc == -ENOENT && getline(&line, &size, mountinfo) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line, *word = strsep(&rest, " ");
        uint64_t found;

        if (rest && num_parse_u64(word, 0, UINT64_MAX - 1, &found) == 0 && found == id)
            rc = mount_parse(rest, ret);
    }
    free(line);
    return rc;
}

static int mount_check(const struct config *cfg, uint64_t id, struct epoch_share *s)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    struct epoch_mount m;

    s->call = "reading /proc/self/mountinfo";
    if (!f)
        return -errno;
    int rc = epoch_mount_find(f, id, &m);
    (void)fclose(f);
    if (rc == -ENOENT || (!rc && strcmp(m.point, cfg->control_share)))
        s->why = "not-mounted";
    else if (rc)
        return rc;
    else if (cfg->control_fstype[0] && strcmp(m.fstype, cfg->control_fstype))
        s->why = "fstype";
    else if (cfg->control_source[0] && strcmp(m.source, cfg->control_source))
        s->why = "source";
    return 0;
}

/* An answer that says "there is no such thing" is an answer; everything else is a failure to answer. */
static int dir_open(int dirfd, const char *name, struct epoch_share *s, int *ret_fd)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    s->call = "open of the control share";
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        s->why = "missing";
    else if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

static int dir_stat(int fd, struct statx *ret)
{
    /* FORCE_SYNC: over NFS the attributes must come from the server, not from the cache. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, ret) < 0)
        return -errno;
    return ret->stx_mask & STATX_MNT_ID ? 0 : -ENOTSUP;
}

static struct {
    bool  found;
    uid_t uid;
    gid_t gid;
} the_user; /* UNDERSTUDY_USER */

void epoch_share_find_user(void)
{
    const struct passwd *pw = getpwnam(UNDERSTUDY_USER);

    the_user.found = pw != NULL;
    if (pw) {
        the_user.uid = pw->pw_uid;
        the_user.gid = pw->pw_gid;
    }
}

/* Ours, or understudy's when somebody else reads by hand. */
static bool owner_ok(uid_t owner)
{
    return owner == geteuid() || (the_user.found && the_user.uid == owner);
}

static int share_check(const struct config *cfg, int top, struct epoch_share *s)
{
    struct statx root, dir;
    int rc = dir_stat(top, &root);

    s->call = "statx of the control share";
    if (!rc)
        rc = mount_check(cfg, root.stx_mnt_id, s);
    if (rc || s->why)
        return rc;
    rc = dir_open(top, DIR_NAME, s, &s->fd);
    if (rc || s->why)
        return rc;
    s->call = "statx of .understudy";
    rc = dir_stat(s->fd, &dir);
    if (rc)
        return rc;
    s->owner = dir.stx_uid;
    if (dir.stx_mnt_id != root.stx_mnt_id)
        s->why = "mounted-over";
    else if (!owner_ok(s->owner))
        s->why = "owner";
    else if (dir.stx_mode & 022)
        s->why = "mode"; /* whoever can write there can make a tenure */
    else if ((root.stx_mode & 022) && !(root.stx_mode & S_ISVTX))
        s->why = "mode"; /* whoever can write there can put another .understudy in its place */
    return 0;
}

int epoch_share_open(const struct config *cfg, struct epoch_share *ret)
{
    int top = -1;

    *ret = (struct epoch_share){ .fd = -1 };
    int rc = dir_open(AT_FDCWD, cfg->control_share, ret, &top);
    if (!rc && !ret->why)
        rc = share_check(cfg, top, ret);
    if (top >= 0)
        (void)close(top);
    if (rc)
        epoch_share_close(ret);
    return rc;
}

void epoch_share_close(struct epoch_share *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

int epoch_share_read(const struct epoch_share *s, const char *name, char *buf, size_t size, size_t *ret_len)
{
    struct stat st;
    int rc = fileio_read(s->fd, name, buf, size, ret_len, &st);

    if (rc == -EFBIG || rc == -ENOTSUP || rc == -ELOOP || rc == -ENXIO)
        return -EBADMSG; /* too long, no regular file, a symbolic link, a socket */
    if (!rc && (st.st_uid != s->owner || (st.st_mode & 022)))
        return -EBADMSG;
    return rc;
}

int epoch_share_identify(const struct config *cfg, struct epoch_share *s)
{
    char text[EPOCH_FILE_MAX];
    struct epoch_file f;
    size_t len;
    int rc = epoch_share_read(s, "identity", text, sizeof text, &len);

    s->call = "reading identity";
    if (rc == -ENOENT)
        s->why = "no-identity";
    else if (rc == -EBADMSG || (!rc && epoch_file_parse(text, len, EPOCH_IDENTITY, &f)))
        s->why = "identity-malformed";
    else if (rc)
        return rc;
    else if (strcmp(f.cluster, cfg->cluster))
        s->why = "other-cluster";
    else
        s->uuid = f.uuid;
    return 0;
}

int epoch_share_become_owner(const struct config *cfg)
{
    struct epoch_share s;
    int rc = epoch_share_open(cfg, &s);
    bool wanted = !rc && s.fd >= 0 && the_user.found && the_user.uid == s.owner;
    uid_t uid = the_user.uid;
    gid_t gid = the_user.gid;

    epoch_share_close(&s);
    if (!wanted || uid == geteuid())
        return 0; /* the command itself says what is wrong with the owner */
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    return 0;
}
