# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole lab: `Lab(directory).up()`. The command line and the tests are written on this."""
import contextlib
import fcntl
import json
import os
import pathlib
import socket
import subprocess

import labconf
import labfaultfs
import labhost
import labmailman2
import labns
import labparts
import labshare
from labready import LabError, Readiness, check_machine, wait_gone, wait_until  # noqa: F401
from labshares import Shares
from labwires import Wires

DEFAULT_DIR = "/tmp/understudy-lab"
MARKER = ".understudy-lab"


class Lab(Readiness, Shares, Wires):
    """One lab below one directory. Several may be up at once."""

    def __init__(self, dir=None, build=None):
        self.dir = pathlib.Path(os.path.realpath(dir or os.environ.get("UNDERSTUDY_LAB") or DEFAULT_DIR))
        self.build = build or os.environ.get("UNDERSTUDY_BUILD") or None
        self.conf = dict(labconf.TIMINGS)
        self.events = self.dir / "events.jsonl"
        self.control_share = pathlib.Path(labshare.mount_path(str(self.dir), "control"))
        self.list_share = pathlib.Path(labshare.mount_path(str(self.dir), "lists"))
        self._state_key = None
        self._state = {}
        self._entered_up = False

    def __enter__(self):
        if not self.is_up():
            self.up()
            self._entered_up = True
        return self

    def __exit__(self, *_):
        if self._entered_up:
            self.down()

    # -- what is
    def state(self):
        """What the power daemon has written last; {} when there is no lab."""
        path = self.dir / "state.json"
        try:
            stat = os.stat(path)
            key = (stat.st_ino, stat.st_mtime_ns)
            if key != self._state_key:
                self._state, self._state_key = json.loads(path.read_text(encoding="utf-8")), key
        except FileNotFoundError:
            self._state, self._state_key = {}, None
        return self._state

    def is_up(self):
        return labns.is_same_process(self.state().get("labd"))

    def host(self, name):
        if name not in labconf.HOSTS:
            raise LabError(f"there is no host {name!r}; the hosts are {', '.join(labconf.HOSTS)}")
        return labhost.Host(self, name)

    def hosts(self):
        return [labhost.Host(self, name) for name in labconf.HOSTS]

    def bmc(self, name):
        if name not in labconf.BMC_ADDRESSES:
            raise LabError(f"host {name!r} has no BMC")
        return labhost.Bmc(self, name)

    def host_of_pid(self, pid):
        """Name of the host that an outer pid belongs to, or None."""
        inode = labns.pid_namespace(pid)
        for name, record in self.state().get("hosts", {}).items():
            if inode is not None and record.get("pidns") == inode:
                return name
        return None

    def event(self, event, **fields):
        labns.append_event(self.events, event=event, **fields)

    @property
    def floating(self):
        """The floating address of this lab."""
        try:
            return self._lab_json().get("floating", labconf.FLOATING)
        except FileNotFoundError:
            return labconf.FLOATING

    @property
    def service(self):
        """The list server of this lab."""
        try:
            return self._lab_json().get("service", "mailman3")
        except FileNotFoundError:
            return "mailman3"

    @property
    def queue_dir(self):
        return self.list_share / labconf.QUEUE_DIRS[self.service]

    def address_holders(self, address=None):
        address = address or self.floating
        return [host.name for host in self.hosts() if host.name in ("a", "b", "mx") and address in host.addresses()]

    def status(self):
        state = self.state()
        result = {"dir": str(self.dir), "up": self.is_up(), "hosts": {}, "cuts": state.get("cuts", []),
                  "dead_bmcs": state.get("dead_bmcs", [])}
        if not result["up"]:
            return result
        lab_json = self._lab_json()
        result.update(manager=lab_json["manager"], build=lab_json.get("build"), shares=lab_json.get("shares"))
        for host in self.hosts():
            result["hosts"][host.name] = {"powered": host.powered, "pid1": host.pid1, "boot_id": host.boot_id,
                                          "processes": len(host.pids()) if host.powered else 0}
        result["floating_address"] = self.address_holders()
        return result

    def _lab_json(self):
        return json.loads((self.dir / "lab.json").read_text(encoding="utf-8"))

    # -- asking the power daemon
    def request(self, **fields):
        """One request to the daemon; its answer. LabError when it says no or is not there."""
        if not self.is_up():
            raise LabError(f"there is no lab in {self.dir}; `lab up` starts one")
        directory = os.open(self.dir / "sock", os.O_PATH | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(60)
                sock.connect(f"/proc/self/fd/{directory}/lab.sock")
                sock.sendall((json.dumps(fields) + "\n").encode())
                line = sock.makefile().readline()
        finally:
            os.close(directory)
        if not line:
            raise LabError(f"the lab's power daemon hung up; see {self.dir}/labd.log")
        answer = json.loads(line)
        if not answer["ok"]:
            raise LabError(answer["error"])
        return answer

    def pause(self, host):
        """SIGSTOP to every process of the host, its first one too."""
        self.request(op="pause", host=host)

    def resume(self, host):
        self.request(op="resume", host=host)

    def pause_process(self, host, name):
        """SIGSTOP to the processes of the host called NAME; their outer pids."""
        return self.request(op="pause", host=host, process=name)["pids"]

    def resume_process(self, host, name):
        return self.request(op="resume", host=host, process=name)["pids"]

    # -- up
    def up(self, manager="standalone", list_mount="always", watchdog=False, ipv6=False, faulty=False, service="mailman3"):
        """Build and start everything; returns when corosync has its ring, mail is accepted and the BMCs answer.

        MANAGER: standalone (understudyd on a and b, when the build has it: then also returns only when one node is
        active, and leaves the lab up when none gets so, to look at) or none (corosync only).
        LIST_MOUNT: with-service = the hosts have the list share in their fstab and the product mounts it. WATCHDOG: a and b
        have a watchdog, and the configuration says so. IPV6: the floating address, where LMTP listens, and the MX as the
        nodes know it are IPv6 ones. FAULTY: a and b have their shares through understudy-faultfs. SERVICE: the list server."""
        check_machine()
        if manager not in ("standalone", "none"):
            raise LabError(f"unknown manager {manager!r}: standalone or none")
        if list_mount not in labconf.LIST_MOUNTS or (manager == "none" and list_mount != "always"):
            raise LabError(f"list share {list_mount!r}: always, or with-service where the product is the manager")
        if service not in labconf.SERVICES or (service != "mailman3" and (ipv6 or manager == "none")):
            raise LabError(f"service {service!r}: {' or '.join(labconf.SERVICES)}; other than Mailman 3 without IPv6, and with the "
                           "product as the manager")
        if ipv6 and manager == "none":
            raise LabError("an IPv6 floating address is for the product: the stock parts know the IPv4 one")
        with self._lock():
            if self.is_up():
                raise LabError(f"there is a lab up in {self.dir}; `lab down` ends it")
            self._claim_directory()
            try:
                self._build(manager, list_mount, watchdog, ipv6, faulty, service)
            except BaseException as err:
                tails = self._log_tails()
                self._tear_down()
                if isinstance(err, LabError):
                    raise LabError(f"{err}\n{tails}") from None
                raise
        if manager == "standalone" and self.host("a").file("/usr/sbin/understudyd").exists():
            self.start_product()
        return self

    def _log_tails(self):
        """The ends of the consoles: they may go with the directory."""
        parts = []
        for path in [self.dir / "labd.log"] + [host.console for host in self.hosts()]:
            if path.exists():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
                parts += [f"{path.parent.name}/{path.name}: {line}" for line in lines]
        return "\n".join(parts)

    @contextlib.contextmanager
    def _lock(self):
        self.dir.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.dir}.lock", "w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _claim_directory(self):
        """Remove what an earlier lab has left, and only that."""
        if any(char in str(self.dir) for char in ":,\\ \n"):
            raise LabError(f"{self.dir}: a lab's directory may not contain any of : , backslash, blank")
        if self.dir.exists() and any(self.dir.iterdir()) and not (self.dir / MARKER).exists():
            raise LabError(f"{self.dir} is not empty and was not made by the lab; give another one with --dir")
        self._tear_down()
        labshare.remove_tree(str(self.dir))
        for folder in ("sock", "share") + tuple(f"{h}/{d}" for h in labconf.HOSTS for d in ("disk", "work", "root")):
            (self.dir / folder).mkdir(parents=True)
        os.chmod(self.dir / "sock", 0o700)
        (self.dir / MARKER).touch()

    def _build(self, manager, list_mount, watchdog, ipv6, faulty, service):
        directory, lower = str(self.dir), "/"
        if self.build:
            lower = labshare.stage(os.path.realpath(self.build), directory) + ":/"
        ids = labparts.user_ids()
        plain = not labshare.have_loop(directory)
        prepared = self._prepared_lists(plain, service)
        control = self._make_shares(ids, plain, prepared)
        if faulty:
            labfaultfs.prepare(directory, self.build, labconf.CLUSTER_HOSTS)
            control = (labfaultfs.FSTYPE, "control")
        self._write_disks(ids, control, list_mount, watchdog, ipv6, service)
        if watchdog:
            labshare.make_watchdogs(self.dir, self.build)
        self._write_lab_json(manager, ids, lower, control, list_mount, watchdog, ipv6, faulty, service)
        self._start_daemon()
        if not prepared:
            self._prepare_lists(plain, service)
        self._power_on_all()
        self.wait_ready()

    # -- shares
    def _prepared_lists(self, plain, service):
        """The cached image of the prepared list share, copied into place; False when there is none yet."""
        cache = self._cache_file(service)
        if plain or not os.path.exists(cache):
            return False
        labshare.copy_sparse(cache, labshare.image_path(str(self.dir), "lists"))
        return True

    @staticmethod
    def _cache_file(service):
        if service != "mailman3":
            return labshare.cache_file(labmailman2.standin(service), labconf.LIST_ADDRESS, " ".join(labconf.LIST_MEMBERS),
                                       str(labshare.SIZES_MB))
        prep = pathlib.Path(labconf.HERE, "listprep.py").read_text(encoding="utf-8")
        return labshare.cache_file(labshare.package_version("mailman3"), prep, labparts.mailman_cfg(),
                                   labconf.LIST_ADDRESS, " ".join(labconf.LIST_MEMBERS), str(labshare.SIZES_MB))

    def _make_shares(self, ids, plain, prepared):
        facts = {}
        for name, size in labshare.SIZES_MB.items():
            if not plain and not (prepared and name == "lists"):
                labshare.make_image(labshare.image_path(str(self.dir), name), size)
            facts[name] = labshare.mount_share(str(self.dir), name, plain)
        os.chown(self.list_share, *ids["list"])
        os.chmod(self.list_share, 0o2755)
        epochs = self.control_share / ".understudy"
        epochs.mkdir(mode=0o755)
        os.chown(epochs, *ids["understudy"])
        return facts["control"]

    def _prepare_lists(self, plain, service):
        """Make the list by Mailman's own code on host a, which is up for this only, and keep the image for next time."""
        final = (self.dir / "lab.json").read_text(encoding="utf-8")
        quiet = json.loads(final)
        quiet["hosts"]["a"]["services"] = []
        for bind in quiet["hosts"]["a"]["binds"]:
            bind["target"] = labconf.LIST_SHARE if bind["target"] == labconf.LIST_STORE else bind["target"]
        labns.write_atomically(self.dir / "lab.json", json.dumps(quiet))
        host = self.host("a")
        host.power_on("prepare the list")
        argv = ["/usr/bin/python3", f"{labconf.TOOLS}/listprep.py", labconf.LIST_ADDRESS, *labconf.LIST_MEMBERS]
        host.exec(labmailman2.prepare_argv() if service != "mailman3" else argv, user="list", timeout=120)
        host.power_off("prepared the list")
        labns.write_atomically(self.dir / "lab.json", final)
        if not plain:
            labshare.freeze(str(self.dir), "lists", True)  # so that the image is whole
            try:
                labshare.copy_sparse(labshare.image_path(str(self.dir), "lists"), self._cache_file(service))
            finally:
                labshare.freeze(str(self.dir), "lists", False)
        os.truncate(self.events, 0)

    # -- disks and daemon
    def _write_disks(self, ids, control, list_mount, watchdog, ipv6, service):
        passwords = labparts.new_passwords()
        authkey = labparts.make_authkey(str(self.dir / "authkey"))
        for name in labconf.HOSTS:
            disk = labparts.Disk(str(self.dir / name / "disk"))
            labparts.write_common(disk, name, ids)
            if name in labconf.CLUSTER_HOSTS:
                labparts.write_corosync(disk, authkey)
                labparts.write_mailman(disk, ids, ipv6, service)
                labparts.write_understudy(disk, ids, control, passwords, list_mount, watchdog, ipv6, service)
            elif name == "mx":
                labparts.write_postfix(disk, ids, ipv6, service)
            else:
                labparts.write_bmc(disk, passwords)

    def _write_lab_json(self, manager, ids, lower, control, list_mount, watchdog, ipv6, faulty, service):
        lists = labconf.LIST_STORE if list_mount == "with-service" else labconf.LIST_SHARE
        shares = {"control": (str(self.control_share), labconf.CONTROL_SHARE), "lists": (str(self.list_share), lists)}
        binds = {host: [labfaultfs.bind(str(self.dir), host, name, source, target) if faulty else
                        {"source": source, "target": target} for name, (source, target) in shares.items()]
                 for host in labconf.CLUSTER_HOSTS}
        binds["bmc"] = [{"source": str(self.dir / "sock"), "target": "/run/lab/power"}]
        for host in ("mx",) + (labconf.CLUSTER_HOSTS if service != "mailman3" else ()):
            binds.setdefault(host, []).append({"source": labshare.make_spool(str(self.dir), host), "target": labmailman2.SPOOL})
        text = labconf.lab_json(str(self.dir), manager, ids, binds, lower, watchdog, ipv6, service)
        text.update(build=self.build, shares={"control": {"fstype": control[0], "source": control[1]}})
        labns.write_atomically(self.dir / "lab.json", json.dumps(text, indent=1))

    def _start_daemon(self):
        with open(self.dir / "labd.log", "ab") as log:
            process = subprocess.Popen(["/usr/bin/python3", "-I", os.path.join(labconf.HERE, "labd.py"), str(self.dir)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd="/",
                                       start_new_session=True)
        with process.stdout:
            if process.stdout.readline() != b"ready\n":
                raise LabError(f"the lab's power daemon did not start; see {self.dir}/labd.log")

    def _power_on_all(self):
        for host in self.hosts():
            host.power_on("lab up")

    # -- down
    def down(self):
        """End the lab. Works also on one that is half up, or whose daemon has died. Logs and disks stay."""
        if not self.dir.exists():
            return
        with self._lock():
            self._tear_down()

    def _tear_down(self):
        directory = str(self.dir)
        if not (self.dir / MARKER).exists():
            return
        if labns.mounts_below(directory):
            labshare.thaw_all(directory)
        if self.is_up():
            try:
                self.request(op="shutdown")
            except (LabError, OSError):
                pass
            labd = self.state().get("labd")
            if not wait_gone(labd, 5):
                labns.kill_record(labd)
        for record in self.state().get("hosts", {}).values():
            labns.kill_record(record)
        for pid in self._strays():
            labns.kill_record(labns.process_record(pid))
        labshare.unmount_below(directory)
        labshare.free_loops(directory)
        (self.dir / "state.json").unlink(missing_ok=True)

    def _strays(self):
        """Processes of this lab that no record names: from a start that was cut short."""
        found = []
        for pid in labns.all_pids():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(os.path.basename(word) in ("labd.py", "labinit.py", labfaultfs.PROGRAM) for word in words[:3]) and \
                    any(word == str(self.dir) or word.startswith(f"{self.dir}/") for word in words[3:5]):
                found.append(pid)
        return found
