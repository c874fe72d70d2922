# SPDX-License-Identifier: GPL-2.0-or-later
# The lab and the tests that need it: as root, minutes rather than seconds, hence not part of `make check`.
EXTRA_DIST += \
	tests/lab/README \
	tests/lab/chassis_control.py \
	tests/lab/lab \
	tests/lab/labconf.py \
	tests/lab/labd.py \
	tests/lab/labfaults.py \
	tests/lab/labhost.py \
	tests/lab/labinit.py \
	tests/lab/lablib.py \
	tests/lab/labmachine.py \
	tests/lab/labns.py \
	tests/lab/labparts.py \
	tests/lab/labready.py \
	tests/lab/labshare.py \
	tests/lab/labshares.py \
	tests/lab/labwatchdog.py \
	tests/lab/labwires.py \
	tests/lab/listprep.py \
	tests/lab/secretwatch.py \
	tests/lab/statustimes.py \
	tests/lab/test_gate.py \
	tests/lab/test_hangs.py \
	tests/lab/test_lab.py \
	tests/lab/test_limits.py \
	tests/lab/test_stops.py \
	tests/lab/test_tour.py \
	tests/lab/testlab.py \
	tests/lab/watchdogshim.c \
	tests/lab/test_beside.py \
	tests/lab/fake_systemctl.py \
	tests/lab/test_mx.py \
	tests/lab/watching.py

# Preloaded into understudyd in hosts of `lab up --watchdog`.
noinst_DATA = tests/lab/watchdogshim.so
CLEANFILES += tests/lab/watchdogshim.so
tests/lab/watchdogshim.so: tests/lab/watchdogshim.c
	$(AM_V_CCLD)$(MKDIR_P) tests/lab && $(CC) $(CFLAGS) -fPIC -shared -o $@ $(top_srcdir)/tests/lab/watchdogshim.c -ldl

# Further test files in this folder are added by the fragments that own them.
LAB_TESTS = tests/lab/test_lab.py tests/lab/test_hangs.py tests/lab/test_gate.py tests/lab/test_stops.py tests/lab/test_mx.py \
	tests/lab/test_beside.py tests/lab/test_tour.py tests/lab/test_limits.py

include tests/lab/audit.mk
include tests/lab/faultfs.mk
include tests/conformance/agents.mk

LAB_PYTEST = cd $(srcdir) && PYTHONDONTWRITEBYTECODE=1 UNDERSTUDY_BUILD='$(abs_top_builddir)' \
	/usr/bin/python3 -m pytest -p no:cacheprovider -o markers='long: minutes; not in check-lab' -q -rs --durations=15

# check-agents: the agents alone, in namespaces of their own. check-cluster: the whole cluster. check-lab: both.
# check-lab-long: what they leave out, with a campaign of random faults that lasts MINUTES and comes from SEED.
check-agents: all
	$(LAB_PYTEST) -m 'not long' $(agent_lab_tests)

check-cluster: all
	$(LAB_PYTEST) -m 'not long' $(LAB_TESTS)

check-lab: all
	$(LAB_PYTEST) -m 'not long' $(agent_lab_tests) $(LAB_TESTS)

check-lab-long: all
	export MINUTES='$(MINUTES)' SEED='$(SEED)'; $(LAB_PYTEST) -m long $(agent_lab_tests) $(LAB_TESTS)

.PHONY: check-agents check-cluster check-lab check-lab-long
