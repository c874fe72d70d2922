/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameters of ocf:understudy:mailman3, read and checked. */
#include <config.h>

#include "resource/mailman3.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/banned.h"

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

static enum ocf_code paths_read(struct listserver *m)
{
    const char   *config;
    enum ocf_code rc = ocf_param_path(m->about, "config", &config);

    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "mailman", &m->mailman);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "python", &m->python);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "pid_file", &m->pid_file);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "db_probe", &m->db_probe);
    if (rc != OCF_SUCCESS)
        return rc;
    char *resolved = realpath(config, NULL);
    (void)snprintf(m->config, sizeof m->config, "%s", resolved ? resolved : config);
    free(resolved);
    return OCF_SUCCESS;
}

enum ocf_code mailman3_params_read(struct listserver *ret)
{
    struct listserver *m = ret;
    uint32_t           port;
    const char        *text;

    *m = (struct listserver){ .about = &mailman3_about, .service = { LIST_MAILMAN3, m->config }, .protocol = "LMTP",
                              .lock_host_is = "parameter fqdn and what Python's socket.getfqdn() says on this node" };
    enum ocf_code rc = paths_read(m);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(m->about, "lmtp_port", 1, 65535, &port);
    if (rc == OCF_SUCCESS)
        rc = listserver_params_read(m);
    if (rc != OCF_SUCCESS)
        return rc;
    m->intake_port = (uint16_t)port;
    m->intake_host = ocf_param_text(m->about, "lmtp_host");
    text = ocf_param_text(m->about, "fqdn");
    if (text)
        (void)snprintf(m->lock_host, sizeof m->lock_host, "%s", text);
    else
        fqdn_find(m->lock_host, sizeof m->lock_host);
    return OCF_SUCCESS;
}

enum ocf_code mailman3_host_check(const struct listserver *m)
{
    const struct listserver_file need[] = {
        { "config", m->config, R_OK }, { "mailman", m->mailman, R_OK }, { "python", m->python, X_OK },
        { "db_probe", m->db_probe, R_OK },
    };

    return listserver_files_check(need, sizeof need / sizeof need[0]);
}
