/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameters of ocf:understudy:mailman3, read and checked. */
#include <config.h>

#include "resource/mailman3.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/num.h"

#include "common/banned.h"

#define SLICES_MAX 32u

static int runner_parse(const char *word, size_t len, struct mailman3_runner *ret, unsigned max, unsigned *n)
{
    char        text[LISTPROC_NAME_MAX];
    uint32_t    slices = 1;

    if (len >= sizeof text)
        return -EINVAL;
    memcpy(text, word, len);
    text[len] = '\0';
    char *colon = strchr(text, ':');
    if (colon) {
        *colon = '\0';
        if (num_parse_u32(colon + 1, 1, SLICES_MAX, &slices) != 0 || (slices & (slices - 1)) != 0)
            return -EINVAL; /* Mailman asserts a power of 2 */
    }
    if (*text == '\0' || text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0')
        return -EINVAL;
    for (unsigned i = 0; i < *n; i++)
        if (!strcmp(ret[i].name, text))
            return -EINVAL;
    for (unsigned i = 0; i < slices; i++) {
        if (*n == max)
            return -ENOSPC;
        memcpy(ret[*n].name, text, sizeof text);
        ret[*n].slice = i;
        ret[(*n)++].count = slices;
    }
    return 0;
}

int mailman3_runners_parse(const char *text, struct mailman3_runner *ret, unsigned max, unsigned *ret_n)
{
    unsigned n = 0;

    while (*(text += strspn(text, " \t\n,"))) {
        size_t len = strcspn(text, " \t\n,");
        int    rc = runner_parse(text, len, ret, max, &n);
        if (rc != 0)
            return rc;
        text += len;
    }
    if (n == 0)
        return -EINVAL;
    *ret_n = n;
    return 0;
}

/* As Python's socket.getfqdn() does it, which names the owner of Mailman's locks: the first of the canonical name
 * and the aliases of gethostbyaddr(gethostname()) that has a dot, else the canonical name, else the host name. The
 * address is the first one of the name, of whatever IP version. */
static void fqdn_find(char *ret, size_t size)
{
    char                  name[256] = "";
    struct addrinfo       hints = { .ai_socktype = SOCK_DGRAM }, *first;
    const struct hostent *h = NULL;

    (void)gethostname(name, sizeof name - 1);
    (void)snprintf(ret, size, "%s", name);
    if (getaddrinfo(name, NULL, &hints, &first) != 0)
        return;
    if (first->ai_family == AF_INET)
        h = gethostbyaddr(&((const struct sockaddr_in *)(const void *)first->ai_addr)->sin_addr, sizeof(struct in_addr), AF_INET);
    else if (first->ai_family == AF_INET6)
        h = gethostbyaddr(&((const struct sockaddr_in6 *)(const void *)first->ai_addr)->sin6_addr, sizeof(struct in6_addr),
                          AF_INET6);
    freeaddrinfo(first);
    if (!h)
        return;
    (void)snprintf(ret, size, "%s", h->h_name);
    for (unsigned i = 0; !strchr(ret, '.') && h->h_aliases[i]; i++)
        if (strchr(h->h_aliases[i], '.'))
            (void)snprintf(ret, size, "%s", h->h_aliases[i]);
}

static enum ocf_code paths_read(struct mailman3 *m)
{
    const char   *config;
    enum ocf_code rc = ocf_param_path(&mailman3_about, "config", &config);

    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "mailman", &m->mailman);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "python", &m->python);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "lock_dir", &m->lock_dir);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "queue_dir", &m->queue_dir);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "pid_file", &m->pid_file);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "defer_dir", &m->defer_dir);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(&mailman3_about, "db_probe", &m->db_probe);
    if (rc != OCF_SUCCESS)
        return rc;
    char *resolved = realpath(config, NULL);
    (void)snprintf(m->config, sizeof m->config, "%s", resolved ? resolved : config);
    free(resolved);
    return OCF_SUCCESS;
}

enum ocf_code mailman3_params_read(struct mailman3 *ret)
{
    struct mailman3 m = { 0 };
    uint32_t        port;
    enum ocf_code   rc = paths_read(&m);
    const char     *text;

    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(&mailman3_about, "lmtp_port", 1, 65535, &port);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(&mailman3_about, "start_timeout_ms", 1000, 3600000, &m.start_timeout_ms);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(&mailman3_about, "stop_timeout_ms", 100, 3600000, &m.stop_timeout_ms);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(&mailman3_about, "release_timeout_ms", 100, 600000, &m.release_timeout_ms);
    if (rc != OCF_SUCCESS)
        return rc;
    m.lmtp_port = (uint16_t)port;
    m.lmtp_host = ocf_param_text(&mailman3_about, "lmtp_host");
    m.user_name = ocf_param_text(&mailman3_about, "user");
    text = ocf_param_text(&mailman3_about, "runners");
    if (mailman3_runners_parse(text, m.runners, MAILMAN3_RUNNERS_MAX, &m.n_runners) != 0) {
        ocf_error("parameter runners is \"%s\"; give names separated by spaces, each once, as in \"in pipeline out:2 "
                  "virgin lmtp\", with a power of 2 as the number of slices", text);
        return OCF_ERR_CONFIGURED;
    }
    text = ocf_param_text(&mailman3_about, "fqdn");
    if (text)
        (void)snprintf(m.fqdn, sizeof m.fqdn, "%s", text);
    else
        fqdn_find(m.fqdn, sizeof m.fqdn);
    *ret = m;
    return OCF_SUCCESS;
}

enum ocf_code mailman3_user_need(struct mailman3 *m)
{
    int rc = listuser_find(m->user_name, &m->user);

    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("user %s %s; set parameter user to the user of the list server", m->user_name,
              rc == -EPERM ? "is root, as which Mailman must not run" : "does not exist on this node");
    return rc == -EPERM ? OCF_ERR_CONFIGURED : OCF_ERR_INSTALLED;
}

enum ocf_code mailman3_host_check(const struct mailman3 *m)
{
    const struct { const char *param, *path; int mode; } need[] = {
        { "config", m->config, R_OK }, { "mailman", m->mailman, R_OK }, { "python", m->python, X_OK },
        { "db_probe", m->db_probe, R_OK },
    };

    for (unsigned i = 0; i < sizeof need / sizeof need[0]; i++)
        if (access(need[i].path, need[i].mode) != 0) {
            ocf_error("%s: %s; install it on this node or correct parameter %s", need[i].path, strerror(errno),
                      need[i].param);
            return OCF_ERR_INSTALLED;
        }
    return OCF_SUCCESS;
}
