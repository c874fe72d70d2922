/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "common/fileio.h"

#include "common/banned.h"

static int check_mode(const char *path, const struct stat *st, uid_t owner, FILE *errors)
{
    if (st->st_uid != owner) {
        (void) fprintf(errors, "%s: belongs to uid %u, not %u; its owner could change what fencing does; chown it\n", path,
                       (unsigned) st->st_uid, (unsigned) owner);
        return -EPERM;
    }
    if ((st->st_mode & 077) != 0) {
        (void) fprintf(errors, "%s: mode %04o lets others in; a secret of a fence device is a way to switch nodes off; "
                       "chmod 0600 it\n", path, (unsigned) (st->st_mode & 07777));
        return -EPERM;
    }
    return 0;
}

/* key=value with a bare key, and no character at which a fence program might see the end of a line; never one of the
 * lines that understudy itself writes. */
static bool line_ok(const char *text, size_t n)
{
    static const char *const ours[] = { "action=", "option=", "method=" };
    size_t key = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    for (size_t i = 0; i < n; i++)
        if ((unsigned char) text[i] < ' ' || text[i] == 0x7f)
            return false;
    for (unsigned i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strncasecmp(text, ours[i], strlen(ours[i])) == 0)
            return false;
    return text[0] == '#' || (key > 0 && key < n && text[key] == '=');
}

static int check_lines(const char *path, const char *text, FILE *errors)
{
    unsigned line = 0, found = 0;

    while (*text) {
        size_t n = strcspn(text, "\n");
        line++;
        if (n > 0 && !line_ok(text, n)) {
            (void) fprintf(errors, "%s:%u: not a line 'key=value' of the device's secrets; the fence program would get "
                           "it as it is; correct it, with plain line ends and without action, option and method\n", path,
                           line);
            return -EINVAL;
        }
        found += n > 0 && text[0] != '#';
        text += n + (text[n] == '\n');
    }
    if (found == 0)
        (void) fprintf(errors, "%s: has no line 'key=value'; the fence device would refuse us when it is needed; write the "
                       "secret into it\n", path);
    return found ? 0 : -EINVAL;
}

static int read_one(const char *path, uid_t owner, struct secret *ret, FILE *errors)
{
    struct stat st;
    int rc = fileio_read(AT_FDCWD, path, ret->text, SECRETS_FILE_MAX, &ret->len, &st);

    if (rc < 0) {
        (void) fprintf(errors, "%s: cannot be read: %s; the fence device needs it; create or correct it\n", path,
                       fileio_why(rc));
        return rc;
    }
    rc = check_mode(path, &st, owner, errors);
    if (rc < 0)
        return rc;
    if (ret->len > 0 && ret->text[ret->len - 1] != '\n')
        ret->text[ret->len++] = '\n';
    ret->text[ret->len] = '\0';
    if (strlen(ret->text) != ret->len) {
        (void) fprintf(errors, "%s: has a zero byte in it; it is not a text file; correct it\n", path);
        return -EINVAL;
    }
    return check_lines(path, ret->text, errors);
}

/* The password file is read by a helper of the fence program; here only its mode matters. */
static int look_at(const char *path, uid_t owner, FILE *errors)
{
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void) fprintf(errors, "%s: is not there or not a regular file; the fence device needs it; create it\n", path);
        return -ENOENT;
    }
    if (st.st_size == 0 || st.st_size > SECRETS_FILE_MAX) {
        (void) fprintf(errors, "%s: has %lld bytes, which is no password; the fence device would refuse us when it is "
                       "needed; write the bare password into it\n", path, (long long) st.st_size);
        return -EINVAL;
    }
    return check_mode(path, &st, owner, errors);
}

/* An agent that is given the password hands it on as an argument: what password_file is there to avoid. */
static int check_twice(const struct config_device *d, const struct secret *s, FILE *errors)
{
    static const char *const keys[] = { "passwd=", "password=" };

    for (const char *p = s->text; d->password_file[0] && *p; p += strcspn(p, "\n"), p += *p == '\n') {
        for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            if (strncmp(p, keys[i], strlen(keys[i])) == 0) {
                (void) fprintf(errors, "%s: has the password that password_file of [fence %s] is for; the agent would show it "
                               "in the arguments of what it starts; remove the line or password_file\n", d->secret_file,
                               d->name);
                return -EINVAL;
            }
        }
    }
    return 0;
}

int secrets_read(const struct config *cfg, uid_t owner, struct secrets **ret, FILE *errors)
{
    struct secrets *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = 0;

    if (s == MAP_FAILED)
        return -errno;
    (void) madvise(s, sizeof *s, MADV_DONTDUMP); /* where the kernel can; PR_SET_DUMPABLE is off as well */
    (void) mlock(s, sizeof *s);                  /* may be beyond RLIMIT_MEMLOCK: then it could be swapped */
    for (unsigned i = 0; i < cfg->n_devices; i++) {
        const struct config_device *d = &cfg->devices[i];
        int one = d->secret_file[0] ? read_one(d->secret_file, owner, &s->device[i], errors) : 0;
        int two = d->password_file[0] ? look_at(d->password_file, owner, errors) : 0;
        one = one < 0 ? one : check_twice(d, &s->device[i], errors);
        rc = rc < 0 ? rc : one < 0 ? one : two;
    }
    if (rc < 0) {
        secrets_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    explicit_bzero(s, sizeof *s);
    (void) munmap(s, sizeof *s);
}

static void scrub_value(const char *value, size_t n, char *text, size_t len)
{
    char *p = text;

    /* Shorter ones would blot out half of every line and protect nothing. */
    while (n >= 3 && (p = memmem(p, len - (size_t) (p - text), value, n)) != NULL)
        memset(p, '*', n);
}

void secrets_scrub(const struct secret *s, char *text, size_t len)
{
    const char *p = s->text;

    while (*p) {
        size_t n = strcspn(p, "\n");
        const char *eq = memchr(p, '=', n);
        if (eq && p[0] != '#')
            scrub_value(eq + 1, n - (size_t) (eq + 1 - p), text, len);
        p += n + (p[n] == '\n');
    }
}
