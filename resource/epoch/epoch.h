/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands of understudy-epoch share: who we are, one look at share and local maximum, and the one way in
 * which a file of the protocol is made. Each command returns an enum exit_code. */
#ifndef UNDERSTUDY_EPOCH_H
#define UNDERSTUDY_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/cpgmsg.h"
#include "resource/epoch/epoch_file.h"
#include "resource/epoch/epoch_local.h"
#include "resource/epoch/epoch_share.h"
#include "resource/epoch/epoch_view.h"

struct epoch_ctx {
    const struct config *cfg;       /* borrowed */
    const char          *node;      /* our name in it */
    struct id128         boot;
    uint64_t             run, op;   /* of the engine that asks; 0 by hand */
    const char          *state_dir;
};

enum epoch_maintenance {
    EPOCH_MAINTENANCE_OFF,
    EPOCH_MAINTENANCE_ON,
    EPOCH_MAINTENANCE_MALFORMED,     /* there is something: it suspends claims, and permits nothing */
};

struct epoch_look {
    struct epoch_share share;
    struct epoch_view  view;
    struct epoch_local local;
    bool               quick;       /* in: what watch has checked is not read again */
    enum epoch_maintenance maintenance;
    struct epoch_file  maintained;  /* who and why, while it is on */
    bool               behind;      /* the share lacks epochs that this node has seen */
    uint64_t           at_ms;       /* CLOCK_BOOTTIME before the look began */
};

#define EPOCH_LOOK_INIT       { .share = { .fd = -1 } }
#define EPOCH_LOOK_INIT_QUICK { .share = { .fd = -1 }, .quick = true }

/* A fresh look; also says what the last one knew. With `raise` the local maximum is raised durably before this returns,
 * so that no epoch is used before it is remembered. 0: the share answered, see share.why and behind. -errno: it (or
 * the local disk) did not, share.call says which call. */
int  epoch_look(const struct epoch_ctx *ctx, bool raise, struct epoch_look *look);
void epoch_look_free(struct epoch_look *look);

/* A look that a change may stand on: the right share, not behind, ours to write. EXIT_DONE, or the exit code after the
 * reason was written to stderr. */
int epoch_look_sound(const struct epoch_ctx *ctx, struct epoch_look *look);

/* Records of one look as text, at most `size` bytes; returns the length. */
size_t epoch_print(const struct epoch_ctx *ctx, const struct epoch_look *look, char *buf, size_t size);
size_t epoch_print_json(const struct epoch_ctx *ctx, const struct epoch_look *look, char *buf, size_t size);
/* The record of maintenance alone. */
size_t epoch_print_maintenance(const struct epoch_look *look, char *buf, size_t size);
/* What a person can do about share.why; a sentence. */
const char *epoch_why_action(const char *why);

/* Makes `name` below .understudy as an immutable file with the text of `f`: unique file, fsync, link, fsync of the
 * directory. What link() says is not believed: 0 = a fresh open of `name` gives our inode and our text. -EEXIST = it is
 * somebody else's (or our own earlier one); another -errno = not known. `ret_call` then names the call. */
int epoch_make(const struct epoch_ctx *ctx, const struct epoch_share *s, const char *name, const struct epoch_file *f,
               const char **ret_call);
/* Removes unique, probe and beat files that killed processes of this node's earlier runs have left. */
void epoch_clean(const struct epoch_ctx *ctx, const struct epoch_share *s);

/* Who we are, for a file of that kind. */
struct epoch_file epoch_file_of(const struct epoch_ctx *ctx, enum epoch_kind kind, uint64_t n);
bool              epoch_is_ours(const struct epoch_ctx *ctx, const struct epoch_entry *e); /* of this node, boot and run */

/* One sentence on stderr: "understudy-epoch: WHAT". Returns `code`. */
int epoch_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "CALL: strerror(-rc)"; returns EXIT_FAILED. */
int epoch_fail_call(const char *call, int rc);

/* The commands. */
int epoch_cmd_read(const struct epoch_ctx *ctx, bool json);
int epoch_cmd_watch(const struct epoch_ctx *ctx);
int epoch_cmd_claim(const struct epoch_ctx *ctx, uint64_t n);
int epoch_cmd_own(const struct epoch_ctx *ctx, uint64_t n, const char *proofs);
int epoch_cmd_end(const struct epoch_ctx *ctx, uint64_t n, bool planned);
/* Make and remove the file `maintenance`; both say how it is afterwards. reason: at most TOKEN_TEXT_MAX characters. */
int epoch_cmd_maintain(const struct epoch_ctx *ctx, const char *reason);
int epoch_cmd_unmaintain(const struct epoch_ctx *ctx);
int epoch_cmd_drain(const struct epoch_ctx *ctx, uint32_t duration_ms);
/* recover_n: the highest number that any node knows; counted only with `recover`. */
int epoch_cmd_init(const struct epoch_ctx *ctx, bool recover, uint64_t recover_n);

#endif
