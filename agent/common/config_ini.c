/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file, by libini_config, which knows the lines of keys. It is asked twice: for the mistakes of form, and then,
 * with the lines that have one blanked, for everything that can still be read, so that a person sees all mistakes
 * at once. Duplicates are found here: the library's own detection crashes on some files (0.6.2: a key three times). */
#include <config.h>

#include "common/config_private.h"

#include <errno.h>
#include <ini_configobj.h>
#include <ini_valueobj.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/num.h"

#include "common/banned.h"

#define COLLISION_FLAGS (INI_MV1S_ALLOW | INI_MV2S_ALLOW | INI_MS_MERGE)
#define PARSE_FLAGS     (INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS)

struct config_source {
    struct ini_cfgobj *ini;
    const char        *text;       /* as in the file; terminated; borrowed */
    size_t             len;
    char             **sections;
    int                n_sections;
};

static int parse(const char *text, size_t len, struct ini_cfgobj **ret)
{
    struct ini_cfgfile *file = NULL;
    struct ini_cfgobj *ini = NULL;
    char *copy = malloc(len + 1);
    int rc = ENOMEM;

    if (copy) {
        memcpy(copy, text, len + 1);
        rc = ini_config_create(&ini);
    }
    if (rc == 0)
        rc = ini_config_file_from_mem(copy, (uint32_t) len, &file);
    if (rc == 0)
        rc = ini_config_parse(file, INI_STOP_ON_NONE, COLLISION_FLAGS, PARSE_FLAGS, ini);
    if (file)
        ini_config_file_destroy(file);
    free(copy);
    /* With mistakes of form it returns an error and fills only the list of errors. */
    if (rc != 0 && (!ini || ini_config_error_count(ini) == 0)) {
        ini_config_destroy(ini);
        return -rc;
    }
    *ret = ini;
    return 0;
}

/* Overwrites line `line` by blanks, keeping the count of lines. */
static void blank_line(char *text, unsigned line)
{
    while (--line > 0 && text) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    for (; text && *text && *text != '\n'; text++)
        *text = ' ';
}

/* "Error (10) on line 5: Duplicate key is not allowed." */
static unsigned error_line(const char *error, const char **ret_what)
{
    static const char mark[] = " on line ";
    const char *p = strstr(error, mark), *colon = p ? strchr(p, ':') : NULL;
    char number[16];
    uint32_t line = 0;

    *ret_what = colon ? colon + 2 : error;
    if (!colon)
        return 0;
    p += sizeof mark - 1;
    if ((size_t) (colon - p) >= sizeof number)
        return 0;
    memcpy(number, p, (size_t) (colon - p));
    number[colon - p] = '\0';
    return num_parse_u32(number, 1, UINT32_MAX, &line) == 0 ? line : 0;
}

unsigned config_source_key_lines(const struct config_source *s)
{
    const char *text = strncmp(s->text, "\xef\xbb\xbf", 3) == 0 ? s->text + 3 : s->text;
    unsigned n = 0;

    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *p = line + strspn(line, " \t\r");
        n += *p != '\0' && *p != '\n' && *p != '#' && *p != ';' && *p != '[';
    }
    return n;
}

/* The first pass. Lines that cannot be parsed are blanked in `text`. */
static int find_form_mistakes(char *text, size_t len, struct config_mistakes *m)
{
    struct ini_cfgobj *ini = NULL;
    char **errors = NULL;
    int rc = parse(text, len, &ini);

    if (rc < 0)
        return rc;
    if (ini_config_error_count(ini) > 0 && ini_config_get_errors(ini, &errors) == 0) {
        for (unsigned i = 0; errors[i]; i++) {
            const char *what;
            unsigned line = error_line(errors[i], &what);
            size_t n = strlen(what);
            n -= n > 0 && what[n - 1] == '.';
            config_mistake(m, line, "%.*s; a line is '[section]', 'key = value' or '# comment'; correct it", (int) n, what);
            if (line)
                blank_line(text, line);
        }
        ini_config_free_errors(errors);
    }
    ini_config_destroy(ini);
    return 0;
}

/* libini_config keeps no line for a section's header. */
static unsigned header_line(const char *text, const char *section, unsigned nth)
{
    size_t n = strlen(section);

    for (unsigned line = 1; text; line++) {
        const char *p = text + strspn(text, " \t");
        if (*p == '[' && strncasecmp(p + 1, section, n) == 0 && p[n + 1] == ']' && nth-- == 0)
            return line;
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return 0;
}

const char *config_source_value(const struct config_source *s, const char *section, const char *key,
                                unsigned *ret_line)
{
    struct value_obj *vo = NULL;
    const char *text = NULL;
    uint32_t line = 0;

    int rc = ini_get_config_valueobj(section, key, s->ini, INI_GET_FIRST_VALUE, &vo);

    if (rc != 0 || !vo)
        return NULL;
    (void) value_get_line(vo, &line);
    *ret_line = line;
    return value_get_concatenated(vo, &text) == 0 ? text : NULL;
}

unsigned config_source_line(const struct config_source *s, const char *section, const char *key)
{
    unsigned line = 0;

    if (key && config_source_value(s, section, key, &line))
        return line;
    return header_line(s->text, section, 0);
}

static void find_duplicate_sections(const struct config_source *s, struct config_mistakes *m)
{
    const char *section;
    unsigned line;

    for (unsigned i = 0; (section = config_source_section(s, i)) != NULL; i++)
        for (unsigned nth = 1; (line = header_line(s->text, section, nth)) != 0; nth++)
            config_mistake(m, line, "[%s] stands here a second time; its keys would be mixed with the first ones; "
                           "make one section of both", section);
}

static void report_duplicate_key(const struct config_source *s, const char *section, const char *key, unsigned nth,
                                 struct config_mistakes *m)
{
    struct value_obj *vo = NULL;
    uint32_t line = 0;
    int rc = ini_get_config_valueobj(section, key, s->ini, INI_GET_FIRST_VALUE, &vo);

    while (rc == 0 && vo && nth--)
        rc = ini_get_config_valueobj(section, key, s->ini, INI_GET_NEXT_VALUE, &vo);
    if (rc == 0 && vo)
        (void) value_get_line(vo, &line);
    config_mistake(m, line, "'%s' stands in [%s] a second time; only one of the two could count; remove one", key,
                   section);
}

int config_source_open(const char *text, size_t len, struct config_mistakes *m, struct config_source **ret)
{
    struct config_source *s = calloc(1, sizeof *s);
    char *copy = malloc(len + 1);
    int error = 0, rc = -ENOMEM;

    if (s && copy) {
        s->text = text;
        s->len = len;
        memcpy(copy, text, len + 1);
        rc = find_form_mistakes(copy, len, m);
    }
    if (rc == 0)
        rc = parse(copy, len, &s->ini);
    free(copy);
    if (rc < 0) {
        config_source_close(s);
        return rc;
    }
    s->sections = ini_get_section_list(s->ini, &s->n_sections, &error);
    find_duplicate_sections(s, m);
    *ret = s;
    return 0;
}

void config_source_close(struct config_source *s)
{
    if (!s)
        return;
    ini_free_section_list(s->sections);
    ini_config_destroy(s->ini);
    free(s);
}

const char *config_source_section(const struct config_source *s, unsigned i)
{
    return s->sections && i < (unsigned) s->n_sections ? s->sections[i] : NULL;
}

void config_source_keys(const struct config_source *s, const char *section, struct config_mistakes *m,
                        config_key_fn *each, void *closure)
{
    int n = 0, error = 0;
    char **keys = ini_get_attribute_list(s->ini, section, &n, &error);

    for (int i = 0; keys && i < n; i++) {
        unsigned before = 0;
        for (int k = 0; k < i; k++)
            before += strcasecmp(keys[k], keys[i]) == 0;
        if (before)
            report_duplicate_key(s, section, keys[i], before, m);
        else
            each(closure, keys[i]);
    }
    ini_free_attribute_list(keys);
}
