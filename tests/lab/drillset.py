# SPDX-License-Identifier: GPL-2.0-or-later
"""The drills by name. A file of drills registers its own; drills.py imports them all and runs one.

A scenario is called with a Run and a Product. What it expects of each disturbance it says to Run.disturb(), what must
hold in the end to Run.expect()."""

DRILLS = {}     # name -> scenario
MESSAGES = {}   # name -> how many are sent when nobody says otherwise; None: for as long as the scenario wants


def drill(name, messages=None):
    def register(scenario):
        if name in DRILLS:
            raise ValueError(f"two drills are called {name}")
        DRILLS[name], MESSAGES[name] = scenario, messages
        return scenario
    return register
