# SPDX-License-Identifier: GPL-2.0-or-later
include resource/epoch/local.mk
include resource/state/local.mk

# Parts that the agents and their tests share.
noinst_LIBRARIES += libresource.a
libresource_a_SOURCES = \
	%D%/ocf.c %D%/ocf.h \
	%D%/arp.c %D%/arp.h %D%/nd.c %D%/nd.h \
	%D%/dbprobe.c %D%/dbprobe.h %D%/deferred.c %D%/deferred.h \
	%D%/intake.c %D%/intake.h \
	%D%/listuser.c %D%/listuser.h \
	%D%/lmtp.c %D%/lmtp.h \
	%D%/listserver.h %D%/listserver_params.c %D%/listserver_view.c \
	%D%/mailman3.h %D%/mailman3_config.c %D%/mailman3_params.c \
	%D%/mailman2.h %D%/mailman2_config.c %D%/mailman2_params.c \
	%D%/masterlock.c %D%/masterlock.h \
	%D%/netlink.c %D%/netlink.h \
	%D%/neighbour.c %D%/neighbour.h %D%/ndp.c %D%/ndp.h \
	%D%/openfiles.c %D%/openfiles.h \
	%D%/safepoint.c %D%/safepoint.h \
	%D%/sockdiag.c %D%/sockdiag.h \
	%D%/address.h %D%/address_params.c
libresource_a_CFLAGS = $(AM_CFLAGS) $(MNL_CFLAGS) $(NDP_CFLAGS)

# The metadata is written at build time, so that no action carries an XML library.
noinst_PROGRAMS += %D%/ocf_metadata
%C%_ocf_metadata_SOURCES = %D%/ocf_metadata.c
%C%_ocf_metadata_CFLAGS = $(AM_CFLAGS) $(XML_CFLAGS)
%C%_ocf_metadata_LDADD = libresource.a libstate.a libcommon.a $(XML_LIBS)

%D%/mailman3_meta.c: %D%/ocf_metadata$(EXEEXT)
	$(AM_V_GEN)$(builddir)/%D%/ocf_metadata$(EXEEXT) mailman3 >$@.new && mv $@.new $@
%D%/mailman2_meta.c: %D%/ocf_metadata$(EXEEXT)
	$(AM_V_GEN)$(builddir)/%D%/ocf_metadata$(EXEEXT) mailman2 >$@.new && mv $@.new $@
%D%/address_meta.c: %D%/ocf_metadata$(EXEEXT)
	$(AM_V_GEN)$(builddir)/%D%/ocf_metadata$(EXEEXT) address >$@.new && mv $@.new $@
CLEANFILES += %D%/mailman3_meta.c %D%/mailman2_meta.c %D%/address_meta.c

ocfagents_PROGRAMS += %D%/mailman3 %D%/mailman2 %D%/address
# How a list server is started, stopped, released and resumed, whichever it is.
noinst_LIBRARIES += liblistserver.a
liblistserver_a_SOURCES = %D%/listserver_start.c %D%/listserver_start.h %D%/listserver_stop.c %D%/listserver_wait.c \
	%D%/frozen.c %D%/frozen.h %D%/listserver_freeze.c %D%/listserver_kill.c %D%/listserver_kill.h %D%/listserver_release.c \
	%D%/listserver_release.h %D%/listserver_resume.c %D%/queuelook.c %D%/queuelook.h %D%/stagger.c %D%/stagger.h
%C%_mailman3_SOURCES = %D%/mailman3.c %D%/mailman3_launch.c
nodist_%C%_mailman3_SOURCES = %D%/mailman3_meta.c
%C%_mailman3_LDADD = liblistserver.a libresource.a libstate.a libcommon.a $(MNL_LIBS)
%C%_mailman2_SOURCES = %D%/mailman2.c %D%/mailman20.c %D%/mailman2_launch.c
nodist_%C%_mailman2_SOURCES = %D%/mailman2_meta.c
%C%_mailman2_LDADD = liblistserver.a libresource.a libstate.a libcommon.a $(MNL_LIBS)
%C%_address_SOURCES = %D%/address.c
nodist_%C%_address_SOURCES = %D%/address_meta.c
%C%_address_LDADD = libresource.a libcommon.a $(MNL_LIBS) $(NDP_LIBS)

pkglibexec_PROGRAMS += %D%/understudy-intake
%C%_understudy_intake_SOURCES = %D%/intake_main.c
%C%_understudy_intake_LDADD = libresource.a libcommon.a

pkglibexec_PROGRAMS += %D%/understudy-share
%C%_understudy_share_SOURCES = %D%/share_main.c %D%/share_busy.c %D%/share_busy.h
%C%_understudy_share_LDADD = libcommon.a

TESTS += tests/unit/share_test.py
EXTRA_DIST += tests/unit/share_test.py
pkglibexec_PROGRAMS += %D%/understudy-poke
%C%_understudy_poke_SOURCES = %D%/poke.c %D%/poke_main.c %D%/poke.h
%C%_understudy_poke_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
%C%_understudy_poke_LDADD = libcommon.a $(CURL_LIBS) $(INI_LIBS)

pkglibexec_SCRIPTS += %D%/mailman-db-probe %D%/mailman-conf %D%/understudy-post
EXTRA_DIST += %D%/mailman-db-probe %D%/mailman-conf %D%/understudy-post

if HAVE_CMOCKA
resource_tests = tests/unit/agent_test tests/unit/lmtp_test tests/unit/neighbour_test tests/unit/safepoint_test \
	tests/unit/deferred_test
check_PROGRAMS += $(resource_tests)
TESTS += $(resource_tests)
endif
tests_unit_agent_test_SOURCES = tests/unit/agent_test.c
tests_unit_agent_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_agent_test_LDADD = libresource.a libstate.a libcommon.a $(CMOCKA_LIBS)
tests_unit_deferred_test_SOURCES = tests/unit/deferred_test.c
tests_unit_deferred_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_deferred_test_LDADD = libresource.a libstate.a libcommon.a $(CMOCKA_LIBS)
tests_unit_lmtp_test_SOURCES = tests/unit/lmtp_test.c
tests_unit_lmtp_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_lmtp_test_LDADD = libresource.a libcommon.a $(CMOCKA_LIBS) $(MNL_LIBS)
tests_unit_neighbour_test_SOURCES = tests/unit/neighbour_test.c
tests_unit_neighbour_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_neighbour_test_LDADD = libresource.a libcommon.a $(CMOCKA_LIBS)
tests_unit_safepoint_test_SOURCES = tests/unit/safepoint_test.c
tests_unit_safepoint_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_safepoint_test_LDADD = libresource.a libcommon.a $(CMOCKA_LIBS)

TESTS += tests/conformance/ocf_agents.sh
EXTRA_DIST += tests/conformance/ocf_agents.sh

TESTS += tests/unit/poke_test.py tests/unit/post_test.py
EXTRA_DIST += tests/unit/poke_test.py tests/unit/post_test.py
