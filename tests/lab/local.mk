# SPDX-License-Identifier: GPL-2.0-or-later
# The lab and the tests that need it: as root, minutes rather than seconds, hence not part of `make check`.
EXTRA_DIST += \
	tests/lab/README \
	tests/lab/chassis_control.py \
	tests/lab/conftest.py \
	tests/lab/lab \
	tests/lab/labconf.py \
	tests/lab/labd.py \
	tests/lab/labfaults.py \
	tests/lab/labhost.py \
	tests/lab/labinit.py \
	tests/lab/lablib.py \
	tests/lab/labmachine.py \
	tests/lab/labmailman2.py \
	tests/lab/labns.py \
	tests/lab/labparts.py \
	tests/lab/labpids.py \
	tests/lab/labready.py \
	tests/lab/labshare.py \
	tests/lab/labshares.py \
	tests/lab/labwatchdog.py \
	tests/lab/labwires.py \
	tests/lab/listprep.py \
	tests/lab/manytimes.py \
	tests/lab/prober.py \
	tests/lab/secretwatch.py \
	tests/lab/statustimes.py \
	tests/lab/testlab.py \
	tests/lab/watchdogshim.c \
	tests/lab/clockshim.c \
	tests/lab/fake_systemctl.py \
	tests/lab/watching.py

# Preloaded into understudyd in hosts of `lab up --watchdog`; into all programs of a host whose wall clock jumps.
noinst_DATA = tests/lab/watchdogshim.so tests/lab/clockshim.so
CLEANFILES += tests/lab/watchdogshim.so tests/lab/clockshim.so
tests/lab/watchdogshim.so: tests/lab/watchdogshim.c
	$(AM_V_CCLD)$(MKDIR_P) tests/lab && $(CC) $(CFLAGS) -fPIC -shared -o $@ $(top_srcdir)/tests/lab/watchdogshim.c -ldl
tests/lab/clockshim.so: tests/lab/clockshim.c
	$(AM_V_CCLD)$(MKDIR_P) tests/lab && $(CC) $(CFLAGS) -fPIC -shared -o $@ $(top_srcdir)/tests/lab/clockshim.c

# The lab's own parts and the auditor; the product, in labs of their own or one that they share (conftest.py), which the tour
# wants new; and the drills.
LAB_PARTS = tests/lab/test_lab.py tests/lab/test_faultfs.py tests/lab/test_mx.py tests/lab/test_broken.py tests/lab/test_auditor.py \
	tests/lab/test_drillrules.py
LAB_TESTS = tests/lab/test_stops.py tests/lab/test_beside.py tests/lab/test_drills_ipv6.py tests/lab/test_faulty.py \
	tests/lab/test_tour.py tests/lab/test_limits.py tests/lab/test_hangs.py tests/lab/test_gate.py tests/lab/test_liar.py
LAB_DRILLS = tests/lab/test_drills.py tests/lab/test_drills_days.py tests/lab/test_drills_hostile.py tests/lab/test_drills_mailman2.py
EXTRA_DIST += $(LAB_PARTS) $(LAB_TESTS) $(LAB_DRILLS)

include tests/lab/audit.mk
include tests/lab/faultfs.mk
include tests/lab/uml.mk
include tests/conformance/agents.mk

# LAB_AGAIN=--last-failed runs only what failed the last time.
LAB_PYTEST = cd $(srcdir) && PYTHONDONTWRITEBYTECODE=1 UNDERSTUDY_BUILD='$(abs_top_builddir)' \
	/usr/bin/python3 -m pytest -o cache_dir='$(abs_top_builddir)/tests/lab/$@.cache' -o markers='long: minutes; not in check-lab' \
	-q -rs --durations=15 $(LAB_AGAIN)

# check-agents: the agents alone, in namespaces of their own. check-parts: what the lab is made of, the auditor too.
# check-cluster: the product in a whole cluster. check-drills: its drills. check-lab: all four.
# check-lab-long: what they leave out, with a campaign of random faults that lasts MINUTES and comes from SEED.
check-agents: all
	$(LAB_PYTEST) -m 'not long' $(agent_lab_tests)

check-parts: all
	$(LAB_PYTEST) -m 'not long' $(LAB_PARTS)

check-cluster: all
	$(LAB_PYTEST) -m 'not long' $(LAB_TESTS)

check-drills: all
	$(LAB_PYTEST) -m 'not long' $(LAB_DRILLS)

check-lab: all
	$(LAB_PYTEST) -m 'not long' $(agent_lab_tests) $(LAB_PARTS) $(LAB_TESTS) $(LAB_DRILLS)

check-lab-long: all
	export MINUTES='$(MINUTES)' SEED='$(SEED)'; $(LAB_PYTEST) -m long $(agent_lab_tests) $(LAB_PARTS) $(LAB_TESTS) $(LAB_DRILLS)

# Each drill of SETS TIMES times, in LABS side by side, no new one after MINUTES; goes on where manytimes.jsonl ends.
check-lab-times: all
	times='$(TIMES)'; sets='$(SETS)'; labs='$(LABS)'; minutes='$(MINUTES)'; seed='$(SEED)'; \
	PYTHONDONTWRITEBYTECODE=1 UNDERSTUDY_BUILD='$(abs_top_builddir)' /usr/bin/python3 $(top_srcdir)/tests/lab/manytimes.py \
	--times $${times:-5} --sets $${sets:-hostile} --labs $${labs:-plain=2,faulty=1,ipv6=1} --minutes $${minutes:-60} --seed $${seed:-1}

clean-local:
	rm -rf tests/lab/*.cache

.PHONY: clean-local check-agents check-parts check-cluster check-drills check-lab check-lab-long check-lab-times
