# SPDX-License-Identifier: GPL-2.0-or-later
bin_PROGRAMS += understudy
understudy_SOURCES = %D%/main.c %D%/cli.h %D%/options.c %D%/text.c %D%/ask.c %D%/client.c %D%/client.h \
	%D%/cmd_status.c %D%/cmd_explain.c %D%/cmd_act.c %D%/cmd_init.c %D%/cmd_report.c \
	%D%/cmd_switchover.c %D%/cmd_maintain.c %D%/cmd_check.c \
	%D%/cmd_gate.c %D%/gate_look.c %D%/gate_look.h \
	%D%/cmd_state.c %D%/check_host.c %D%/check_host.h %D%/check_mailman.c %D%/check_mailman2.c %D%/listchild.c %D%/listchild.h
understudy_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(JANSSON_CFLAGS)
understudy_LDADD = libcore.a libepoch.a libresource.a libcommon.a $(QB_LIBS) $(JANSSON_LIBS) $(INI_LIBS)

TESTS += tests/unit/gate_test.py
EXTRA_DIST += tests/unit/gate_test.py

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cli_options_test tests/unit/safety_test
TESTS += tests/unit/cli_options_test tests/unit/safety_test
endif
tests_unit_cli_options_test_SOURCES = tests/unit/cli_options_test.c %D%/options.c %D%/text.c
tests_unit_cli_options_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS) $(QB_CFLAGS)
tests_unit_cli_options_test_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)

TESTS += tests/unit/check_config_test.py tests/unit/cli_state_test.py
EXTRA_DIST += tests/unit/check_config_test.py tests/unit/cli_state_test.py
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/check_host_test
TESTS += tests/unit/check_host_test
endif
tests_unit_check_host_test_SOURCES = tests/unit/check_host_test.c %D%/check_mailman.c %D%/check_mailman2.c
tests_unit_check_host_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_check_host_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(JANSSON_LIBS)
tests_unit_safety_test_SOURCES = tests/unit/safety_test.c %D%/text.c agent/daemon/engine_safety.c
tests_unit_safety_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_safety_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(JANSSON_LIBS)
