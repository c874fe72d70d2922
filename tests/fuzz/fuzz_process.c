/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc shows of a process, which may choose its own name, its command line and the paths that it has open. Whatever it
 * chooses, the fields beside that are read right, and nothing of it reaches a log or a path as more than a word. */
#include <config.h>

#include "common/listproc.h"
#include "daemon/engine_record.h"
#include "resource/openfiles.h"
#include "resource/safepoint.h"
#include "resource/share_busy.h"
#include "resource/stagger.h"
#include "tests/fuzz/fuzz.h"

#define CONFIG "/etc/mailman3/mailman.cfg"
#define PREFIX "/usr/lib/mailman"
#define NAME_MAX_HERE 64

static const struct listproc_service services[] = {
    { LIST_MAILMAN3, CONFIG }, { LIST_MAILMAN21, PREFIX }, { LIST_MAILMAN20, PREFIX },
};

/* The name stands as it is in stat, and with its line ends and backslashes escaped in status. */
static void name_try(const char *name)
{
    char            text[1024], escaped[2 * NAME_MAX_HERE + 1], *to = escaped;
    struct listproc p = { 0 };

    (void)snprintf(text, sizeof text, "4711 (%s) R 17 4711 4711 0 -1 4194304 95 0 0 0 3 1 0 0 20 0 1 0 123456 8192 95 "
                   "18446744073709551615 0 0\n", name);
    PROMISE(listproc_stat_parse(text, &p) && p.state == 'R' && p.ppid == 17 && p.start_ticks == 123456);
    for (; *name; name++) {
        if (*name == '\n' || *name == '\\')
            *to++ = '\\';
        *to++ = *name == '\n' ? 'n' : *name;
    }
    *to = '\0';
    (void)snprintf(text, sizeof text, "Name:\t%s\nUmask:\t0022\nState:\tR (running)\nPid:\t4711\nUid:\t38\t39\t39\t39\n", escaped);
    PROMISE(listproc_status_uid_is(text, 38) && listproc_status_uid_is(text, 39) && !listproc_status_uid_is(text, 0));
}

static void match_try(const struct listproc_service *service, const char *cmdline, size_t len)
{
    struct listproc p, untouched;

    memset(&p, 0x5a, sizeof p);
    untouched = p;
    if (!listproc_match(cmdline, len, service, &p)) {
        PROMISE(memcmp(&p, &untouched, sizeof p) == 0);
        return;
    }
    PROMISE(p.kind == LISTPROC_MASTER || p.kind == LISTPROC_RUNNER || p.kind == LISTPROC_COMMAND);
    PROMISE(memchr(p.runner, '\0', sizeof p.runner) && (p.kind == LISTPROC_RUNNER || !p.runner[0]));
    for (const char *c = p.runner; *c; c++) /* it becomes the name of a queue, and a word of a log */
        PROMISE(*c > ' ' && *c <= '~' && *c != '/' && *c != '.');
    PROMISE(p.kind != LISTPROC_RUNNER || (p.count >= 1 && p.count <= 1024 && p.slice <= 1024));
}

/* The buffer ends with a NUL that is not counted. */
static void cmdline_try(const uint8_t *data, size_t size)
{
    static const char runner[] = "/usr/bin/python3\0/usr/lib/mailman3/bin/runner\0-C\0" CONFIG "\0--runner=out:1:2"; /* and NUL */
    char            *text = malloc(sizeof runner + size + 1);
    struct listproc  p;

    PROMISE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    for (unsigned i = 0; i < sizeof services / sizeof services[0]; i++)
        match_try(&services[i], text, size);
    memcpy(text, runner, sizeof runner);
    memcpy(text + sizeof runner, data, size);
    text[sizeof runner + size] = '\0';
    PROMISE(listproc_match(text, sizeof runner + size, &services[0], &p) && p.kind == LISTPROC_RUNNER);
    PROMISE(!strcmp(p.runner, "out") && p.slice == 1 && p.count == 2);
    free(text);
}

static void kernel_texts_try(const char *text)
{
    static const char held[] = "\n9: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n";
    static const char odd[] = "9: FLOCK  ADVISORY  WRITE 47x 08:01:1234 0 EOF\n"; /* whose is not known: anybody's */
    struct listproc p;
    char            file[32], *both;
    int             len;

    if (listproc_stat_parse(text, &p))
        PROMISE(p.state != '\0' && p.ppid >= 0 && strchr(text, ')'));
    (void)listproc_status_uid_is(text, 38);
    if (safepoint_call(text) < 0)
        PROMISE(safepoint_place(text, SAFEPOINT_SLEEP) == SAFEPOINT_BUSY);
    for (enum safepoint_place before = 0; before < SAFEPOINT_N; before++) {
        enum safepoint_place place = safepoint_place(text, before);
        PROMISE(place < SAFEPOINT_N && (place == before || place == safepoint_place(text, SAFEPOINT_BUSY)));
    }
    PROMISE((len = asprintf(&both, "%s%s%s", text, held, text)) > 0);
    PROMISE(safepoint_holds_lock(both, 4711, file, sizeof file) && memchr(file, '\0', sizeof file));
    PROMISE(safepoint_holds_lock(odd, 4711, file, sizeof file));
    free(both);
    PROMISE((len = asprintf(&both, "pos:\t0\nflags:\t0100002\nmnt_id:\t30\n%s", text)) > 0);
    PROMISE(openfiles_flags_write(both));
    both[strcspn(both, "2")] = '0';
    PROMISE(!openfiles_flags_write(both));
    free(both);
    PROMISE(strstr(text, "flags:") || openfiles_flags_write(text)); /* not understood: it may be written */
}

/* Each pid stands there whole, and a text that is cut off names none that the whole one does not. */
static void children_try(char *text, size_t size)
{
    const char *at = text, *cut_at = text;
    pid_t       whole[256], pid;
    unsigned    n = 0, i = 0;

    while (n < 256 && (whole[n] = stagger_child_next(&at)) > 0)
        n++;
    PROMISE(at <= text + size);
    text[size / 2] = '\0';
    while (i < 256 && (pid = stagger_child_next(&cut_at)) > 0)
        PROMISE(i < n && whole[i++] == pid);
}

static void busy_try(const char *name, const char *path)
{
    char          *text = NULL, comm[NAME_MAX_HERE + 1], *copy = strdup(path);
    size_t         len = 0;
    FILE          *out = open_memstream(&text, &len);
    struct record  r;

    PROMISE(out && copy);
    (void)snprintf(comm, sizeof comm, "%s", name);
    share_busy_record(out, "4711", 38, comm, "fd", copy);
    PROMISE(fclose(out) == 0 && len > 0 && text[len - 1] == '\n');
    PROMISE(record_parse(text, len - 1, &r) == 0 && !strcmp(r.word, "busy") && r.n == 5);
    PROMISE(!strcmp(record_value(&r, "pid"), "4711") && !strcmp(record_value(&r, "by"), "fd"));
    free(text);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size, LISTPROC_CMDLINE_MAX), *name = fuzz_text(data, size < 64 ? size : NAME_MAX_HERE, 64);

    if (size < LISTPROC_CMDLINE_MAX)
        cmdline_try(data, size);
    if (name)
        name_try(name);
    if (text) {
        kernel_texts_try(text);
        busy_try(name, text);
        children_try(text, size);
    }
    free(name);
    free(text);
    return 0;
}
