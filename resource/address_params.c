/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/address.h"

static const struct ocf_param params[] = {
    { "ip", OCF_STRING, true, 0, "floating address",
      "The IPv4 or IPv6 address, not a link-local one, as ADDRESS/PREFIX. Without the prefix that of the interface's subnet is "
      "taken." },
    { "interface", OCF_STRING, false, 0, "network interface",
      "The interface that gets the address. Found by subnet when not given: the one that has another address whose "
      "subnet holds the floating one." },
    { "dad_ms", OCF_INTEGER, false, "40", "duplicate address check in milliseconds",
      "How long to listen for another host that has the address before it is added. An answer makes start fail." },
};

static const struct ocf_action actions[] = {
    { "start", "10s", 0, 0 },
    { "stop", "10s", 0, 0 },
    { "monitor", "10s", "5s", "0" },
    { "meta-data", "5s", 0, 0 },
    { "validate-all", "10s", 0, 0 },
};

const struct ocf_about address_about = {
    .name = "address",
    .shortdesc = "floating IP address on exactly one node",
    .longdesc =
        "Gives a node the floating address of the service.\n\n"
        "Start asks by ARP (IPv4) or neighbour discovery (IPv6) whether another host has the address and fails, naming its MAC "
        "address, if one does. Then "
        "the address is added and announced at once, and again after 0.5 and 2 seconds.\n\n"
        "All this also where the node has the address already: then nothing is added.\n\n"
        "Monitor wants the address to be there, with the prefix that was asked for, on an interface that is up and has a "
        "carrier, and in use by the kernel (an IPv6 address that is tentative or dadfailed is not). It announces it each "
        "time, so that neighbours whose caches went wrong in a split find this node again.",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .actions = actions,
    .n_actions = sizeof actions / sizeof actions[0],
};
