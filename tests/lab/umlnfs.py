# SPDX-License-Identifier: GPL-2.0-or-later
"""Real NFS: a guest `srv` with the kernel's NFS server, and clients `a` and `b` with the kernel's NFS client, each a kernel of
its own. The shares lie on an ext4 image, so that file handles survive a restart of the server; lease and grace are 10 s."""
import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

import labconf
import labparts
from umlguest import Guest, GuestError, Network

SERVER, SERVER_NUMBER = "srv", 1
CLIENTS = {"a": 11, "b": 12}
SHARES = {"control": labconf.CONTROL_SHARE, "lists": labconf.LIST_SHARE}
LEASE_S = 10
IMAGE_MB = 512
OPTIONS = "vers=4.2,hard"
MODULES_SERVER, MODULES_CLIENT = ("nfsd",), ("nfsv4",)

# nfsdcld keeps who may reclaim after a restart; without it the server would have an empty grace period.
# The root of the exports is a tmpfs: an overlay cannot be exported. nfsdcld keeps who may reclaim after a restart, without which
# the server would have no grace period.
SERVE = f"""
mkdir -p /image /export /run/rpc_pipefs
mount -t ext4 /dev/ubda /image
mount -t tmpfs -o mode=755 export /export
for share in {' '.join(SHARES)}; do
    mkdir -p /image/$share /export/$share
    mount --bind /image/$share /export/$share
done
mkdir -p /image/nfs/nfsdcld /image/nfs/v4recovery /image/nfs/sm
touch /image/nfs/etab /image/nfs/rmtab
mount --bind /image/nfs /var/lib/nfs
mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
mount -t nfsd nfsd /proc/fs/nfsd
echo {LEASE_S} > /proc/fs/nfsd/nfsv4leasetime
echo {LEASE_S} > /proc/fs/nfsd/nfsv4gracetime
/usr/sbin/nfsdcld -p /run/rpc_pipefs -s /var/lib/nfs/nfsdcld
/usr/sbin/exportfs -ra
/usr/sbin/rpc.nfsd --no-nfs-version 3 --no-udp 8
/usr/sbin/rpc.mountd --no-nfs-version 3
"""
NFS_CONF = "[mountd]\nthreads = 1\n[nfsdcld]\n[general]\npipefs-directory = /run/rpc_pipefs\n"


def make_image(path):
    with open(path, "wb") as file:
        file.truncate(IMAGE_MB << 20)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", path], check=True)


def identity_files():
    """/etc/passwd and the like, with the users that the product has."""
    texts = {}
    ids = labparts.user_ids()
    uid, gid = ids["understudy"]
    for name, line in (("passwd", f"understudy:x:{uid}:{gid}::/var/lib/understudy:/usr/sbin/nologin\n"),
                       ("group", f"understudy:x:{gid}:\n")):
        with open(f"/etc/{name}", encoding="utf-8") as file:
            texts[f"/etc/{name}"] = {"text": "".join(l for l in file if not l.startswith("understudy:")) + line}
    return texts


def hosts_file():
    names = ["127.0.0.1 localhost"]
    for name, number in {SERVER: SERVER_NUMBER, **CLIENTS}.items():
        names.append(f"10.78.0.{number} {name}.{labconf.DOMAIN} {name}")
    return "\n".join(names) + "\n"


class Nfs:
    """The server and its clients."""

    def __init__(self, directory, network):
        self.dir, self.network, self.guests = pathlib.Path(directory), network, {}
        self.image = self.dir / "export.img"
        make_image(self.image)
        self.server = self._guest(SERVER, SERVER_NUMBER, modules=MODULES_SERVER, disk=self.image)
        self.clients = {name: self._guest(name, number, modules=MODULES_CLIENT) for name, number in CLIENTS.items()}

    def _guest(self, name, number, **how):
        files = {"/etc/hosts": {"text": hosts_file()}, "/etc/hostname": {"text": name + "\n"}, "/etc/resolv.conf": {"text": ""},
                 "/etc/nsswitch.conf": {"text": "passwd: files\ngroup: files\nhosts: files\n"}, **identity_files()}
        if name == SERVER:
            files.update({"/etc/exports": {"text": exports(CLIENTS)}, "/etc/nfs.conf": {"text": NFS_CONF}})
        files.update(self.configure(name))
        guest = Guest(self.network, self.dir, name, number, files=files, **how)
        self.guests[name] = guest
        return guest

    def configure(self, name):
        """More files of a guest."""
        del name
        return {}

    def __getitem__(self, name):
        return self.guests[name]

    def up(self):
        for guest in self.guests.values():
            guest.start()
        self._serve()
        for guest in self.clients.values():
            guest.wait_ready()
            self.mount(guest)
        return self

    def _serve(self):
        self.server.wait_ready()
        self.server.shell(SERVE)

    def mount(self, guest, options=OPTIONS):
        for share, path in SHARES.items():
            guest.shell(f"mkdir -p {path}; mount -t nfs -o {options} {self.server.address}:/{share} {path}")

    # -- power
    def server_off(self):
        self.server.power_off()

    def server_on(self):
        self.server.start()
        self._serve()

    def power_on(self, name):
        self[name].start()
        self[name].wait_ready()
        self.mount(self[name])

    # -- the server's word on a client
    def deny(self, name):
        """No export for it any more."""
        for share in SHARES:
            self.server.ok(["/usr/sbin/exportfs", "-u", f"{self[name].address}:/export/{share}"])

    def allow(self, name):
        del name
        self.server.ok(["/usr/sbin/exportfs", "-ra"])

    def exported_to(self, name):
        """What the server exports to it, as it says itself."""
        text = self.server.ok(["/usr/sbin/exportfs", "-s"])
        return sorted(re.findall(rf"^/export/(\w+)\s+{re.escape(self[name].address)}\(", text, re.M))

    def in_grace(self):
        return self.server.ok(["/bin/cat", "/proc/fs/nfsd/v4_end_grace"]).strip() == "N"

    def wait_no_grace(self, within_s=3 * LEASE_S):
        deadline = time.monotonic() + within_s
        while self.in_grace():
            if time.monotonic() > deadline:
                raise GuestError(f"the server is in its grace period for more than {within_s} s")
            time.sleep(0.2)

    def down(self):
        for guest in self.guests.values():
            guest.power_off()


def exports(clients):
    lines = []
    for index, share in enumerate(SHARES):
        words = [f"{NUMBERS}.{clients[name]}(rw,sync,no_subtree_check,root_squash,fsid={index + 1})" for name in clients]
        lines.append(f"/export/{share} {' '.join(words)}\n")
    root = " ".join(f"{NUMBERS}.{number}(ro,fsid=0,no_subtree_check)" for number in clients.values())
    return f"/export {root}\n" + "".join(lines)


NUMBERS = "10.78.0"


@contextlib.contextmanager
def real_nfs(kind=Nfs):
    """An Nfs, or what KIND makes of one, that is up; it and everything of it is gone afterwards. Its folder is not in
    /tmp, which the guests have one of their own of, so that they can read what is put there."""
    with tempfile.TemporaryDirectory(prefix="understudy-uml.", dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        network = Network()
        nfs = None
        try:
            nfs = kind(directory, network)
            yield nfs.up()
        finally:
            if nfs:
                nfs.down()
            network.close()
