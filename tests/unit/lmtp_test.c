/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The probe of LMTP's greeting, and what a session has received that nobody has read, over both IP versions. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/ipaddr.h"
#include "resource/lmtp.h"
#include "resource/sockdiag.h"

static const char *const hosts[] = { "127.0.0.1", "::1" };
#define N_HOSTS (sizeof hosts / sizeof hosts[0])

/* Listens at a free port of `host`. -1 when this machine has no such address. */
static int listen_at(const char *host, uint16_t *ret_port)
{
    union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } at = { 0 };
    struct ipaddr a;

    assert_int_equal(ipaddr_parse(host, &a), 0);
    at.any.sa_family = a.family;
    memcpy(a.family == AF_INET ? (void *)&at.v4.sin_addr : (void *)&at.v6.sin6_addr, a.byte, ipaddr_size(&a));
    int       fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = a.family == AF_INET ? sizeof at.v4 : sizeof at.v6;
    if (fd < 0 || bind(fd, &at.any, size) != 0 || listen(fd, 8) != 0)
        return -1;
    assert_int_equal(getsockname(fd, &at.any, &size), 0);
    *ret_port = ntohs(a.family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
    return fd;
}

/* In a child: greets whoever comes, until it is killed. */
static pid_t greet(int fd, const char *words)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    while (pid == 0) {
        int c = accept(fd, NULL, NULL);
        if (c < 0)
            _exit(1);
        if (write(c, words, strlen(words)) < 0 || close(c) != 0)
            _exit(1);
    }
    return pid;
}

static int probe(const char *host, const char *words)
{
    uint16_t port = 0;
    int      fd = listen_at(host, &port);

    if (fd < 0)
        skip();
    pid_t pid = greet(fd, words);
    int   rc = lmtp_probe_greeting(host, port, 3000);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(fd);
    return rc;
}

static void test_greeting(void **state)
{
    const char *host = *state;

    assert_int_equal(probe(host, "220 lmtp ready\r\n"), 0);
    assert_int_equal(probe(host, "220-lmtp\r\n220 ready\r\n"), 0);
    assert_int_equal(probe(host, "421 go away\r\n"), -EPROTO);
    assert_int_equal(probe(host, "22"), -EPROTO);
}

static void test_nobody_there(void **state)
{
    const char *host = *state;
    uint16_t    port = 0;
    int         fd = listen_at(host, &port);

    if (fd < 0)
        skip();
    (void)close(fd);
    assert_int_equal(lmtp_probe_greeting(host, port, 3000), -ECONNREFUSED);
}

static void test_unread(void **state)
{
    const char *host = *state;
    unsigned    n = 99;
    uint16_t    port = 0;
    int         fd = listen_at(host, &port);
    union { struct sockaddr any; struct sockaddr_in6 v6; } at;
    socklen_t   size = sizeof at;

    if (fd < 0)
        skip();
    assert_int_equal(getsockname(fd, &at.any, &size), 0);
    int client = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, &at.any, size), 0);
    int served = accept(fd, NULL, NULL);
    assert_true(served >= 0);
    assert_int_equal(sockdiag_unread(port, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(write(client, "LHLO", 4), 4);
    assert_int_equal(sockdiag_unread(port, &n), 0);
    assert_int_equal(n, 1);
    char got[4];
    assert_int_equal(read(served, got, sizeof got), 4);
    assert_int_equal(sockdiag_unread(port, &n), 0);
    assert_int_equal(n, 0);
    (void)close(client);
    (void)close(served);
    (void)close(fd);
}

static void test_no_address(void **state)
{
    (void)state;
    assert_int_equal(lmtp_probe_greeting("[::1]", 8024, 100), -EINVAL);
    assert_int_equal(lmtp_probe_greeting("lists.example.org", 8024, 100), -EINVAL);
}

static int host_set(void **state)
{
    static unsigned i;

    *state = (void *)(uintptr_t)hosts[i++ % N_HOSTS];
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_greeting, host_set), cmocka_unit_test_setup(test_greeting, host_set),
        cmocka_unit_test_setup(test_nobody_there, host_set), cmocka_unit_test_setup(test_nobody_there, host_set),
        cmocka_unit_test_setup(test_unread, host_set), cmocka_unit_test_setup(test_unread, host_set),
        cmocka_unit_test(test_no_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
