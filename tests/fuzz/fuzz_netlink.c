/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's answers of rtnetlink and sock_diag: what a part says must stand in it, and a part of nothing says nothing. */
#include <config.h>

#include <netinet/in.h>

#include "resource/netlink.h"
#include "resource/sockdiag.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 8192
#define PORT      8024

static bool stands_in(const uint8_t *data, size_t size, const void *what, size_t len)
{
    return memmem(data, size, what, len) != NULL;
}

static void addresses_try(const uint8_t *data, size_t size)
{
    struct netlink_address a[8];
    unsigned               n = 0;

    int rc = netlink_addresses_parse(data, size, a, 8, &n);
    PROMISE(rc <= 0 && n <= 8);
    for (unsigned i = 0; i < n; i++) {
        PROMISE(a[i].ip.family == AF_INET || a[i].ip.family == AF_INET6);
        PROMISE(a[i].prefix <= ipaddr_bits(&a[i].ip) && stands_in(data, size, a[i].ip.byte, ipaddr_size(&a[i].ip)));
        PROMISE(a[i].ip.family == AF_INET6 || !(a[i].tentative || a[i].duplicate));
    }
}

static void link_try(const uint8_t *data, size_t size)
{
    struct netlink_link l;

    PROMISE(netlink_link_parse(data, size, &l) <= 0);
    PROMISE(memchr(l.name, '\0', sizeof l.name) && stands_in(data, size, l.name, strlen(l.name)));
    PROMISE(!l.ethernet || stands_in(data, size, l.mac, sizeof l.mac));
}

/* Sessions of other ports do not count, and there are no more of ours than places where the port stands. */
static void sessions_try(const uint8_t *data, size_t size)
{
    const uint8_t port[2] = { PORT >> 8, PORT & 0xff };
    unsigned      n = 0, most = 0;

    (void)sockdiag_parse(data, size, 0, 0, PORT, &n);
    for (size_t i = 0; i + 1 < size; i++)
        most += !memcmp(data + i, port, sizeof port);
    PROMISE(n <= most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = size > 0 && size <= INPUT_MAX ? malloc(size) : NULL; /* aligned, as a buffer of the kernel's answer is */

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    addresses_try(copy, size);
    link_try(copy, size);
    sessions_try(copy, size);
    free(copy);
    return 0;
}
