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
