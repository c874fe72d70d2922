/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of every file below .understudy, and of epoch.max: `understudy-epoch 1`, key=value lines in one fixed
 * order, `end=1`. Pure: no file is touched here. Anything that is not exactly so is malformed, and a malformed file
 * never counts as a claim, a tenure or an end (design: Epochs). */
#ifndef UNDERSTUDY_EPOCH_FILE_H
#define UNDERSTUDY_EPOCH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/cpgmsg.h"
#include "common/token.h"

#define EPOCH_FILE_MAX  4096
#define EPOCH_MAINTENANCE_NAME "maintenance"
#define EPOCH_TIME_SIZE 21   /* "2026-11-23T03:14:15Z" */

enum epoch_kind {
    EPOCH_IDENTITY,  /* identity */
    EPOCH_BASE,      /* epoch.N that belongs to no node: numbers start here, everything below is superseded */
    EPOCH_CLAIM,     /* epoch.N */
    EPOCH_OWN,       /* epoch.N.own */
    EPOCH_END,       /* epoch.N.end */
    EPOCH_BEAT,      /* beat.NODE */
    EPOCH_MAX,       /* epoch.max, in the local state directory */
    EPOCH_MAINTENANCE, /* maintenance: the one that may be removed again */
    EPOCH_KIND_N
};

struct epoch_file {
    enum epoch_kind kind;
    char            cluster[CONFIG_NAME_MAX];   /* identity */
    struct id128    uuid;                       /* identity, max */
    uint64_t        n;                          /* base, claim, own, end, max */
    char            node[CONFIG_NAME_MAX];      /* all but identity and max: who wrote it */
    struct id128    boot;                       /* of the writer */
    uint64_t        run, op;                    /* of the writer */
    char            proofs[CONFIG_TEXT_MAX];    /* own: NODE=PROOF,NODE=PROOF */
    bool            planned;                    /* end: released, its data synced */
    uint64_t        counter;                    /* beat */
    char            since[EPOCH_TIME_SIZE];     /* maintenance: wall clock, for people */
    char            reason[TOKEN_SIZE];         /* maintenance: of token_encode() */
};

/* Writes the text of `f` to buf; returns its length, or 0 when a text in `f` has a character that no line may have. */
size_t epoch_file_format(const struct epoch_file *f, char buf[EPOCH_FILE_MAX]);

/* Reads a text of exactly that kind. 0, or -EBADMSG; `ret` is untouched unless 0 is returned. */
int epoch_file_parse(const char *text, size_t len, enum epoch_kind kind, struct epoch_file *ret);

/* The two kinds that an epoch.N may be, told apart by its own `kind` line. Otherwise as epoch_file_parse(). */
int epoch_file_parse_claim(const char *text, size_t len, struct epoch_file *ret);

enum epoch_name { EPOCH_NAME_CLAIM, EPOCH_NAME_OWN, EPOCH_NAME_END };

/* "epoch.N", "epoch.N.own", "epoch.N.end". 0; -ENOENT when it does not begin with "epoch."; -EBADMSG when it does and
 * is none of these. */
int epoch_name_parse(const char *name, uint64_t *ret_n, enum epoch_name *ret_which);

#endif
