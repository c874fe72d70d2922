/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which list server it is, and what follows from that: the presets that are made of other keys. */
#include <config.h>

#include "common/config_private.h"

#include <string.h>

#include "common/banned.h"

/* QRUNNERS of Mailman 2.1's Defaults.py: all of them (facts E). */
#define RUNNERS_21 "ArchRunner BounceRunner CommandRunner IncomingRunner NewsRunner OutgoingRunner VirginRunner RetryRunner"

static enum config_list_kind kind_of(const struct config *c)
{
    if (config_section_list(c) != &config_section_mailman2)
        return LIST_MAILMAN3;
    return strcmp(c->list.generation, "2.0") == 0 ? LIST_MAILMAN20 : LIST_MAILMAN21;
}

static void dir_preset(char *dir, size_t size, const char *top, const char *name)
{
    if (!dir[0] && top[0])
        (void) snprintf(dir, size, "%s/%s", top, name);
}

static void check_generation(const struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    const struct config_listserver *mm = &c->list;
    unsigned line = config_source_line(s, "mailman2", "generation");

    if (mm->generation[0] && strcmp(mm->generation, "2.1") != 0 && strcmp(mm->generation, "2.0") != 0)
        config_mistake(m, line, "generation '%s' is not known; locks, queues and programs differ between them; use 2.1 or 2.0",
                       mm->generation);
    if (mm->kind == LIST_MAILMAN20 && mm->runners_text[0])
        config_mistake(m, config_source_line(s, "mailman2", "runners"), "'runners' stands with generation 2.0; there cron's "
                       "qrunner does all the work and no runner stays; remove it, or set generation = 2.1");
}

void config_set_listserver(struct config *c, const struct config_source *s, struct config_mistakes *m)
{
    struct config_listserver *mm = &c->list;

    mm->kind = kind_of(c);
    if (mm->kind == LIST_MAILMAN3)
        return;
    check_generation(c, s, m);
    if (strlen(mm->var_prefix) + sizeof "/qfiles" > sizeof mm->queue_dir) {
        config_mistake(m, config_source_line(s, "mailman2", "var_prefix"), "'var_prefix' is too long for what lies below it; "
                       "a path cut off would be another one; use a shorter one");
        return;
    }
    dir_preset(mm->lock_dir, sizeof mm->lock_dir, mm->var_prefix, "locks");
    dir_preset(mm->queue_dir, sizeof mm->queue_dir, mm->var_prefix, "qfiles");
    dir_preset(mm->list_dir, sizeof mm->list_dir, mm->var_prefix, "lists");
    dir_preset(mm->data_dir, sizeof mm->data_dir, mm->var_prefix, "data");
    if (mm->kind == LIST_MAILMAN21 && !mm->runners_text[0])
        (void) snprintf(mm->runners_text, sizeof mm->runners_text, "%s", RUNNERS_21);
}
