/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Build-time program: writes the metadata of each agent as C, so that the agents need no XML library at run time.
 * The internal DTD subset lets old tools, which validate against ra-api-1.dtd, accept what API 1.1 added. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include <libxml/tree.h>

#include "resource/address.h"
#include "resource/mailman2.h"
#include "resource/mailman3.h"
#include "resource/ocf.h"

#define DOCTYPE "<?xml version=\"1.0\"?>\n" \
    "<!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\" [\n" \
    "<!ATTLIST parameter unique-group CDATA #IMPLIED reloadable (1|0) #IMPLIED>\n" \
    "<!ATTLIST action name (start|stop|monitor|meta-data|validate-all|reload|reload-agent|promote|demote|notify|" \
    "release|resume) " \
    "#REQUIRED>\n]>\n"

#define X(s) ((const xmlChar *)(s))

static void attribute_set(xmlNode *n, const char *name, const char *value)
{
    if (value)
        (void)xmlNewProp(n, X(name), X(value));
}

static void text_add(xmlNode *parent, const char *name, const char *text)
{
    attribute_set(xmlNewTextChild(parent, NULL, X(name), X(text)), "lang", "en");
}

static void param_add(xmlNode *parent, const struct ocf_param *p)
{
    xmlNode *n = xmlNewChild(parent, NULL, X("parameter"), NULL), *content;

    attribute_set(n, "name", p->name);
    attribute_set(n, "unique", "0");
    attribute_set(n, "required", p->required ? "1" : "0");
    text_add(n, "longdesc", p->longdesc);
    text_add(n, "shortdesc", p->shortdesc);
    content = xmlNewChild(n, NULL, X("content"), NULL);
    attribute_set(content, "type", p->type == OCF_INTEGER ? "integer" : "string");
    attribute_set(content, "default", p->preset);
}

static xmlDoc *document_make(const struct ocf_about *a)
{
    xmlDoc  *doc = xmlNewDoc(X("1.0"));
    xmlNode *root = xmlNewNode(NULL, X("resource-agent")), *list;

    (void)xmlDocSetRootElement(doc, root);
    attribute_set(root, "name", a->name);
    attribute_set(root, "version", "0.1.0");
    (void)xmlNewChild(root, NULL, X("version"), X("1.1"));
    text_add(root, "longdesc", a->longdesc);
    text_add(root, "shortdesc", a->shortdesc);
    list = xmlNewChild(root, NULL, X("parameters"), NULL);
    for (unsigned i = 0; i < a->n_params; i++)
        param_add(list, &a->params[i]);
    list = xmlNewChild(root, NULL, X("actions"), NULL);
    for (unsigned i = 0; i < a->n_actions; i++) {
        xmlNode *n = xmlNewChild(list, NULL, X("action"), NULL);
        attribute_set(n, "name", a->actions[i].name);
        attribute_set(n, "timeout", a->actions[i].timeout);
        attribute_set(n, "interval", a->actions[i].interval);
        attribute_set(n, "depth", a->actions[i].depth);
    }
    return doc;
}

static void as_c(const char *text)
{
    (void)putchar('"');
    for (; *text; text++)
        if (*text == '\n')
            (void)fputs("\\n\"\n\"", stdout);
        else if (*text == '"' || *text == '\\')
            (void)printf("\\%c", *text);
        else
            (void)putchar(*text);
    (void)putchar('"');
}

int main(int argc, char **argv)
{
    static const struct ocf_about *const all[] = { &mailman3_about, &mailman2_about, &address_about };
    xmlBuffer *buf = xmlBufferCreate();

    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (argc != 2 || strcmp(argv[1], all[i]->name) != 0)
            continue;
        xmlDoc *doc = document_make(all[i]);
        (void)xmlNodeDump(buf, doc, xmlDocGetRootElement(doc), 0, 1);
        (void)printf("/* Made by ocf_metadata; do not edit. */\n#include <config.h>\n#include \"resource/%s.h\"\n"
                     "const char %s_metadata[] =\n", argv[1], argv[1]);
        as_c(DOCTYPE);
        as_c((const char *)xmlBufferContent(buf));
        (void)puts("\"\\n\";");
        xmlFreeDoc(doc);
        xmlBufferFree(buf);
        return 0;
    }
    (void)fprintf(stderr, "usage: ocf_metadata mailman3|mailman2|address\n");
    xmlBufferFree(buf);
    return 2;
}
