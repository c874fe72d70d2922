# SPDX-License-Identifier: GPL-2.0-or-later
# make bench-state [BENCH_ARGS='--dir FOLDER --sizes N,... --runs N']: see README. The figures go to bench-state.json.
check_PROGRAMS += tests/bench/measure
tests_bench_measure_SOURCES = %D%/measure.c
EXTRA_DIST += %D%/README %D%/state_bench.py

.PHONY: bench-state
bench-state: understudy-state tests/bench/measure
	/usr/bin/python3 $(top_srcdir)/tests/bench/state_bench.py --build . --json bench-state.json $(BENCH_ARGS)
