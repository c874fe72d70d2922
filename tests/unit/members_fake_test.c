/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-members' loop between this test's engine and a corosync of its making, for what a real one does only once
 * in a while: answers and events that cross, try again, a lost connection. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "daemon/members.h"

int members_main(int argc, char **argv); /* members.c, with its main renamed */

enum kind { RING, GROUP, MESSAGE, QUORUM };
struct event { enum kind kind; bool quorate; uint64_t ring; };

/* Shared with the process under test. */
static struct corosync {
    volatile bool quorate, cross, open_fails;
    volatile enum members_result probe, send;
    volatile unsigned n_sent, n_opened;
    char sent[CPGMSG_SIZE_MAX];
} *fake;
static int cpg_pipe[2], quorum_pipe[2], engine_fd = -1;
static pid_t pid;
static struct wire_msg msg;

struct members_cpg { struct members_sink sink; };
struct members_quorum { struct members_sink sink; };
static struct members_cpg the_cpg;
static struct members_quorum the_quorum;

static void give(const struct members_sink *s, int fd)
{
    static const uint32_t nodes[] = { 1, 2 };
    struct event e;

    while (read(fd, &e, sizeof e) == (ssize_t) sizeof e) {
        switch (e.kind) {
        case RING: s->ring(s->closure, e.ring); break;
        case GROUP: s->group(s->closure, nodes, 2); break;
        case MESSAGE: s->message(s->closure, 2, "hello", 5); break;
        case QUORUM: s->quorum(s->closure, e.quorate, e.ring); break;
        }
    }
}

enum members_result members_cpg_open(const struct members_sink *sink, struct members_cpg **ret)
{
    fake->n_opened++;
    if (fake->open_fails)
        return MEMBERS_LOST;
    the_cpg.sink = *sink;
    *ret = &the_cpg;
    return MEMBERS_OK;
}

void members_cpg_close(struct members_cpg *c) { (void) c; }
int members_cpg_fd(const struct members_cpg *c) { (void) c; return cpg_pipe[0]; }
enum members_result members_cpg_probe(struct members_cpg *c) { (void) c; return fake->probe; }

enum members_result members_cpg_dispatch(struct members_cpg *c)
{
    give(&c->sink, cpg_pipe[0]);
    return MEMBERS_OK;
}

enum members_result members_cpg_send(struct members_cpg *c, const void *data, size_t len)
{
    (void) c;
    if (fake->send == MEMBERS_OK) {
        memcpy(fake->sent, data, len);
        fake->n_sent++;
    }
    return fake->send;
}

enum members_result members_quorum_open(const struct members_sink *sink, struct members_quorum **ret)
{
    the_quorum.sink = *sink;
    *ret = &the_quorum;
    return MEMBERS_OK;
}

void members_quorum_close(struct members_quorum *q) { (void) q; }
int members_quorum_fd(const struct members_quorum *q) { (void) q; return quorum_pipe[0]; }

enum members_result members_quorum_dispatch(struct members_quorum *q)
{
    give(&q->sink, quorum_pipe[0]);
    return MEMBERS_OK;
}

enum members_result members_quorum_probe(struct members_quorum *q, bool *ret_quorate)
{
    const struct event newer = { .kind = QUORUM, .quorate = true, .ring = 9 };

    (void) q;
    *ret_quorate = fake->quorate;
    if (fake->cross) { /* the votes are counted just after it has answered */
        fake->cross = false;
        *ret_quorate = false;
        fake->quorate = true;
        (void) !write(quorum_pipe[1], &newer, sizeof newer);
    }
    return fake->probe;
}

enum members_result members_cmap_read(bool *ret_encrypted, uint32_t *ret_detect_ms)
{
    *ret_encrypted = true;
    *ret_detect_ms = 1250;
    return MEMBERS_OK;
}

enum members_result members_wait_cancel(void) { return MEMBERS_OK; }

static void tell(int fd, struct event e)
{
    assert_int_equal(write(fd, &e, sizeof e), (int) sizeof e);
}

static int setup(void **state)
{
    int pair[2];
    char name[] = "understudy-members", *argv[] = { name, NULL };

    (void) state;
    memset(fake, 0, sizeof *fake);
    fake->quorate = true;
    assert_int_equal(pipe2(cpg_pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pipe2(quorum_pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    engine_fd = pair[0];
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int *fds[] = { &cpg_pipe[0], &quorum_pipe[0], &quorum_pipe[1], &pair[1] };
        for (unsigned i = 0; i < 4; i++)
            *fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, 20); /* out of the way of descriptor 3 */
        (void) close(engine_fd);
        if (dup2(pair[1], 3) < 0)
            _exit(99);
        (void) close(pair[1]);
        _exit(members_main(1, argv));
    }
    (void) close(pair[1]);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
    (void) close(engine_fd);
    for (unsigned i = 0; i < 2; i++) {
        (void) close(cpg_pipe[i]);
        (void) close(quorum_pipe[i]);
    }
    return 0;
}

static void next(void)
{
    struct pollfd p = { .fd = engine_fd, .events = POLLIN };

    assert_int_equal(poll(&p, 1, 3000), 1);
    assert_int_equal(recv(engine_fd, &msg, sizeof msg, 0), (int) sizeof msg);
}

/* The next state of the members in which `field` has that value; fails after 3 s. */
#define UNTIL(field, value) \
    for (uint64_t until_ = clock_now_ms() + 3000;;) { \
        next(); \
        if (msg.kind == WIRE_MEMBERS && msg.u.members.field == (value)) \
            break; \
        assert_true(clock_now_ms() < until_); \
    }

static void test_a_newer_event_beats_a_crossing_answer(void **state)
{
    (void) state;
    UNTIL(connected, 1);
    tell(quorum_pipe[1], (struct event) { .kind = QUORUM, .quorate = false, .ring = 5 });
    UNTIL(quorum_ring, 5);
    assert_int_equal(msg.u.members.quorate, 0);
    fake->cross = true;
    UNTIL(quorum_ring, 9);
    assert_int_equal(msg.u.members.quorate, 1);
    for (unsigned i = 0; i < 5; i++) {
        UNTIL(quorum_ring, 9);
        assert_int_equal(msg.u.members.quorate, 1);
    }
}

static void test_a_denial_when_asked_counts(void **state)
{
    (void) state;
    tell(quorum_pipe[1], (struct event) { .kind = QUORUM, .quorate = true, .ring = 5 });
    UNTIL(quorate, 1);
    fake->quorate = false;
    UNTIL(quorate, 0);
    fake->quorate = true;
    UNTIL(quorate, 1);
    tell(quorum_pipe[1], (struct event) { .kind = QUORUM, .quorate = false, .ring = 0 }); /* votes being counted */
    UNTIL(quorum_ring, 0);
    assert_int_equal(msg.u.members.quorate, 0); /* whatever the answer is */
}

static void test_the_ring_comes_before_its_messages(void **state)
{
    (void) state;
    UNTIL(connected, 1);
    const struct event e[] = { { .kind = RING, .ring = 7 }, { .kind = GROUP }, { .kind = MESSAGE } };
    assert_int_equal(write(cpg_pipe[1], e, sizeof e), (int) sizeof e);
    UNTIL(cpg_ring, 7);
    assert_int_equal(msg.u.members.n_members, 2);
    for (unsigned i = 0; i < 20 && msg.kind != WIRE_CPG_IN; i++)
        next();
    assert_int_equal(msg.kind, WIRE_CPG_IN);
    assert_int_equal(msg.u.cpg.sender, 2);
    assert_int_equal(msg.u.cpg.len, 5);
    assert_memory_equal(msg.u.cpg.data, "hello", 5);
}

static void send_out(const char *text)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CPG_OUT };

    m.u.cpg.len = (uint32_t) strlen(text);
    memcpy(m.u.cpg.data, text, strlen(text));
    assert_int_equal(send(engine_fd, &m, sizeof m, 0), (int) sizeof m);
}

static void test_only_the_newest_message_is_tried_again(void **state)
{
    (void) state;
    UNTIL(connected, 1);
    fake->send = MEMBERS_TRY_AGAIN;
    send_out("old");
    (void) poll(NULL, 0, 100);
    send_out("new");
    (void) poll(NULL, 0, 100);
    assert_int_equal(fake->n_sent, 0);
    fake->send = MEMBERS_OK;
    (void) poll(NULL, 0, 300);
    assert_int_equal(fake->n_sent, 1);
    assert_string_equal(fake->sent, "new");
}

static void test_a_lost_corosync_is_looked_for_with_pauses(void **state)
{
    (void) state;
    tell(cpg_pipe[1], (struct event) { .kind = RING, .ring = 7 });
    tell(cpg_pipe[1], (struct event) { .kind = GROUP });
    UNTIL(n_members, 2);
    UNTIL(connected, 1);
    fake->open_fails = true;
    fake->probe = MEMBERS_LOST;
    UNTIL(connected, 0);
    uint64_t frozen_ms = msg.u.members.sampled_ms;
    assert_true(frozen_ms > 0);
    assert_true(msg.u.members.n_members == 0 && msg.u.members.cpg_ring == 0 && msg.u.members.quorate == 0);
    unsigned opened = fake->n_opened;
    for (unsigned i = 0; i < 12; i++) {
        UNTIL(connected, 0);
        assert_true(msg.u.members.sampled_ms == frozen_ms);
    }
    assert_in_range(fake->n_opened - opened, 1, 6);
    fake->open_fails = false;
    fake->probe = MEMBERS_OK;
    UNTIL(connected, 1);
}

static void test_try_again_is_no_answer(void **state)
{
    (void) state;
    UNTIL(connected, 1);
    fake->probe = MEMBERS_TRY_AGAIN;
    (void) poll(NULL, 0, 300);
    while (recv(engine_fd, &msg, sizeof msg, MSG_DONTWAIT) > 0)
        ;
    UNTIL(connected, 1);
    assert_true(clock_now_ms() - msg.u.members.sampled_ms >= 150); /* no fresh fact without one */
}

static void test_ends_with_an_engine_that_is_gone_or_strange(void **state)
{
    struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_RUN };
    int wstatus = -1;

    (void) state;
    assert_int_equal(send(engine_fd, &m, sizeof m, 0), (int) sizeof m);
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_true(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0);
    pid = fork(); /* for the teardown */
    if (pid == 0)
        _exit(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_newer_event_beats_a_crossing_answer), TEST(test_a_denial_when_asked_counts),
        TEST(test_the_ring_comes_before_its_messages), TEST(test_only_the_newest_message_is_tried_again),
        TEST(test_a_lost_corosync_is_looked_for_with_pauses), TEST(test_try_again_is_no_answer),
        TEST(test_ends_with_an_engine_that_is_gone_or_strange),
    };
    fake = mmap(NULL, sizeof *fake, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fake == MAP_FAILED)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
