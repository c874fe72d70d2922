/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys that are lists of names of things outside: systemd units, MX hosts, mail domains. They become arguments of
 * programs and words of SMTP, so nothing but the name itself may be in them. */
#include <config.h>

#include "common/config_private.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/ipaddr.h"
#include "common/num.h"

#include "common/banned.h"

#define SMTP_PORT 25u

/* As systemd has them: NAME.TYPE, never an option. */
static bool unit_ok(const char *text)
{
    const char *dot = strrchr(text, '.');

    if (!isalnum((unsigned char) text[0]) || !dot || !dot[1])
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char) *text) && !strchr("._-@:", *text))
            return false;
    return true;
}

void config_set_units(struct config *c, const char *text, unsigned line, struct config_mistakes *m)
{
    char word[CONFIG_NAME_MAX];
    int len;

    c->n_also_units = 0;
    while ((len = config_word_next(&text, word, sizeof word)) != 0) {
        if (len < 0 || !unit_ok(word)) {
            config_mistake(m, line, "'also_units' has a word that is no systemd unit with its type; each is given to "
                           "systemctl as it is; write them as 'NAME.service', separated by blanks");
            return;
        }
        if (c->n_also_units == CONFIG_UNITS_MAX) {
            config_mistake(m, line, "'also_units' has more than %d units; that many are not supported; let one "
                           "target pull in the others", CONFIG_UNITS_MAX);
            return;
        }
        memcpy(c->also_units[c->n_also_units++], word, sizeof word);
    }
}

/* "[ADDRESS]" as "ADDRESS", with what follows it in *ret_rest. NULL when `word` is no IPv6 address in brackets. */
static char *unbracket(char *word, char **ret_rest)
{
    char *end = strchr(word, ']');
    struct ipaddr ip;

    if (!end)
        return NULL;
    *end = '\0';
    *ret_rest = end + 1;
    return ipaddr_parse(word + 1, &ip) == 0 && ip.family == AF_INET6 ? word + 1 : NULL;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT */
static bool mx_parse(char *word, struct config_mx *ret)
{
    uint32_t port = SMTP_PORT;
    bool bracket = word[0] == '[';
    char *colon = strchr(word, ':');

    if (bracket && !(word = unbracket(word, &colon)))
        return false;
    if (colon && *colon != '\0') {
        if (*colon != ':' || num_parse_u32(colon + 1, 1, 65535, &port) < 0)
            return false;
        *colon = '\0';
    }
    if (!bracket && !config_name_ok(word))
        return false;
    memcpy(ret->host, word, strlen(word) + 1);
    ret->port = (uint16_t) port;
    return true;
}

void config_set_mx(struct config_mail *mail, const char *text, unsigned line, struct config_mistakes *m)
{
    char word[CONFIG_TEXT_MAX];
    int len;

    mail->n_mx = 0;
    while ((len = config_word_next(&text, word, sizeof word)) != 0) {
        if (mail->n_mx == CONFIG_MX_MAX) {
            config_mistake(m, line, "'mx' has more than %d hosts; that many are not told after a takeover; remove some",
                           CONFIG_MX_MAX);
            return;
        }
        if (len < 0 || !mx_parse(word, &mail->mx[mail->n_mx])) {
            config_mistake(m, line, "'mx' has a word that is neither HOST nor HOST:PORT nor [IPV6]:PORT; each is an MX host that "
                           "is told to retry after a takeover; correct it");
            return;
        }
        mail->n_mx++;
    }
}

void config_set_domains(struct config_mail *mail, const char *text, unsigned line, struct config_mistakes *m)
{
    char word[CONFIG_TEXT_MAX];
    int len;

    mail->n_domains = 0;
    while ((len = config_word_next(&text, word, sizeof word)) != 0) {
        if (len < 0 || !config_name_ok(word)) {
            config_mistake(m, line, "'domains' has a word that is no mail domain; each is named to the MX hosts; "
                           "write them as 'lists.example.org', separated by blanks");
            return;
        }
        if (mail->n_domains == CONFIG_DOMAINS_MAX) {
            config_mistake(m, line, "'domains' has more than %d domains; that many are not named to the MX hosts; "
                           "remove some", CONFIG_DOMAINS_MAX);
            return;
        }
        memcpy(mail->domains[mail->n_domains++], word, sizeof word);
    }
}
