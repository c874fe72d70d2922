# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab is made of: its networks, hosts, addresses, timings and services. Pure data, no side effects."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))
CLUSTER_HOSTS = ("a", "b")
HOSTS = ("a", "b", "mx", "bmc")
DOMAIN = "lab.test"
LIST_ADDRESS = "test@lab.test"
LIST_MEMBERS = ("alice@members.test", "bob@members.test")
FLOATING, FLOATING6 = "10.77.1.100", "fd77:1::100"
PREFIXES = {FLOATING: 24, FLOATING6: 64}
LMTP_PORT = 8024
SERVICES = ("mailman3", "mailman2", "mailman20")
QUEUE_DIRS = {"mailman3": "queue", "mailman2": "qfiles", "mailman20": "qfiles"}
INTAKE_PORTS = {"mailman3": LMTP_PORT, "mailman2": 25, "mailman20": 25}
SINK_PORT = 2525
MX_ADDRESS, MX_ADDRESS6 = "10.77.1.10", "fd77:1::10"
NETS = {"cluster": 0, "service": 1, "mgmt": 2}
HOST_NUMBERS = {"a": 1, "b": 2, "mx": 10, "bmc": 10}
HOST_NETS = {"a": ("cluster", "service", "mgmt"), "b": ("cluster", "service", "mgmt"),
             "mx": ("service",), "bmc": ("mgmt",)}
BMC_ADDRESSES = {"a": "10.77.2.11", "b": "10.77.2.12"}
BMC_USER = "power"
CONTROL_SHARE, LIST_SHARE = "/srv/control", "/srv/lists"
LIST_MOUNTS = ("always", "with-service")
LIST_STORE = "/run/lab/lists"   # with-service: where fstab says that the list share comes from
SHARES = {"control": CONTROL_SHARE, "lists": LIST_SHARE}
TOOLS = "/run/lab/tools"  # this folder, as the hosts see it (read only)
WATCHDOG_SHIM = "/run/lab/watchdog/shim.so"
CRON = "while :; do understudy gate --quiet -- /usr/lib/mailman/cron/qrunner; sleep 1; done"
RUNNERS = ("in", "pipeline", "out", "virgin", "lmtp")

# Milliseconds, unless the name says otherwise. Consensus below token is safe for two nodes (corosync.conf(5)).
TIMINGS = {"token": 1000, "consensus": 250, "join": 50, "beat_interval": 150, "drain": 2000, "power_wait": 500,
           "dad": 40, "monitor_interval": 2000, "share_deadline": 2000, "share_patience": 15000}


def address(host, net):
    return f"10.77.{NETS[net]}.{HOST_NUMBERS[host]}"


def address6(host):
    """On the service network of a lab whose floating address is an IPv6 one."""
    return f"fd77:1::{HOST_NUMBERS[host]}"


def mac(host, net, side):
    """Fixed hardware addresses, as of real machines: SIDE 0 is the host's, 1 the switch port's."""
    return f"02:00:{side:02x}:4d:{NETS[net]:02x}:{HOSTS.index(host) + 1:02x}"


def nics(host, ipv6=False):
    result = []
    for net in HOST_NETS[host]:
        addresses = [f"{address(host, net)}/24"]
        if host == "bmc":
            addresses += [f"{other}/24" for other in BMC_ADDRESSES.values()]
        if ipv6 and net == "service":
            addresses.append(f"{address6(host)}/64")
        result.append({"name": f"{net}0", "net": net, "addresses": addresses, "mac": mac(host, net, 0),
                       "port_mac": mac(host, net, 1)})
    return result


def watchdog_env():
    return {"LD_PRELOAD": WATCHDOG_SHIM}


def cluster_services(manager, service):
    services = [{"name": "postfix", "argv": ["/usr/sbin/postfix", "start-fg"]}] if service != "mailman3" else []
    if service == "mailman20": # cron's job of each minute, each second
        services.append({"name": "cron", "user": "list", "argv": ["/bin/sh", "-c", CRON]})
    services += [{"name": "corosync", "argv": ["/usr/sbin/corosync", "-f"], "notify": True}]
    if manager == "standalone":
        # As the units have it: understudyd comes back when it fails, Debian's corosync does not.
        services.append({"name": "understudyd", "only_if": "/usr/sbin/understudyd", "notify": True, "restart_ms": 1000,
                         "argv": ["/usr/sbin/understudyd", "--foreground"]})
    return services


def bmc_services():
    return [{"name": f"bmc-{host}",
             "argv": ["/usr/bin/ipmi_sim", "-n", "-c", f"/etc/lab/bmc-{host}.conf", "-f", f"/etc/lab/bmc-{host}.emu",
                      "-s", f"/var/lib/ipmi_sim/{host}"]} for host in BMC_ADDRESSES]


def services(host, manager, service="mailman3"):
    if host in CLUSTER_HOSTS:
        return cluster_services(manager, service)
    if host == "mx":
        return [{"name": "postfix", "argv": ["/usr/sbin/postfix", "start-fg"]}]
    return bmc_services()


# Machines of their own in life: neither their work nor their disk shall slow the hosts, which share this machine with them.
NICE = {"mx": 10}


def add_watchdog(directory, name, host):
    """Whoever tries a watchdog decides whether, and when, an understudyd that died comes back."""
    host["watchdog"] = True
    host["binds"].append({"source": f"{directory}/watchdog/{name}", "target": os.path.dirname(WATCHDOG_SHIM)})
    for service in host["services"]:
        if service["name"] == "understudyd":
            service["env"] = watchdog_env()
            del service["restart_ms"]


def lab_json(directory, manager, ids, binds, lower, watchdog=False, ipv6=False, service="mailman3"):
    """The file from which the daemon starts hosts. IDS: numeric ids by user name; BINDS: host -> extra bind mounts."""
    hosts = {}
    for host in HOSTS:
        run_dirs = [{"path": "lock", "uid": 0, "gid": 0, "mode": 0o1777},
                    {"path": "lab", "uid": 0, "gid": 0, "mode": 0o755}]
        if host in CLUSTER_HOSTS:
            uid, gid = ids["list"]
            run_dirs.append({"path": "mailman3", "uid": uid, "gid": gid, "mode": 0o755})
        own = os.path.join(directory, host)
        hosts[host] = {"hostname": host, "root": f"{own}/root", "lower": lower, "upper": f"{own}/disk",
                       "work": f"{own}/work", "run_dirs": run_dirs, "nics": nics(host, ipv6),
                       "binds": [{"source": HERE, "target": TOOLS, "read_only": True}] + binds.get(host, []),
                       "nice": NICE.get(host, 0), "services": services(host, manager, service)}
        if watchdog and host in CLUSTER_HOSTS:
            add_watchdog(directory, host, hosts[host])
    nets = {name: {"bridge_mac": f"02:00:02:4d:{number:02x}:fe"} for name, number in NETS.items()}
    return {"manager": manager, "service": service, "nets": nets, "hosts": hosts, "bmcs": BMC_ADDRESSES,
            "floating": FLOATING6 if ipv6 else FLOATING, "timings": TIMINGS}
