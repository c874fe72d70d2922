# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be done to the networks of a lab."""


class Wires:
    """The part of Lab that cuts, loses and holds."""

    def cut(self, host, net="cluster"):
        self.request(op="port", host=host, net=net, up=False)

    def heal(self, host, net="cluster"):
        self.request(op="port", host=host, net=net, up=True)

    def lose(self, host, direction, net="cluster", lost=True):
        """Frames to HOST ("in") or from it ("out") are dropped at the switch, the link stays up; LOST False: no longer."""
        self.request(op="loss", host=host, net=net, direction=direction, lost=lost)

    def hold_net(self, net="cluster"):
        """What a and b send each other on NET is kept, until release_net() delivers all of it at once."""
        self.request(op="hold", net=net)

    def release_net(self, net="cluster"):
        """How many frames it delivered."""
        return self.request(op="release", net=net)["frames"]
