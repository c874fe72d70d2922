# SPDX-License-Identifier: GPL-2.0-or-later
"""The same for Mailman 2: its configuration and its locks."""
import os

from state_world import World

CONF = """[cluster]
name = lab
nodes = {nodes}
control_share = /srv/control
service = mailman2
[address]
ip = 10.77.1.100/24
[mailman2]
user = {user}
var_prefix = {top}
queue_dir = {top}/queue
"""
GONE = 4194303     # above any pid that is given out


class World2(World):
    def __init__(self, more="", queues=("in", "out", "shunt", "bad")):
        super().__init__(queues=queues, conf=CONF + more)
        self.lists = self.top + "/lists"
        os.mkdir(self.lists)
        self.own(self.lists)
        self.data = self.top + "/data"
        os.mkdir(self.data)
        self.own(self.data)

    def lock2(self, name, host, pid, counter=None):
        """As Mailman 2 leaves it: two links of one file whose text is the longer name."""
        claim = f"{name}.{host}.{pid}" + ("" if counter is None else f".{counter}")
        path = self.write(f"{self.locks}/{claim}", f"{self.locks}/{claim}")
        os.link(path, f"{self.locks}/{name}")
        return claim
