# SPDX-License-Identifier: GPL-2.0-or-later
check_PROGRAMS += sim_test sim_mutants
TESTS += sim_test sim_mutants
EXTRA_DIST += %D%/README %D%/seeds/kept
CLEANFILES += sim-failed-seeds
sim_world = %D%/world.h %D%/world.c %D%/queue.c %D%/params.c %D%/share.c %D%/net.c %D%/host.c %D%/child.c %D%/effect.c \
	%D%/driver.c %D%/faults.c %D%/scenario.c %D%/operator.c %D%/checkers.c %D%/quiet.c
sim_test_SOURCES = $(sim_world) %D%/shrink.c %D%/run.c %D%/main.c
sim_test_LDADD = libcore.a -lm
# The same archive, with the table, the legal moves and the invariant replaced by breakable copies.
sim_mutants_SOURCES = $(sim_world) %D%/shrink.c %D%/mutants.c
sim_mutants_LDADD = libcore.a -lm

# make check-sim SEEDS=N SIM_FIRST_SEED=S SIM_SCENARIO=NAME: first that every checker is alive, then the run
.PHONY: check-sim
check-sim: sim_test sim_mutants
	$(AM_TESTS_ENVIRONMENT) SEEDS='$(SEEDS)'; SIM_FIRST_SEED='$(SIM_FIRST_SEED)'; SIM_SCENARIO='$(SIM_SCENARIO)'; \
	export SEEDS SIM_FIRST_SEED SIM_SCENARIO; ./sim_mutants && SEEDS=$${SEEDS:-100000} ./sim_test
