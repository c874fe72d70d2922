/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy locks, understudy queue: what understudy-state sees on the list share, for a person or passed through as
 * JSON. It runs as the list user and is given up when the share hangs. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/listchild.h"
#include "common/config.h"
#include "common/exitcodes.h"

#include "common/banned.h"

#define STATE_MS 10000u

static const char *why_text(const char *why)
{
    static const struct { const char *why, *text; } table[] = {
        { "process-alive", "its process lives here" },
        { "process-dead", "its process is gone: cleared when the list service starts here" },
        { "unknown-host", "no node has that name: never cleared" },
        { "owner-not-proven-harmless", "kept until that node is proven harmless" },
        { "owner-harmless", "its node is proven harmless" },
        { "not-a-regular-file", "Mailman did not make it: never cleared" },
        { "foreign-owner", "it is not the list user's: never cleared" },
    };

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].why, why))
            return table[i].text;
    return why;
}

static const char *node_of(const struct config *cfg, const char *host)
{
    for (unsigned i = 0; i < cfg->n_nodes; i++)
        if (!strcmp(cfg->nodes[i].fqdn, host))
            return cfg->nodes[i].name;
    return !strcmp(host, "-") ? "unreadable" : host;
}

static int by_name(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;

    return strcmp(text_of(*x, "name"), text_of(*y, "name"));
}

/* A folder has no order of its own. */
static void each_by_name(const struct config *cfg, const json_t *list, void (*print)(const struct config *, const json_t *))
{
    size_t n = json_array_size(list);
    const json_t **sorted = calloc(n ? n : 1, sizeof *sorted);

    for (size_t i = 0; sorted && i < n; i++)
        sorted[i] = json_array_get(list, i);
    if (sorted)
        qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++)
        print(cfg, sorted ? sorted[i] : json_array_get(list, i));
    free(sorted);
}

static void lock_print(const struct config *cfg, const json_t *l)
{
    char age[TEXT_AGE_MAX];

    (void)printf("%-12s %8lld %10s  ", node_of(cfg, text_of(l, "host")),
                 (long long)json_integer_value(json_object_get(l, "pid")), text_age(json_object_get(l, "age_ms"), age));
    text_print(stdout, text_of(l, "name"));
    (void)printf(" (%s)\n", why_text(text_of(l, "why")));
}

void locks_print(const struct config *cfg, const json_t *o)
{
    const json_t *list = json_object_get(o, "locks");

    if (json_array_size(list) == 0) {
        (void)printf("%s holds no lock: no list process has one\n", cfg->list.lock_dir);
        return;
    }
    (void)printf("%-12s %8s %10s  %s\n", "node", "process", "age", "lock");
    each_by_name(cfg, list, lock_print);
}

/* Whatever else the program says of an entry is printed as it says it. */
static void rest_print(const json_t *q)
{
    static const char *const known[] = { "name", "pck", "bak", "oldest_ms", "held", "faulty", "tmp", "quarantined",
                                         "unchecked", "slices" };
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)q, key, v) {
        bool old = false;
        for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
            old = old || !strcmp(known[i], key);
        char *text = old || (json_is_integer(v) && json_integer_value(v) == 0) ? NULL
                   : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text) {
            (void)putchar(' ');
            text_print(stdout, key);
            (void)putchar('=');
            text_print(stdout, text);
        }
        free(text);
    }
}

static long long number_of(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static void counts_print(const json_t *o, const char *waiting)
{
    char age[TEXT_AGE_MAX];
    bool empty = number_of(o, "pck") == 0 && number_of(o, "bak") == 0;

    (void)printf(" %8lld %8lld %10s", number_of(o, waiting), number_of(o, "bak"),
                 empty ? "-" : text_age(json_object_get(o, "oldest_ms"), age));
}

static void slices_print(const json_t *q)
{
    const json_t *list = json_object_get(q, "slices"), *s;
    size_t i;

    if (json_array_size(list) < 2)
        return;
    json_array_foreach(list, i, s) {
        (void)printf("  slice %-4lld", number_of(s, "slice"));
        counts_print(s, "pck");
        (void)putchar('\n');
    }
}

static void queue_print(const struct config *cfg, const json_t *q)
{
    bool shelf = !strcmp(text_of(q, "name"), "shunt") || !strcmp(text_of(q, "name"), "bad");

    (void)cfg;
    (void)printf("%-12s", text_of(q, "name"));
    counts_print(q, shelf ? "held" : "pck");
    (void)putchar(' ');
    if (number_of(q, "faulty") > 0)
        (void)printf(" faulty=%lld", number_of(q, "faulty"));
    if (shelf && number_of(q, "held") > 0)
        (void)printf(" put aside by the list server: a person has to look");
    rest_print(q);
    (void)putchar('\n');
    slices_print(q);
}

void queues_print(const struct config *cfg, const json_t *o)
{
    (void)printf("%-12s %8s %8s %10s\n", "queue", "waiting", "in work", "oldest");
    each_by_name(cfg, json_object_get(o, "queues"), queue_print);
}

static int failed(const struct config *cfg, const char *word, int rc, const struct listchild *child)
{
    if (rc == -ETIMEDOUT)
        (void)fprintf(stderr, "understudy: %s did not answer within %u s: the list share hangs. See to the file server, then "
                      "try again\n", !strcmp(word, "locks") ? cfg->list.lock_dir : cfg->list.queue_dir,
                      STATE_MS / 1000);
    else if (rc < 0)
        (void)fprintf(stderr, "understudy: understudy-state could not be run as user %s: %s. See user in [%s] and "
                      "--libexecdir\n", cfg->list.user, strerror(-rc), cfg->service);
    else if (child->err[0])
        (void)fputs(child->err, stderr);
    else
        (void)fprintf(stderr, "understudy: understudy-state gave no answer that can be read (exit %d)\n", rc);
    return rc == EXIT_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static int state_run(const struct cli *c, char *command, void (*print)(const struct config *, const json_t *))
{
    static struct config cfg;
    char program[4096], config[4096], option[] = "--config", json[] = "--json";
    char *argv[] = { program, option, config, json, command, NULL };
    struct listchild child;
    json_t *o = NULL;
    int rc;

    if (config_read_trusted(c->config, &cfg, stderr))
        return EXIT_USAGE;
    (void)snprintf(program, sizeof program, "%s/understudy-state", c->libexecdir);
    (void)snprintf(config, sizeof config, "%s", c->config);
    rc = listchild_run(&cfg, argv, STATE_MS, &child);
    if (rc == EXIT_DONE && !child.truncated)
        o = json_loads(child.out, 0, NULL);
    if (!json_is_object(o))
        rc = failed(&cfg, command, rc, &child);
    else if (c->json)
        rc = cli_print_json(o);
    else
        text_tame(o), print(&cfg, o);
    json_decref(o);
    free(child.out);
    return rc;
}

int cmd_locks(const struct cli *c)
{
    char word[] = "locks";

    return state_run(c, word, locks_print);
}

int cmd_queue(const struct cli *c)
{
    char word[] = "queue";

    return state_run(c, word, queues_print);
}
