/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between nodes and between processes: every length has a negative test. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/wire.h"

static struct cpgmsg sample(unsigned n)
{
    struct cpgmsg m = { .cluster = 1, .node = 2, .boot = { 3, 4 }, .run = 5, .ring = 6, .epoch = 7, .seq = UINT64_MAX,
                        .flags = CPGMSG_HELD, .state = 9, .digest = { .n = n } };

    for (unsigned i = 0; i < n; i++)
        m.digest.value[i] = i * UINT32_C(0x01010101);
    return m;
}

static void test_cpgmsg_round_trip(void **state)
{
    (void) state;
    for (unsigned n = 0; n <= CONFIG_SAFETY_KEYS_MAX; n++) {
        struct cpgmsg m = sample(n), r;
        uint8_t buf[CPGMSG_SIZE_MAX];
        size_t len = cpgmsg_encode(&m, buf);
        assert_int_equal(cpgmsg_decode(buf, len, &r), 0);
        assert_true(r.cluster == 1 && r.node == 2 && r.boot.hi == 3 && r.boot.lo == 4 && r.run == 5 && r.ring == 6);
        assert_true(r.epoch == 7 && r.seq == UINT64_MAX && r.flags == CPGMSG_HELD && r.state == 9);
        assert_memory_equal(&r.digest, &m.digest, sizeof r.digest);
    }
}

static void test_cpgmsg_refuses_every_wrong_length(void **state)
{
    struct cpgmsg m = sample(3), r;
    uint8_t *exact, buf[CPGMSG_SIZE_MAX] = { 0 };
    size_t len = cpgmsg_encode(&m, buf);

    (void) state;
    for (size_t n = 0; n <= CPGMSG_SIZE_MAX; n++) {
        exact = malloc(n + 1); /* so that the sanitizer sees a read beyond the end */
        assert_non_null(exact);
        memcpy(exact, buf, n);
        assert_int_equal(cpgmsg_decode(exact, n, &r), n == len ? 0 : -EBADMSG);
        free(exact);
    }
}

static void test_cpgmsg_refuses_other_versions_and_counts(void **state)
{
    struct cpgmsg m = sample(2), r = { .node = 77 };
    uint8_t buf[CPGMSG_SIZE_MAX];
    size_t len = cpgmsg_encode(&m, buf);

    (void) state;
    buf[4] = 2;
    assert_int_equal(cpgmsg_decode(buf, len, &r), -EPROTONOSUPPORT);
    buf[4] = CPGMSG_VERSION;
    buf[0] ^= 1;
    assert_int_equal(cpgmsg_decode(buf, len, &r), -EBADMSG);
    buf[0] ^= 1;
    for (unsigned i = 0; i < 4; i++) { /* the count of digests, each byte of it */
        uint8_t *p = &buf[len - 2 * 4 - 4 + i];
        *p ^= 0xff;
        assert_int_equal(cpgmsg_decode(buf, len, &r), -EBADMSG);
        *p ^= 0xff;
    }
    assert_int_equal(r.node, 77);
    assert_int_equal(cpgmsg_decode(buf, len, &r), 0);
    assert_true(cpgmsg_cluster_hash("a") != cpgmsg_cluster_hash("b"));
}

static void test_wire(void **state)
{
    static struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CANCEL, .u.op_id = 42 }, r;
    int fd[2];

    (void) state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
    assert_int_equal(wire_recv(fd[1], &r), -EAGAIN);
    assert_int_equal(wire_send(fd[0], &m), 0);
    assert_int_equal(wire_recv(fd[1], &r), 0);
    assert_true(r.u.op_id == 42 && r.kind == WIRE_CANCEL);
    m.version++;
    assert_int_equal(wire_send(fd[0], &m), 0);
    assert_int_equal(wire_recv(fd[1], &r), -EPROTO);
    m.version = WIRE_VERSION;
    m.kind = WIRE_KIND_N;
    assert_int_equal(wire_send(fd[0], &m), 0);
    assert_int_equal(wire_recv(fd[1], &r), -EPROTO);
    assert_int_equal(send(fd[0], &m, sizeof m - 1, 0), (int) sizeof m - 1);
    assert_int_equal(wire_recv(fd[1], &r), -EPROTO);
    char longer[sizeof m + 1] = { 0 };
    assert_int_equal(send(fd[0], longer, sizeof longer, 0), (int) sizeof longer);
    assert_int_equal(wire_recv(fd[1], &r), -EPROTO);
    m.kind = WIRE_RUN;
    int rc = 0, n = 0;
    for (; rc == 0 && n < 100000; n++)
        rc = wire_send(fd[0], &m);
    assert_int_equal(rc, -EAGAIN); /* a reader that does not read is no reason to hang */
    (void) close(fd[1]);
    assert_int_equal(wire_send(fd[0], &m), -EPIPE);
    assert_int_equal(wire_recv(fd[0], &r), -EPIPE);
    (void) close(fd[0]);
}

static void test_job_names_are_complete(void **state)
{
    (void) state;
    for (unsigned j = 0; j < JOB_N; j++)
        for (unsigned k = 0; k < j; k++)
            assert_string_not_equal(job_name((enum job) j), job_name((enum job) k));
    assert_string_equal(job_name(JOB_N), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpgmsg_round_trip), cmocka_unit_test(test_cpgmsg_refuses_every_wrong_length),
        cmocka_unit_test(test_cpgmsg_refuses_other_versions_and_counts), cmocka_unit_test(test_wire),
        cmocka_unit_test(test_job_names_are_complete),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
