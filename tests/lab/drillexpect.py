# SPDX-License-Identifier: GPL-2.0-or-later
"""Which phases a report must have, by the kind of what was done to a host."""

TAKING = ("claim", "proof", "own", "recover", "address", "start", "lmtp", "intake", "first_delivery")
PHASES = ("silence", "membership", *TAKING[:2], "drain", *TAKING[2:])
RELEASING = ("intake", "safe_point", "sync", "address", "end")
# takeover: the host fell silent; ended: it stopped by itself; start: nobody was active before; none: the active node
# goes on, whatever it does meanwhile; fault: anything may come of it, within what is always forbidden.
DEMANDED = {"takeover": PHASES, "ended": TAKING, "start": TAKING, "none": (), "fault": (),
            "switchover": tuple(p for p in TAKING if p != "proof")}
