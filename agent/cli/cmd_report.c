/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy report: from the files, so that it works while the daemon is down; the last one also from the engine. */
#include <config.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "common/exitcodes.h"
#include "common/fileio.h"
#include "common/num.h"

#include "common/banned.h"

#define REPORT_MAX (256u * 1024u)
#define ASK_MS     3000

/* The epoch in "takeover-EPOCH.json"; false for any other name. */
static bool name_epoch(const char *name, uint64_t *ret)
{
    static const char head[] = "takeover-", tail[] = ".json";
    size_t len = strlen(name), middle;
    char digits[24];

    if (len <= sizeof head - 1 + sizeof tail - 1 || strncmp(name, head, sizeof head - 1) != 0
        || strcmp(name + len - (sizeof tail - 1), tail) != 0)
        return false;
    middle = len - (sizeof head - 1) - (sizeof tail - 1);
    if (middle >= sizeof digits)
        return false;
    memcpy(digits, name + sizeof head - 1, middle);
    digits[middle] = '\0';
    return num_parse_u64(digits, 0, UINT64_MAX, ret) == 0;
}

static int newest_epoch(const char *dir, uint64_t *ret)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    uint64_t n, best = 0;
    bool any = false;

    if (!d)
        return -errno;
    while ((e = readdir(d)))
        if (name_epoch(e->d_name, &n) && (!any || n > best)) {
            best = n;
            any = true;
        }
    (void)closedir(d);
    if (!any)
        return -ENOENT;
    *ret = best;
    return 0;
}

static int file_print(const char *path)
{
    char *buf = malloc(REPORT_MAX);
    size_t len = 0;
    int rc = buf ? fileio_read(AT_FDCWD, path, buf, REPORT_MAX, &len, NULL) : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < len; i++) /* a file of who has fewer rights than the terminal */
        if (fputc(iscntrl((unsigned char)buf[i]) && buf[i] != '\n' ? '?' : buf[i], stdout) == EOF)
            rc = -EIO;
    if (rc == 0 && len > 0 && buf[len - 1] != '\n')
        (void)putchar('\n');
    free(buf);
    return rc;
}

static int from_engine(const struct cli *c)
{
    json_t *o = NULL;
    int rc = cli_ask(c, json_pack("{s:s}", "cmd", "report"), ASK_MS, &o);

    if (rc)
        return rc;
    rc = cli_print_json(json_object_get(o, "report"));
    json_decref(o);
    return rc;
}

int cmd_report(const struct cli *c)
{
    char dir[3072], path[4096];
    uint64_t epoch = 0;
    int rc = 0;

    (void)snprintf(dir, sizeof dir, "%s/reports", c->statedir);
    if (c->n_arguments && num_parse_u64(c->argument[0], 0, UINT64_MAX, &epoch)) {
        (void)fprintf(stderr, "understudy: report %s: not the number of an epoch\n", c->argument[0]);
        return EXIT_USAGE;
    }
    if (!c->n_arguments)
        rc = newest_epoch(dir, &epoch);
    if (rc == 0) {
        (void)snprintf(path, sizeof path, "%s/takeover-%llu.%s", dir, (unsigned long long)epoch, c->json ? "json" : "txt");
        rc = file_print(path);
    }
    if (rc == 0)
        return EXIT_DONE;
    if (rc == -EACCES && !c->n_arguments)
        return from_engine(c);
    if (rc == -ENOENT && !c->n_arguments)
        (void)fprintf(stderr, "understudy: this node has not taken over yet: there is no report in %s\n", dir);
    else if (rc == -ENOENT)
        (void)fprintf(stderr, "understudy: this node has no report of epoch %s in %s; the node that took over has it\n",
                      c->argument[0], dir);
    else
        (void)fprintf(stderr, "understudy: reports in %s cannot be read: %s. Run this as root\n", dir, strerror(-rc));
    return EXIT_FAILED;
}
