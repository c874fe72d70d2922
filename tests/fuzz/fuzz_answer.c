/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON and words that a person's command line is given: by the engine or what lies in place of its snapshot, by programs that
 * run as the list user (understudy-state, mailman-conf), by systemctl. Whatever it is, it is shown as lines of text: nothing in
 * it reaches the terminal as a control character, and each warning is one line. */
#include <config.h>

#include <ctype.h>

#include "cli/check_host.h"
#include "cli/cli.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096

static const struct config cfg = { .path = "/etc/understudy/understudy.conf", .n_nodes = 2,
    .nodes = { { .name = "a", .id = 1, .hostname = "a", .fqdn = "a.lab.test" },
               { .name = "b", .id = 2, .hostname = "b", .fqdn = "b.lab.test" } }, .address_ip = "10.77.1.100/24",
    .list = { .user = "list", .config = "/etc/mailman3/mailman.cfg", .lock_dir = "/srv/lists/locks",
              .queue_dir = "/srv/lists/queue", .pid_file = "/run/mailman3/master.pid", .intake_host = "10.77.1.100",
              .intake_port = 8024, .n_runners = 2, .runners = { { "in", "in", 1 }, { "out", "out", 2 } } } };

static unsigned lines_check(const char *text, size_t len)
{
    unsigned n = 0;

    for (size_t i = 0; i < len; i++) {
        PROMISE(text[i] == '\n' || !iscntrl((unsigned char)text[i]));
        n += text[i] == '\n';
    }
    PROMISE(len == 0 || text[len - 1] == '\n');
    return n;
}

/* What a command prints for people. */
static void shown_try(json_t *o)
{
    FILE  *terminal = stdout;
    char  *text = NULL;
    size_t len = 0;

    stdout = open_memstream(&text, &len);
    PROMISE(stdout);
    text_tame(o);
    status_print(o);
    explain_print(o);
    locks_print(&cfg, o);
    queues_print(&cfg, o);
    PROMISE(fclose(stdout) == 0);
    stdout = terminal;
    PROMISE(lines_check(text, len) >= 4);
    free(text);
}

static void warnings_try(const json_t *mm, const char *word)
{
    static const char mounts[] = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:40 / /srv rw - nfs4 files:/srv rw\n";
    char    *text = NULL;
    size_t   len = 0;
    FILE    *out = open_memstream(&text, &len);
    unsigned n = 0;

    PROMISE(out);
    if (mm)
        n += check_mailman(&cfg, 0, mm, out) + check_database(&cfg, mm, mounts, out) + check_database(&cfg, mm, word, out);
    n += check_unit(&cfg, "mailman3.service", word, out) + check_unit(&cfg, "hyperkitty.service", word, out);
    PROMISE(fclose(out) == 0 && lines_check(text, len) == n);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char   *text = fuzz_text(data, size, INPUT_MAX);
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;

    if (text)
        warnings_try(json_is_object(o) ? o : NULL, text);
    if (o)
        shown_try(o);
    json_decref(o);
    free(text);
    return 0;
}
