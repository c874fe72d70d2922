/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OP[+OP...]=KIND[:ARG][,path=GLOB][,count=N] */
#include "faultfs.h"

#include <errno.h>
#include <string.h>

#define ALL_OPS   (OP_BIT(OP_N) - 1)
#define NAME_OPS  (OP_BIT(OP_GETATTR) | OP_BIT(OP_READDIR))
#define LOOK_OPS  (NAME_OPS | OP_BIT(OP_READLINK) | OP_BIT(OP_STATFS) | OP_BIT(OP_OPEN) | OP_BIT(OP_READ))
#define CHANGE_OPS (ALL_OPS & ~LOOK_OPS & ~OP_BIT(OP_FLUSH))
#define LATE_OPS  (OP_BIT(OP_LINK) | OP_BIT(OP_RENAME) | OP_BIT(OP_UNLINK) | OP_BIT(OP_WRITE))
#define ANSWER_OPS (LATE_OPS | OP_BIT(OP_RMDIR) | OP_BIT(OP_FSYNC))

static const struct {
    const char *name;
    uint32_t ops;
} words[] = {
    { "getattr", OP_BIT(OP_GETATTR) }, { "readdir", OP_BIT(OP_READDIR) }, { "readlink", OP_BIT(OP_READLINK) },
    { "statfs", OP_BIT(OP_STATFS) }, { "open", OP_BIT(OP_OPEN) }, { "read", OP_BIT(OP_READ) },
    { "create", OP_BIT(OP_CREATE) }, { "write", OP_BIT(OP_WRITE) }, { "flush", OP_BIT(OP_FLUSH) },
    { "fsync", OP_BIT(OP_FSYNC) }, { "link", OP_BIT(OP_LINK) }, { "rename", OP_BIT(OP_RENAME) },
    { "unlink", OP_BIT(OP_UNLINK) }, { "mkdir", OP_BIT(OP_MKDIR) }, { "rmdir", OP_BIT(OP_RMDIR) },
    { "symlink", OP_BIT(OP_SYMLINK) }, { "mknod", OP_BIT(OP_MKNOD) }, { "chmod", OP_BIT(OP_CHMOD) },
    { "chown", OP_BIT(OP_CHOWN) }, { "truncate", OP_BIT(OP_TRUNCATE) }, { "utimens", OP_BIT(OP_UTIMENS) },
    { "all", ALL_OPS }, { "names", NAME_OPS }, { "looks", LOOK_OPS }, { "changes", CHANGE_OPS },
};

static const struct {
    const char *name;
    enum kind kind;
    int error;              /* ERROR: the errno */
    uint64_t max;           /* of the argument; 0: it takes none */
    uint32_t ops;           /* where it makes sense */
} kinds[] = {
    { "hang", KIND_HANG, 0, 0, ALL_OPS }, { "delay", KIND_DELAY, 0, 600000, ALL_OPS },
    { "short", KIND_SHORT, 0, 0, OP_BIT(OP_WRITE) }, { "lost", KIND_LOST, EIO, 0, ANSWER_OPS },
    { "lied", KIND_LIED, 0, 0, ANSWER_OPS }, { "late", KIND_LATE, 0, 120000, LATE_OPS },
    { "stale", KIND_STALE, 0, 600, NAME_OPS },
    { "eio", KIND_ERROR, EIO, 0, ALL_OPS }, { "estale", KIND_ERROR, ESTALE, 0, ALL_OPS },
    { "eacces", KIND_ERROR, EACCES, 0, ALL_OPS }, { "enospc", KIND_ERROR, ENOSPC, 0, ALL_OPS },
    { "edquot", KIND_ERROR, EDQUOT, 0, ALL_OPS }, { "erofs", KIND_ERROR, EROFS, 0, ALL_OPS },
    { "etimedout", KIND_ERROR, ETIMEDOUT, 0, ALL_OPS }, { "eexist", KIND_ERROR, EEXIST, 0, ALL_OPS },
    { "enoent", KIND_ERROR, ENOENT, 0, ALL_OPS },
};

const char *op_name(enum op op)
{
    return words[op].name;
}

const char *kind_name(enum kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == kind && kind != KIND_ERROR)
            return kinds[i].name;
    }
    return "error";
}

static int ops_parse(char *text, uint32_t *ret)
{
    *ret = 0;
    for (char *word = strsep(&text, "+"); word; word = strsep(&text, "+")) {
        size_t i = 0;

        while (i < sizeof words / sizeof words[0] && strcmp(words[i].name, word) != 0)
            i++;
        if (i == sizeof words / sizeof words[0])
            return -EINVAL;
        *ret |= words[i].ops;
    }
    return 0;
}

static int errno_parse(const char *name, int *ret)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == KIND_ERROR && strcmp(kinds[i].name, name) == 0) {
            *ret = kinds[i].error;
            return 0;
        }
    }
    return -EINVAL;
}

/* KIND[:ARG]; lost takes the name of an error. */
static int kind_parse(char *text, struct rule *r, const char **ret_why)
{
    char *word = strsep(&text, ":");
    size_t i = 0;

    while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i].name, word) != 0)
        i++;
    *ret_why = "unknown kind";
    if (i == sizeof kinds / sizeof kinds[0])
        return -EINVAL;
    r->kind = kinds[i].kind;
    r->error = kinds[i].error;
    *ret_why = "this kind is not for that operation";
    if (r->ops & ~kinds[i].ops)
        return -EINVAL;
    *ret_why = "the argument of the kind is missing, wrong, or too much";
    if (r->kind == KIND_LOST)
        return text ? errno_parse(text, &r->error) : 0;
    if (kinds[i].max == 0)
        return text ? -EINVAL : 0;
    return text && number_parse(text, kinds[i].max, &r->ms) ? 0 : -EINVAL;
}

int rule_parse(char *text, struct rule *ret, const char **ret_why)
{
    char *ops = strsep(&text, "="), *kind = text ? strsep(&text, ",") : NULL;
    struct rule r = { .left = UINT64_MAX };

    *ret_why = "it is not OP=KIND";
    if (!kind)
        return -EINVAL;
    *ret_why = "unknown operation";
    if (ops_parse(ops, &r.ops) < 0 || kind_parse(kind, &r, ret_why) < 0)
        return -EINVAL;
    for (char *word = strsep(&text, ","); word; word = strsep(&text, ",")) {
        *ret_why = "after the kind come path=GLOB and count=N";
        if (strncmp(word, "path=", 5) == 0 && strlen(word + 5) < sizeof r.path)
            memcpy(r.path, word + 5, strlen(word + 5) + 1);
        else if (strncmp(word, "count=", 6) != 0 || !number_parse(word + 6, UINT32_MAX, &r.left))
            return -EINVAL;
    }
    *ret = r;
    return 0;
}
