/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the parts of the configuration reader; nobody else includes it. */
#ifndef UNDERSTUDY_CONFIG_PRIVATE_H
#define UNDERSTUDY_CONFIG_PRIVATE_H

#include "common/config.h"

/* Where mistakes go: one line each, "file:line: what; why; what to do". */
struct config_mistakes {
    const char *path;
    FILE       *out;
    unsigned    n;
};

/* line 0 = the mistake is that something is not there. */
void config_mistake(struct config_mistakes *m, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum config_type { CT_NAME, CT_TEXT, CT_PATH, CT_AGENT, CT_DURATION, CT_SIZE, CT_U32, CT_U16, CT_BOOL, CT_CIDR, CT_HOST };

struct config_field {
    const char      *key;
    enum config_type type;
    size_t           offset, size;  /* of the member in its section's struct */
    uint32_t         min, max;      /* of a number, or of a duration in ms */
    const char      *preset;        /* NULL = required; "" = may be left out */
};

/* One kind of section: where its keys are written to. */
struct config_section {
    const char                *name;
    const struct config_field *fields;
    unsigned                   n_fields;
    const char                *more;     /* a key that is no single member; "" = none */
};

extern const struct config_section config_section_cluster, config_section_address, config_section_mailman3, config_section_mailman2,
    config_section_mail, config_section_node, config_section_fence;

/* The list server's section: [mailman2] for `service` mailman2, else [mailman3]. */
const struct config_section *config_section_list(const struct config *c);

const struct config_field *config_field_find(const struct config_section *s, const char *key);
/* Writes `text` into the member of `base`. 0, or -EINVAL with the mistake reported. */
int config_field_set(const struct config_field *f, void *base, const char *text, unsigned line,
                     struct config_mistakes *m);
/* The presets of all fields that have one. */
void config_section_preset(const struct config_section *s, void *base);

bool config_name_ok(const char *text);
bool config_plain_ok(const char *text);   /* no control characters */
/* 0, or -EINVAL with the first byte reported that no text has: zero, or not UTF-8. */
int config_text_check(const char *text, size_t len, struct config_mistakes *m);
/* The key that was probably meant by one that is not known: at most two letters away. NULL = none. */
const char *config_key_nearest(const struct config_section *s, const char *key);
/* Takes the next blank-separated word of *p into buf; returns its length, 0 at the end, or -1 if it is too long. */
int config_word_next(const char **p, char *buf, size_t size);

/* The parsed file. `text` is terminated, without zero bytes, and borrowed until _close. Mistakes of form are
 * reported; what can still be read is there. 0 or -errno. */
struct config_source;
typedef void config_key_fn(void *closure, const char *key);
int config_source_open(const char *text, size_t len, struct config_mistakes *m, struct config_source **ret);
void config_source_close(struct config_source *s);
const char *config_source_section(const struct config_source *s, unsigned i); /* NULL after the last one */
/* Calls `each` for every key once; a second one of the same name is a mistake. */
void config_source_keys(const struct config_source *s, const char *section, struct config_mistakes *m,
                        config_key_fn *each, void *closure);
/* The value of a key, or NULL if it is not there (then *ret_line is untouched). */
const char *config_source_value(const struct config_source *s, const char *section, const char *key,
                                unsigned *ret_line);
/* How many keys the file has, by its lines. The library leaves out what it has no memory for, and calls that a success. */
unsigned config_source_key_lines(const struct config_source *s);
/* Line of a key, or of the section's header for key NULL or one that is not there; 0 = neither. */
unsigned config_source_line(const struct config_source *s, const char *section, const char *key);

void config_set_nodes(struct config *c, const char *text, unsigned line, struct config_mistakes *m);
/* By kind, which is set: the queue of each is found too. */
void config_set_runners(struct config_listserver *mm, const char *text, unsigned line, struct config_mistakes *m);
void config_set_units(struct config *c, const char *text, unsigned line, struct config_mistakes *m);
void config_set_mx(struct config_mail *mail, const char *text, unsigned line, struct config_mistakes *m);
void config_set_domains(struct config_mail *mail, const char *text, unsigned line, struct config_mistakes *m);
void config_set_param(struct config_device *d, const char *key, const char *text, unsigned line,
                      struct config_mistakes *m);

/* The kind of list server, and the directories that were not given, from var_prefix. */
void config_set_listserver(struct config *c, const struct config_source *s, struct config_mistakes *m);

/* What no single key shows: contradictions between them. */
void config_check(struct config *c, const struct config_source *s, struct config_mistakes *m);

#endif
