/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-faultfs: a share as one host sees it, with faults on order. It passes everything through to a folder of this
 * machine (the backing), except what its rules say.
 *
 * A rule is a line OP[+OP...]=KIND[:ARG][,path=GLOB][,count=N]; the first that fits an operation decides. The kinds are
 * in faultfs_rules.c; tests/lab/README explains them.
 */
#ifndef TESTS_LAB_FAULTFS_H
#define TESTS_LAB_FAULTFS_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

enum op {
    OP_GETATTR, OP_READDIR, OP_READLINK, OP_STATFS, OP_OPEN, OP_READ, OP_CREATE, OP_WRITE, OP_FLUSH, OP_FSYNC,
    OP_LINK, OP_RENAME, OP_UNLINK, OP_MKDIR, OP_RMDIR, OP_SYMLINK, OP_MKNOD, OP_CHMOD, OP_CHOWN, OP_TRUNCATE, OP_UTIMENS,
    OP_N
};
#define OP_BIT(op) (1u << (op))

enum kind {
    KIND_NONE,
    KIND_ERROR,     /* nothing is done, the error is answered */
    KIND_HANG,      /* nothing is done and nothing answered until the rule has gone */
    KIND_DELAY,     /* done later */
    KIND_SHORT,     /* write: half of it */
    KIND_LOST,      /* done, and an error answered */
    KIND_LIED,      /* not done, and success answered */
    KIND_LATE,      /* done later, also when this host has gone meanwhile; a write is answered at once */
    KIND_STALE,     /* getattr, readdir: answered from what was so when the rule came, but for what this host has changed */
};

struct verdict {
    enum kind kind;     /* of what is left to the caller: NONE, SHORT, LOST, LIED, LATE, STALE */
    int error;          /* -errno to answer at once, 0: go on; with LOST: what to answer afterwards */
    uint64_t ms;        /* LATE */
};

/* One change of names or attributes. */
struct call {
    enum op op;
    const char *path, *to;      /* of the backing, beginning with "/"; `to`: second name or symlink's text, or NULL */
    mode_t mode;                /* MKDIR, MKNOD, CHMOD */
    dev_t device;               /* MKNOD */
    unsigned int flags;         /* RENAME */
    uid_t uid;                  /* who asks; CHOWN: the new owner */
    gid_t gid;
    off_t size;                 /* TRUNCATE */
    const struct timespec *times;   /* UTIMENS, two */
};

uint64_t now_ms(void);                                      /* CLOCK_BOOTTIME */
const char *op_name(enum op op);
bool number_parse(const char *text, uint64_t max, uint64_t *ret);

/* faultfs_back.c: the backing, below the descriptor `root`. All return 0 (or a descriptor, or a length) or -errno. */
const char *back_name(const char *path);                    /* as *at() calls want it */
int back_do(int root, const struct call *call);
int back_stat(int root, const char *path, struct stat *ret);
int back_create(int root, const struct call *call, int flags);
int back_open(int root, const char *path, int flags);

/* faultfs_rules.c. `dir` has NAME.rules, replaced by rename; NAME.seen tells which of them is in force or what is wrong with
 * it, NAME.hits has one JSON line for each operation that a rule has met, the first HITS_MAX of each rule. */
enum { HITS_MAX = 200 };
int rules_open(const char *dir, const char *name, int root);
/* Waits as the rule says. `path` may be NULL: a file that has no name any more. */
struct verdict rules_judge(enum op op, const char *path, const char *to);

/* faultfs_parse.c */
struct rule {
    uint32_t ops;
    enum kind kind;
    int error;
    uint64_t ms, left, hits;    /* left: how often it still fits */
    char path[256];             /* glob on the path without its "/"; "" = all */
};
/* `text` is changed. 0, or -EINVAL and what is wrong with it. */
int rule_parse(char *text, struct rule *ret, const char **ret_why);
const char *kind_name(enum kind kind);

/* faultfs_stale.c: what was so at stale_begin(). */
int stale_begin(int root, uint64_t for_ms);
void stale_end(void);
void stale_touch(const char *path);                         /* this host has changed it itself */
bool stale_stat(const char *path, struct stat *ret, int *ret_rc);   /* false: the present answers */
bool stale_was(const char *path);                           /* it was there, and this host has not touched it */
bool stale_list(const char *path, void (*each)(void *ctx, const char *name, const struct stat *st), void *ctx);
bool stale_hides(const char *path);                         /* what is there now is not shown: stale_list() is asked */

/* An open file or folder. */
struct handle {
    int fd;
    ino_t ino;
    char path[];                /* when it was opened */
};

/* faultfs_do.c: one operation each, with its faults. 0 (or a length), or -errno. */
typedef void (*list_each_fn)(void *ctx, const char *name, const struct stat *st);
void do_open_root(int root);
int do_getattr(const char *path, const struct handle *h, struct stat *st);
int do_change(const struct call *c);
int do_change_open(const struct call *c, const struct handle *h);
int do_readlink(const char *path, char *text, size_t size);
int do_statfs(const char *path, struct statvfs *ret);
int do_readdir(const struct handle *h, list_each_fn each, void *ctx);
int do_open(const char *path, int flags, struct handle **ret);
int do_create(const struct call *c, int flags, struct handle **ret);
void do_close(struct handle *h);
int do_read(const struct handle *h, char *data, size_t size, off_t offset);
int do_write(const struct handle *h, const char *data, size_t size, off_t offset);
int do_flush(const struct handle *h);
int do_fsync(const struct handle *h);

/* faultfs_wire.c: the network between a host and its server, a process that outlives the host. */
int wire_main(const char *backing, const char *log, int socket);
int wire_open(int socket);                                  /* client: -1 = there is none */
int wire_change(const struct call *call, uint64_t ms);      /* returns when it was done */
ssize_t wire_write(const struct handle *h, const char *data, size_t size, off_t offset, uint64_t ms);
int wire_settle(ino_t ino);                                 /* until no write to it is on its way; its error, once */

/* faultfs_fuse.c: 0, or -errno. Says "ready" on stdout when it is mounted. */
int fuse_run(const char *name, const char *point, int root);

#endif
