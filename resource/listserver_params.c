/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameters that every agent of a list server has. */
#include <config.h>

#include "resource/listserver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/num.h"

#include "common/banned.h"

#define SLICES_MAX 32u
#define LOWER      "abcdefghijklmnopqrstuvwxyz"
#define UPPER      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static int runner_parse(enum config_list_kind kind, const char *word, size_t len, struct listserver_runner *ret, unsigned max,
                        unsigned *n)
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
    if (*text == '\0' || text[strspn(text, kind == LIST_MAILMAN3 ? LOWER "0123456789_-" : LOWER UPPER "0123456789_-")] != '\0')
        return -EINVAL;
    for (unsigned i = 0; i < *n; i++)
        if (!strcmp(ret[i].name, text))
            return -EINVAL;
    for (unsigned i = 0; i < slices; i++) {
        if (*n == max)
            return -ENOSPC;
        memcpy(ret[*n].name, text, sizeof text);
        (void)snprintf(ret[*n].queue, sizeof ret[*n].queue, "%s", config_runner_queue(kind, text));
        ret[*n].slice = i;
        ret[(*n)++].count = slices;
    }
    return 0;
}

int listserver_runners_parse(enum config_list_kind kind, const char *text, struct listserver_runner *ret, unsigned max,
                             unsigned *ret_n)
{
    unsigned n = 0;

    while (*(text += strspn(text, " \t\n,"))) {
        size_t len = strcspn(text, " \t\n,");
        int    rc = runner_parse(kind, text, len, ret, max, &n);
        if (rc != 0)
            return rc;
        text += len;
    }
    if (n == 0)
        return -EINVAL;
    *ret_n = n;
    return 0;
}

const char *listserver_queue(const struct listserver *m, const char *name)
{
    for (unsigned i = 0; i < m->n_runners; i++)
        if (!strcmp(m->runners[i].name, name) && m->runners[i].queue[0])
            return m->runners[i].queue;
    return name;
}

static enum ocf_code runners_read(struct listserver *m)
{
    const char *text = ocf_param_text(m->about, "runners");

    if (listserver_runners_parse(m->service.kind, text, m->runners, LISTSERVER_RUNNERS_MAX, &m->n_runners) == 0)
        return OCF_SUCCESS;
    ocf_error("parameter runners is \"%s\"; give names separated by spaces, each once, as in \"%s\", with a power of 2 as "
              "the number of slices", text, m->service.kind == LIST_MAILMAN3 ? "in pipeline out:2 virgin lmtp"
              : "IncomingRunner OutgoingRunner:2");
    return OCF_ERR_CONFIGURED;
}

enum ocf_code listserver_params_read(struct listserver *m)
{
    enum ocf_code rc = ocf_param_path(m->about, "lock_dir", &m->lock_dir);

    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "queue_dir", &m->queue_dir);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_path(m->about, "defer_dir", &m->defer_dir);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(m->about, "start_timeout_ms", 1000, 3600000, &m->start_timeout_ms);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(m->about, "stop_timeout_ms", 100, 3600000, &m->stop_timeout_ms);
    if (rc == OCF_SUCCESS)
        rc = ocf_param_number(m->about, "release_timeout_ms", 100, 600000, &m->release_timeout_ms);
    m->user_name = ocf_param_text(m->about, "user");
    if (rc == OCF_SUCCESS && m->service.kind != LIST_MAILMAN20)
        rc = runners_read(m);
    return rc;
}

enum ocf_code listserver_user_need(struct listserver *m)
{
    int rc = listuser_find(m->user_name, &m->user);

    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("user %s %s; set parameter user to the user of the list server", m->user_name,
              rc == -EPERM ? "is root, as which Mailman must not run" : "does not exist on this node");
    return rc == -EPERM ? OCF_ERR_CONFIGURED : OCF_ERR_INSTALLED;
}

enum ocf_code listserver_files_check(const struct listserver_file *need, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (access(need[i].path, need[i].mode) != 0) {
            ocf_error("%s: %s; install it on this node or correct parameter %s", need[i].path, strerror(errno),
                      need[i].param);
            return OCF_ERR_INSTALLED;
        }
    return OCF_SUCCESS;
}
