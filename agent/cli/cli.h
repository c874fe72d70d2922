/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command `understudy`: options, one function a command, and the way to the daemon. Results go to stdout,
 * refusals and mistakes to stderr. Exit codes: exitcodes.h (0 done, 1 refused or failed, 2 usage, 3 no answer). */
#ifndef UNDERSTUDY_CLI_H
#define UNDERSTUDY_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#define CLI_ARGUMENTS_MAX 2
#define CLI_OFF_MAX       8

struct cli {
    const char *config, *service, *rundir, *statedir, *gatedir, *libexecdir;
    bool        json, yes, force, boot_alone, rules, quiet, recover, help, version;
    const char *reason;                   /* --reason; NULL: none */
    const char *off[CLI_OFF_MAX];         /* --off NODE, each */
    unsigned    n_off;
    unsigned    given;                    /* which command options were given: enum cli_option bits */
    const char *command;                  /* NULL: none was given */
    const char *argument[CLI_ARGUMENTS_MAX];
    unsigned    n_arguments;
    char *const *rest;                    /* gate: the command to run, terminated by NULL; NULL = none */
};

enum cli_option { CLI_YES = 1, CLI_RULES = 2, CLI_FORCE = 4, CLI_BOOT_ALONE = 8, CLI_QUIET = 16, CLI_RECOVER = 32, CLI_OFF = 64,
                  CLI_REASON = 128 };

/* options.c. 0, or -EINVAL with the mistake explained on `errors`. `ret` borrows from argv. */
int cli_parse(int argc, char **argv, struct cli *ret, FILE *errors);
void cli_usage(FILE *out);

int cmd_status(const struct cli *c);
int cmd_explain(const struct cli *c);
int cmd_acknowledge(const struct cli *c);
int cmd_clear(const struct cli *c);
int cmd_init(const struct cli *c);
/* cmd_act.c: asks for the node's name, which a person types who means it. */
bool cli_confirmed(const char *node);
int cmd_report(const struct cli *c);
int cmd_switchover(const struct cli *c);
int cmd_maintenance(const struct cli *c);
int cmd_fence(const struct cli *c);
int cmd_reload(const struct cli *c);
int cmd_gate(const struct cli *c);
int cmd_locks(const struct cli *c);
int cmd_queue(const struct cli *c);
int cmd_check_config(const struct cli *c);

/* ask.c. Sends {"cmd": ..., } and takes the answer; `request` is consumed. Returns 0 and the whole answer in `ret`
 * (owned by the caller; tame unless --json), or the exit code, after the reason was printed: 1 when it was refused, 3 without
 * an answer. */
int cli_ask(const struct cli *c, json_t *request, int timeout_ms, json_t **ret);
/* The same, but nothing is printed: -errno of client_ask(), or 0 and an answer that may be a refusal. */
int cli_ask_quietly(const struct cli *c, json_t *request, int timeout_ms, json_t **ret);
/* 0 when that answer is none; else it is printed, and the exit code is returned. */
int cli_refused(const struct cli *c, const json_t *o);
/* Explains such an errno; returns the exit code. */
int cli_no_answer(const struct cli *c, int rc);
int cli_print_json(const json_t *o);

/* What the commands print for people, on stdout, of an answer that text_tame() has seen; any JSON, also none. */
struct config;
void status_print(const json_t *s);
void explain_print(const json_t *o);
void locks_print(const struct config *cfg, const json_t *o);
void queues_print(const struct config *cfg, const json_t *o);

/* text.c. Makes every control character in the strings below `o` a question mark: they come from processes with fewer rights
 * than the person's terminal. As JSON they are escaped anyway. */
void text_tame(json_t *o);
/* A text of the daemon or of a program, without control characters. */
void        text_print(FILE *out, const char *text);
const char *text_of(const json_t *o, const char *key); /* "-" when it is not there */
/* "12 ms", "3.4 s", "5 min"; "never" for what is no number. In a buffer of the caller. */
#define TEXT_AGE_MAX 32
const char *text_age(const json_t *ms, char buf[TEXT_AGE_MAX]);
/* `watchdog` and `self_fence` of a status; without `all` only what a person has to look at. */
void        text_safety(FILE *out, const json_t *o, bool all);
/* Words wrapped at 100 columns, each line after `indent` spaces. */
void        text_wrap(FILE *out, unsigned indent, const char *text);

#endif
