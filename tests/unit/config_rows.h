/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One row for every key of understudy.conf, and the file that they make. */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include <stdbool.h>

#include "common/config_private.h"

/* `good` fits all the other rows' good values, and `other` instead of it as well. `digest`: the safety key that a change
 * of it changes, "" = none. `reload`: may a running daemon take a change up? */
struct row { const char *section, *key, *good, *other, *digest; bool reload; };
extern const struct row rows[];
extern const unsigned n_rows;
extern const struct config_section *const sections[];
extern const unsigned n_sections;

extern char text[16384]; /* what build() has made */
const struct config_section *section_of(const struct row *r);
const struct config_field *field_of(const struct row *r);
/* The whole file, with `line` in place of the row's (NULL = as it is). Returns the number of that line. */
unsigned build(const struct row *changed, const char *line);

#endif
