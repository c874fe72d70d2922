/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From sections and keys to struct config. */
#include <config.h>

#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/config_private.h"
#include "common/fileio.h"

#include "common/banned.h"

#define FILE_MAX 65536u

struct loader {
    const struct config_source *source;
    struct config_mistakes     *m;
    struct config              *c;
    unsigned                    n_keys;   /* read */
};

/* One section being read. */
struct target {
    struct loader               *l;
    const char                  *section;
    const struct config_section *type;
    void                        *base;
};

static void report_unknown(const struct target *t, const char *key, unsigned line)
{
    const char *meant = config_key_nearest(t->type, key), *more = t->type->more;
    char known[640];
    size_t n = 0;

    if (meant) {
        config_mistake(t->l->m, line, "unknown key '%s' in [%s]; a misspelt key would silently mean its preset; was '%s' meant?",
                       key, t->type->name, meant);
        return;
    }
    for (unsigned i = 0; i < t->type->n_fields && n < sizeof known; i++)
        n += (size_t) snprintf(known + n, sizeof known - n, "%s, ", t->type->fields[i].key);
    config_mistake(t->l->m, line, "unknown key '%s' in [%s]; a misspelt key would silently mean its preset; known here: "
                   "%.*s%s%s%s", key, t->type->name, (int) n - 2, known, more[0] ? ", " : "", more,
                   t->type == &config_section_fence ? ", param_NAME" : "");
}

/* Keys that are no single member; true = taken. */
static bool set_special(const struct target *t, const char *key, const char *text, unsigned line)
{
    struct loader *l = t->l;

    if (t->type == &config_section_cluster && strcasecmp(key, "nodes") == 0)
        return true; /* read before everything else */
    if (t->type == &config_section_fence && strcasecmp(key, "node") == 0) {
        int n = config_node_by_name(l->c, text);
        if (n < 0)
            config_mistake(l->m, line, "node '%s' is not in 'nodes'; nobody would be fenced by this device; correct it",
                           text);
        else
            ((struct config_device *) t->base)->node = (unsigned) n;
        return true;
    }
    if (t->type == &config_section_fence && strncmp(key, "param_", 6) == 0) {
        config_set_param(t->base, key, text, line, l->m);
        return true;
    }
    return false;
}

static bool has_key(struct loader *l, const char *section, const char *key)
{
    unsigned line;

    return config_source_value(l->source, section, key, &line) != NULL;
}

static void need_keys(struct loader *l, const char *section, const struct config_section *t)
{
    for (unsigned i = 0; i < t->n_fields; i++)
        if (!t->fields[i].preset && !has_key(l, section, t->fields[i].key))
            config_mistake(l->m, config_source_line(l->source, section, NULL), "[%s] has no '%s'; there is no preset that would be "
                           "right; add it", section, t->fields[i].key);
    if (t == &config_section_fence && !has_key(l, section, "node"))
        config_mistake(l->m, config_source_line(l->source, section, NULL),
                       "[%s] has no 'node'; the device has to belong to one; add it", section);
}

static void read_key(void *closure, const char *key)
{
    struct target *t = closure;
    unsigned line = 0;
    const char *text = config_source_value(t->l->source, t->section, key, &line);
    const struct config_field *f = config_field_find(t->type, key);

    if (!text)
        return;
    t->l->n_keys++;
    if (set_special(t, key, text, line))
        return;
    if (f)
        (void) config_field_set(f, t->base, text, line, t->l->m);
    else
        report_unknown(t, key, line);
}

static void read_section(struct loader *l, const char *section, const struct config_section *type, void *base)
{
    struct target t = { .l = l, .section = section, .type = type, .base = base };

    config_section_preset(type, base);
    config_source_keys(l->source, section, l->m, read_key, &t);
    need_keys(l, section, type);
}

/* "node a": the name behind the kind, or NULL. */
static const char *name_behind(const char *section, const char *kind)
{
    size_t n = strlen(kind);

    return strncasecmp(section, kind, n) == 0 && section[n] == ' ' ? section + n + 1 : NULL;
}

static void read_node(struct loader *l, const char *section, const char *name)
{
    int i = config_node_by_name(l->c, name);

    if (i >= 0)
        read_section(l, section, &config_section_node, &l->c->nodes[i]);
    else
        config_mistake(l->m, config_source_line(l->source, section, NULL), "[%s] is not in 'nodes' of [cluster]; its place in the "
                       "order is not known; add it there or remove the section", section);
}

static void read_device(struct loader *l, const char *section, const char *name)
{
    struct config_device *d = &l->c->devices[l->c->n_devices];
    unsigned line = config_source_line(l->source, section, NULL);

    if (!config_name_ok(name) || strlen(name) >= sizeof d->name) {
        config_mistake(l->m, line, "[%s] has no proper name; it appears in logs and reports; "
                       "use letters, digits, '.', '_' and '-'", section);
        return;
    }
    if (l->c->n_devices == CONFIG_DEVICES_MAX) {
        config_mistake(l->m, line, "[%s] is one device too many; at most %d are supported; remove some", section,
                       CONFIG_DEVICES_MAX);
        return;
    }
    memcpy(d->name, name, strlen(name) + 1);
    l->c->n_devices++;
    read_section(l, section, &config_section_fence, d);
}

static void read_any_section(struct loader *l, const char *section)
{
    const char *node = name_behind(section, "node"), *fence = name_behind(section, "fence");
    unsigned line = 0;

    if (node) {
        read_node(l, section, node);
    } else if (fence) {
        read_device(l, section, fence);
    } else if (strcmp(section, "default") == 0) {
        config_mistake(l->m, line, "there is a key before the first section; nobody can know where it belongs; "
                       "move it below its [section]");
    } else if (strcasecmp(section, "cluster") != 0 && strcasecmp(section, "address") != 0 &&
               strcasecmp(section, config_section_list(l->c)->name) != 0 && strcasecmp(section, "mail") != 0) {
        if (strcasecmp(section, "mailman3") == 0 || strcasecmp(section, "mailman2") == 0) {
            config_mistake(l->m, config_source_line(l->source, section, NULL), "[%s] is there, but service is %s; nothing would "
                           "read it; set service = %s in [cluster], or remove the section", section, l->c->service, section);
            return;
        }
        config_mistake(l->m, config_source_line(l->source, section, NULL), "unknown section [%s]; nothing would read it; known: "
                       "[cluster], [address], [mailman3], [mailman2], [mail], [node NAME], [fence NAME]", section);
    }
}

static void read_sections(struct loader *l)
{
    unsigned line = 0;
    const char *nodes = config_source_value(l->source, "cluster", "nodes", &line);
    char section[CONFIG_NAME_MAX + 8];
    const char *name;

    if (nodes)
        config_set_nodes(l->c, nodes, line, l->m);
    else
        config_mistake(l->m, config_source_line(l->source, "cluster", NULL),
                       "[cluster] has no 'nodes'; their order says who claims first; add it, as 'nodes = a b'");
    read_section(l, "cluster", &config_section_cluster, l->c);
    read_section(l, "address", &config_section_address, l->c);
    read_section(l, config_section_list(l->c)->name, config_section_list(l->c), &l->c->list);
    read_section(l, "mail", &config_section_mail, &l->c->mail);
    for (unsigned i = 0; (name = config_source_section(l->source, i)) != NULL; i++)
        read_any_section(l, name);
    for (unsigned i = 0; i < l->c->n_nodes; i++) {
        (void) snprintf(section, sizeof section, "node %s", l->c->nodes[i].name);
        if (config_source_line(l->source, section, NULL) == 0)
            config_mistake(l->m, line, "node %s has no section; its id and names are needed; add [node %s]",
                           l->c->nodes[i].name, l->c->nodes[i].name);
    }
}

/* Insertion sort: stable, so that the order in the file decides within a level. */
static void sort_devices(struct config *c)
{
    for (unsigned i = 1; i < c->n_devices; i++) {
        for (unsigned k = i; k > 0; k--) {
            struct config_device *a = &c->devices[k - 1], *b = &c->devices[k], t = *b;
            if (a->node < b->node || (a->node == b->node && a->level <= b->level))
                break;
            *b = *a;
            *a = t;
        }
    }
}

static int check_owner(const struct stat *st, uid_t owner, struct config_mistakes *m)
{
    if (st->st_uid != owner)
        config_mistake(m, 0, "belongs to uid %u, not %u; whoever can write it decides what runs here; "
                       "chown it", (unsigned) st->st_uid, (unsigned) owner);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        config_mistake(m, 0, "can be written by its group or others (mode %04o); whoever can write it decides what runs "
                       "here; chmod go-w it", (unsigned) (st->st_mode & 07777));
    return m->n ? -EPERM : 0;
}

typedef void set_list_fn(struct config *c, unsigned line, struct config_mistakes *m);

static void set_units(struct config *c, unsigned line, struct config_mistakes *m)
{
    config_set_units(c, c->also_units_text, line, m);
}

static void set_mx(struct config *c, unsigned line, struct config_mistakes *m)
{
    config_set_mx(&c->mail, c->mail.mx_text, line, m);
}

static void set_domains(struct config *c, unsigned line, struct config_mistakes *m)
{
    config_set_domains(&c->mail, c->mail.domains_text, line, m);
}

/* False: one that was read has no value any more. */
static bool set_lists(const struct config_source *source, struct config *c, struct config_mistakes *m)
{
    const struct { const char *section, *key, *text; set_list_fn *set; } lists[] = {
        { "cluster", "also_units", c->also_units_text, set_units }, { "mail", "mx", c->mail.mx_text, set_mx },
        { "mail", "domains", c->mail.domains_text, set_domains },
    };
    unsigned line = 0;
    bool ret = true;

    (void) config_source_value(source, config_section_list(c)->name, "runners", &line);
    if (c->list.runners_text[0])
        config_set_runners(&c->list, c->list.runners_text, line, m);
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (config_source_value(source, lists[i].section, lists[i].key, &line))
            lists[i].set(c, line, m);
        else
            ret = ret && !lists[i].text[0];
    }
    return ret;
}

static int read_text(const char *text, size_t len, struct config *c, struct config_mistakes *m)
{
    struct loader l = { .m = m, .c = c };
    struct config_source *source = NULL;
    bool whole;
    int rc;

    rc = config_text_check(text, len, m);
    if (rc < 0)
        return rc;
    rc = config_source_open(text, len, m, &source);
    if (rc < 0) {
        config_mistake(m, 0, "cannot be parsed: %s; correct it or free some memory", strerror(-rc));
        return rc;
    }
    l.source = source;
    read_sections(&l);
    config_set_listserver(c, source, m);
    whole = set_lists(source, c, m) && l.n_keys >= config_source_key_lines(source);
    config_check(c, source, m);
    sort_devices(c);
    config_source_close(source);
    if (m->n > 0 || whole)
        return m->n > 0 ? -EINVAL : 0;
    config_mistake(m, 0, "cannot be read whole: %s; free some memory", strerror(ENOMEM));
    return -ENOMEM;
}

static int read_file(const char *path, const uid_t *owner, struct config *ret, FILE *errors)
{
    struct config_mistakes m = { .path = path, .out = errors };
    struct config *c = calloc(1, sizeof *c);
    char *text = malloc(FILE_MAX + 1);
    struct stat st;
    size_t len = 0;
    int rc = -ENOMEM;

    if (c && text)
        rc = strlen(path) < sizeof c->path ? fileio_read(AT_FDCWD, path, text, FILE_MAX, &len, &st) : -ENAMETOOLONG;
    if (rc < 0)
        config_mistake(&m, 0, "cannot be read: %s; it is the configuration of this node; create or correct it",
                       fileio_why(rc));
    if (rc == 0 && owner)
        rc = check_owner(&st, *owner, &m);
    if (rc == 0) {
        text[len] = '\0';
        memcpy(c->path, path, strlen(path) + 1);
        rc = read_text(text, len, c, &m);
    }
    if (rc == 0)
        *ret = *c;
    free(text);
    free(c);
    return rc;
}

int config_read(const char *path, struct config *ret, FILE *errors)
{
    return read_file(path, NULL, ret, errors);
}

int config_read_owned(const char *path, uid_t owner, struct config *ret, FILE *errors)
{
    return read_file(path, &owner, ret, errors);
}

int config_read_trusted(const char *path, struct config *ret, FILE *errors)
{
    return geteuid() == 0 ? config_read_owned(path, 0, ret, errors) : config_read(path, ret, errors);
}
