/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/banned.h"

#define NFT        "/usr/sbin/nft"
#define TABLE      "inet understudy_intake"
#define RULES_MAX  8192
#define DOFF_FIRST 5u   /* words in the smallest and the largest TCP header */
#define DOFF_LAST  15u

struct text {
    char  *buf;
    size_t size, len;
};

static void __attribute__((format(printf, 2, 3))) text_add(struct text *t, const char *format, ...)
{
    va_list ap;

    if (t->len >= t->size)
        return;
    va_start(ap, format);
    int n = vsnprintf(t->buf + t->len, t->size - t->len, format, ap);
    va_end(ap);
    t->len += n < 0 ? t->size : (size_t)n;
}

/* Both chains, empty. */
static void chains_add(struct text *t, unsigned port)
{
    text_add(t, "add table " TABLE "\n");
    text_add(t, "add chain " TABLE " lmtp_%u { type filter hook input priority -10; policy accept; }\n", port);
    text_add(t, "add chain " TABLE " own_%u { type filter hook output priority -150; policy accept; }\n", port);
    text_add(t, "flush chain " TABLE " lmtp_%u\nflush chain " TABLE " own_%u\n", port, port);
}

int intake_rules_write(uint16_t port, uid_t own_uid, char *buf, size_t size)
{
    struct text t = { buf, size, 0 };
    char        rule[64];

    (void)snprintf(rule, sizeof rule, "add rule " TABLE " lmtp_%u", (unsigned)port);
    chains_add(&t, port);
    if (own_uid != INTAKE_NO_UID)
        text_add(&t, "add rule " TABLE " own_%u oif lo tcp dport %u meta skuid %lu meta mark set 0x%x\n", (unsigned)port,
                 (unsigned)port, (unsigned long)own_uid, INTAKE_PROBE_MARK);
    text_add(&t, "%s tcp dport != %u accept\n", rule, (unsigned)port);
    text_add(&t, "%s meta l4proto != tcp accept\n", rule);
    text_add(&t, "%s iif lo meta mark 0x%x accept\n", rule, INTAKE_PROBE_MARK);
    text_add(&t, "%s tcp flags & (fin|syn|rst|ack) == syn counter reject with tcp reset\n", rule);
    /* Payload or not is total length less the headers', and nft cannot subtract: one rule a header length. The
     * packet's own length, not the header's field, so that merged segments count as well. */
    for (unsigned doff = DOFF_FIRST; doff <= DOFF_LAST; doff++) {
        text_add(&t, "%s ip hdrlength 5 tcp doff %u meta length <= %u accept\n", rule, doff, 20 + 4 * doff);
        text_add(&t, "%s ip6 nexthdr tcp tcp doff %u meta length <= %u accept\n", rule, doff, 40 + 4 * doff);
    }
    text_add(&t, "%s counter drop\n", rule);
    return t.len < t.size ? (int)t.len : -ENOSPC;
}

static int nft_spawn(char *const argv[], int in, bool quiet, pid_t *ret_pid)
{
    char *const env[] = { (char[]){ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, (char[]){ "LC_ALL=C" }, NULL };
    posix_spawn_file_actions_t fa;
    int rc = posix_spawn_file_actions_init(&fa);

    if (rc != 0)
        return -rc;
    rc = posix_spawn_file_actions_adddup2(&fa, in, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    if (rc == 0 && quiet)
        rc = posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn(ret_pid, NFT, &fa, NULL, argv, env);
    (void)posix_spawn_file_actions_destroy(&fa);
    return -rc;
}

/* Runs nft on `rules`. 0, -errno, or -EREMOTEIO when nft says no. */
static int nft_run(const char *rules, bool quiet)
{
    char *const argv[] = { (char[]){ NFT }, (char[]){ "-f" }, (char[]){ "/dev/stdin" }, NULL };
    size_t len = strlen(rules);
    int    in = memfd_create("nft", MFD_CLOEXEC), status, rc;
    pid_t  pid;

    if (in < 0)
        return -errno;
    rc = write(in, rules, len) == (ssize_t)len && lseek(in, 0, SEEK_SET) == 0 ? 0 : -EIO;
    if (rc == 0)
        rc = nft_spawn(argv, in, quiet, &pid);
    (void)close(in);
    if (rc != 0)
        return rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EREMOTEIO;
}

int intake_close(uint16_t port, uid_t own_uid)
{
    char rules[RULES_MAX];
    int  rc = intake_rules_write(port, own_uid, rules, sizeof rules);

    return rc < 0 ? rc : nft_run(rules, false);
}

int intake_open(uint16_t port)
{
    char        rules[1024];
    struct text t = { rules, sizeof rules, 0 };

    /* Adding first makes the deletion succeed when there is nothing to delete. */
    chains_add(&t, port);
    text_add(&t, "delete chain " TABLE " lmtp_%u\ndelete chain " TABLE " own_%u\n", (unsigned)port, (unsigned)port);
    return t.len < t.size ? nft_run(rules, false) : -ENOSPC;
}

int intake_status(uint16_t port, bool *ret_closed)
{
    char rules[128];
    int  rc;

    rc = nft_run("list tables\n", false); /* can nft be asked at all? */
    if (rc != 0)
        return rc;
    (void)snprintf(rules, sizeof rules, "list chain " TABLE " lmtp_%u\n", (unsigned)port);
    rc = nft_run(rules, true);
    if (rc == 0 || rc == -EREMOTEIO)
        *ret_closed = rc == 0;
    return rc == -EREMOTEIO ? 0 : rc;
}
