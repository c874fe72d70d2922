/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An executor in a process of its own, with programs of the test's making, driven through a fake engine. */
#ifndef EXECUTOR_LIB_H
#define EXECUTOR_LIB_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "common/wire.h"

#define SECRET "geheim-7f3a"
#define LAB_REBOOTED 77 /* exit status of an executor that has called for a reboot of the machine */

struct lab {
    char     dir[64];
    pid_t    executor;
    int      listener, control;       /* control: to the fake engine */
    char     hello[CPGMSG_SIZE_MAX];  /* of the present fake engine */
    struct wire_msg msg;              /* the last one received */
    char     output[1 << 20];         /* of the operation waited for */
    size_t   output_len;
    unsigned lates;                   /* WIRE_LATE seen */
    struct wire_safety safety;        /* the last one seen */
};

extern struct lab lab;

/* What one of the product's programs does in this test: NAME is as in the table; BODY is shell. */
void lab_write(const char *name, const char *text, mode_t mode);
void lab_script(const char *name, const char *body);
void lab_config(const char *extra_cluster);
void lab_start_in_this_process(void); /* the executor, without an engine that is waited for; never returns */
void lab_launch(void);                /* the executor */
void lab_start(void);                 /* and its first fake engine */
void lab_kill(void);                  /* SIGKILL */
int  lab_wait_exit(int timeout_ms);   /* of the executor by itself: its exit status, or -1 */
void lab_accept(int timeout_ms);      /* the next fake engine */
void lab_drop_engine(void);
int  lab_end(void);                   /* SIGTERM; returns the wait status */
int  lab_setup(void **state);
int  lab_teardown(void **state);

void lab_send(const struct wire_msg *m);
void lab_run(const struct wire_run *run);
void lab_permit(uint64_t until_ms);
void lab_cancel(uint64_t op_id);
void lab_nudge(uint64_t op_id);
/* Waits for WIRE_DONE of op_id, collecting its output. */
struct wire_done lab_done(uint64_t op_id, int timeout_ms);
void lab_take(int for_ms);            /* whatever the executor says meanwhile */
struct wire_done lab_do(const struct wire_run *run);
/* The content of DIR/name, terminated; "" when it is not there. */
const char *lab_file(const char *name);
int  lab_wait_file(const char *name, const char *content, int timeout_ms); /* until it contains that; 0 or -1 */
unsigned hello_number(const char *key);

#endif
