/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/poke.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "common/clock.h"

#include "common/banned.h"

#define ANSWER_S 2L /* of a host that has gone silent while we say QUIT to it */

struct host {
    const struct config_mx *mx;
    CURL                   *curl;
    unsigned                domain;                      /* the one that is being asked for */
    uint64_t                begin_ms;
    char                    at[CONFIG_TEXT_MAX + 16];    /* HOST:PORT, IPv6 in brackets */
    char                    url[CONFIG_TEXT_MAX * 2 + 32];
    char                    request[CONFIG_TEXT_MAX + 8];
    char                    error[CURL_ERROR_SIZE];
};

struct poke {
    const struct config_mail *mail;
    CURLM                    *multi;
    uint64_t                  until_ms;
    struct host               host[CONFIG_MX_MAX];
    unsigned                  running;
    int                       bad;
};

/* The text of the answer is not needed: the code says it. */
static size_t body_drop(char *data, size_t size, size_t n, void *ctx)
{
    (void)data;
    (void)ctx;
    return size * n;
}

static const char *what_to_do(long code)
{
    if (code == 458 || code == 459)
        return "it keeps no list of what waits for that domain: add the domain to its fast_flush_domains";
    if (code == 500 || code == 501 || code == 502)
        return "it does not know ETRN: leave this host out of mx in [mail], or switch ETRN on there";
    if (code >= 400)
        return "it does not let this node ask: add the node to its mynetworks and see smtpd_etrn_restrictions";
    return "see whether it is up and lets this node connect; its mail comes when it retries by itself";
}

static void result_print(struct poke *p, struct host *h, long code, const char *error)
{
    const char *domain = p->mail->domains[h->domain];
    bool good = code >= 200 && code < 300;

    (void)printf("poke mx=%s domain=%s code=%ld took_ms=%llu\n", h->at, domain, code,
                 (unsigned long long)(clock_now_ms() - h->begin_ms));
    if (good)
        return;
    p->bad++;
    if (code)
        (void)fprintf(stderr, "understudy-poke: MX %s answered %ld for %s: %s\n", h->mx->host, code, domain,
                      what_to_do(code));
    else
        (void)fprintf(stderr, "understudy-poke: MX %s gave no answer for %s: %s; %s\n", h->mx->host, domain, error,
                      what_to_do(code));
}

/* Asks for the present domain. The connection of the one before is used again. */
static int host_ask(struct poke *p, struct host *h)
{
    uint64_t now_ms = clock_now_ms();

    (void)snprintf(h->request, sizeof h->request, "ETRN %s", p->mail->domains[h->domain]);
    h->begin_ms = now_ms;
    h->error[0] = '\0';
    if (now_ms >= p->until_ms)
        return -ETIME;
    if (curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, h->request) != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)(p->until_ms - now_ms)) != CURLE_OK
        || curl_multi_add_handle(p->multi, h->curl) != CURLM_OK)
        return -ENOMEM;
    p->running++;
    return 0;
}

/* An SMTP session and nothing else: no proxy, no other protocol, no signals. */
static int host_open(struct host *h, const struct config_mx *mx, const char *helo)
{
    h->mx = mx;
    h->curl = curl_easy_init();
    (void)snprintf(h->at, sizeof h->at, strchr(mx->host, ':') ? "[%s]:%u" : "%s:%u", mx->host, (unsigned)mx->port);
    (void)snprintf(h->url, sizeof h->url, "smtp://%s/%s", h->at, helo);
    if (!h->curl || curl_easy_setopt(h->curl, CURLOPT_URL, h->url) != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "smtp") != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_PROXY, "") != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, body_drop) != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->error) != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, ANSWER_S) != CURLE_OK
        || curl_easy_setopt(h->curl, CURLOPT_PRIVATE, h) != CURLE_OK)
        return -ENOMEM;
    return 0;
}

/* What was not asked in time, or cannot be, is told all the same. */
static void host_give_up(struct poke *p, struct host *h, const char *error)
{
    for (; h->domain < p->mail->n_domains; h->domain++) {
        result_print(p, h, 0, error);
        h->begin_ms = clock_now_ms();
    }
}

static void host_next(struct poke *p, struct host *h)
{
    int rc;

    if (++h->domain >= p->mail->n_domains)
        return;
    rc = host_ask(p, h);
    if (rc)
        host_give_up(p, h, rc == -ETIME ? "no time is left" : "out of memory");
}

static void finished_take(struct poke *p)
{
    const CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(p->multi, &left))) {
        struct host *h = NULL;
        CURLcode result = m->data.result;
        CURL *curl = m->easy_handle;
        long code = 0;

        if (m->msg != CURLMSG_DONE || curl_easy_getinfo(curl, CURLINFO_PRIVATE, &h) != CURLE_OK || !h)
            continue;
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
        (void)curl_multi_remove_handle(p->multi, curl);
        p->running--;
        /* A 2xx with an error is that of the greeting: the request itself was not answered. */
        if (result != CURLE_OK && code < 400)
            host_give_up(p, h, h->error[0] ? h->error : curl_easy_strerror(result));
        else {
            result_print(p, h, code, "");
            host_next(p, h);
        }
    }
}

static void run(struct poke *p)
{
    int still = 0;

    while (p->running > 0 && curl_multi_perform(p->multi, &still) == CURLM_OK) {
        uint64_t now_ms = clock_now_ms();

        finished_take(p);
        if (p->running == 0 || now_ms >= p->until_ms)
            break;
        if (still > 0 && curl_multi_poll(p->multi, NULL, 0, clock_poll_ms(now_ms, p->until_ms), NULL) != CURLM_OK)
            break;
    }
}

int poke_all(const struct config_mail *mail, const char *helo, uint64_t until_ms)
{
    static struct poke p;

    p = (struct poke){ .mail = mail, .until_ms = until_ms };
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(p.multi = curl_multi_init()))
        return -ENOMEM;
    for (unsigned i = 0; i < mail->n_mx; i++)
        if (host_open(&p.host[i], &mail->mx[i], helo) || host_ask(&p, &p.host[i]))
            host_give_up(&p, &p.host[i], "out of memory");
    run(&p);
    /* A resolver that hangs would be waited for by the cleanup; the end of the process does not wait. */
    if (p.running > 0) {
        for (unsigned i = 0; i < mail->n_mx; i++)
            host_give_up(&p, &p.host[i], "no answer in time");
        return p.bad;
    }
    (void)fflush(stdout);
    for (unsigned i = 0; i < mail->n_mx; i++)
        curl_easy_cleanup(p.host[i].curl);
    (void)curl_multi_cleanup(p.multi); /* says QUIT */
    return p.bad;
}
