# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += tests/conformance/lint.py tests/conformance/tarball.sh
check_PROGRAMS += core_table_test
core_table_test_SOURCES = %D%/core_table_test.c
core_table_test_LDADD = libcore.a
TESTS += core_table_test %D%/core_purity.sh
EXTRA_DIST += %D%/core_purity.sh %D%/rules.golden
# What each attacker must not get, and the test that shows it.
TESTS += %D%/threats_test.py
EXTRA_DIST += %D%/threats.md %D%/threats_test.py
EXTRA_DIST += %D%/core_mutants.py %D%/core_mutants.explained

# The core broken in some 1800 ways, one at a time; several minutes. MUTANTS=REGEX runs those whose description matches.
.PHONY: check-mutants
check-mutants: tests/unit/core_test sim_test core_table_test
	$(AM_TESTS_ENVIRONMENT) /usr/bin/python3 $(top_srcdir)/tests/conformance/core_mutants.py \
		--source $(top_srcdir) --build . --only '$(MUTANTS)'
EXTRA_DIST += %D%/core_coverage.py %D%/core_coverage.explained

# Branches of the core that neither its unit tests nor the simulator take.
.PHONY: check-coverage
check-coverage: tests/unit/core_test sim_test core_table_test
	$(AM_TESTS_ENVIRONMENT) /usr/bin/python3 $(top_srcdir)/tests/conformance/core_coverage.py --source $(top_srcdir) --build .
