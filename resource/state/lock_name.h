/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Mailman writes into its lock directory: the lock NAME and a claim file are two links of one file, whose text is the
 * path of the claim file. A claim file's name is NAME|FQDN|PID|RANDOM in Mailman 3, NAME.HOST.PID.COUNTER before (without
 * the counter once mailmanctl has handed its master lock on). Host names have dots and digits too, so what is between dots
 * is told by the configured nodes only (reliability L6). Pure: names and texts only. */
#ifndef UNDERSTUDY_LOCK_NAME_H
#define UNDERSTUDY_LOCK_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"

#define LOCK_NAME_MAX 256 /* NAME_MAX and the terminator */

enum lock_grammar { LOCK_MAILMAN_3, LOCK_MAILMAN_21, LOCK_MAILMAN_20, LOCK_GRAMMAR_N };

/* The grammar and the host names that the nodes write into their locks. */
struct lock_names {
    enum lock_grammar grammar;
    unsigned          n;
    const char       *hosts[CONFIG_NODES_MAX]; /* borrowed; as the nodes of the configuration are numbered */
};

struct lock_claim {
    char  lock[LOCK_NAME_MAX];   /* name of the lock that it is for */
    char  host[CONFIG_TEXT_MAX]; /* as written; compare with the configured nodes only */
    pid_t pid;
};

/* That of the locks of a list server. */
enum lock_grammar lock_grammar_of(enum config_list_kind kind);

/* Mailman 3 writes socket.getfqdn(), Mailman 2 socket.gethostname() (facts A, E). `ret` borrows from `cfg`. */
void lock_names_of(const struct config *cfg, enum lock_grammar grammar, struct lock_names *ret);

/* The node that writes `host`, or -ENOENT: nobody that we know. */
int lock_names_node(const struct lock_names *names, const char *host);

/* The lock without which the list server does not start. */
const char *lock_name_master(enum lock_grammar grammar);

/* By its name. In the grammars of Mailman 2 a lock may have such a name too: then its text tells. */
bool lock_name_is_claim(const struct lock_names *names, const char *name);

/* The name of a claim file, of the lock `lock`, or of any if that is NULL. 0; -EBADMSG it is none; -ENOTUNIQ it can be read
 * in several ways, of different owners. `ret` is untouched unless 0 is returned. In the grammars of Mailman 2 an unknown
 * host's name is a guess if `lock` is NULL, and never that of a configured node. */
int lock_claim_parse(const struct lock_names *names, const char *name, size_t len, const char *lock, struct lock_claim *ret);

/* The text of a lock or a claim file: an absolute path, whose last component must be a claim file's name. Nothing else of
 * the path is used, and the name only to be compared. Results of lock_claim_parse(). */
int lock_text_parse(const struct lock_names *names, const char *text, size_t len, const char *lock, struct lock_claim *ret,
                    char ret_name[LOCK_NAME_MAX]);

/* The name of a claim of ours on `lock`: 128 random bits are its RANDOM or COUNTER. 0; -ENAMETOOLONG; -EINVAL: the lock or
 * the host cannot be written so that it is read back as the same. */
int lock_claim_name(const struct lock_names *names, const char *lock, const char *host, pid_t pid, const uint32_t random[4],
                    char ret[LOCK_NAME_MAX]);

#endif
