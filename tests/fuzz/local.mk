# SPDX-License-Identifier: GPL-2.0-or-later
# One program a parser. In an ordinary build it replays its corpus; with --with-sanitizers=fuzzer,asan,ubsan libFuzzer drives it.
fuzz_targets = fuzz_answer fuzz_config fuzz_cpgmsg fuzz_epoch fuzz_job fuzz_left fuzz_lines fuzz_lmtp fuzz_mounts fuzz_neighbour fuzz_netlink \
	fuzz_output fuzz_process fuzz_request fuzz_shared fuzz_tenure fuzz_text fuzz_told fuzz_watch
check_PROGRAMS += $(fuzz_targets)
EXTRA_DIST += %D%/README %D%/corpus
if FUZZER
fuzz_driver =
fuzz_link = $(AM_LDFLAGS) -fsanitize=fuzzer
else
TESTS += $(fuzz_targets)
fuzz_driver = %D%/replay.c
fuzz_link = $(AM_LDFLAGS)
endif
fuzz_answer_SOURCES = %D%/fuzz_answer.c %D%/fuzz.h $(fuzz_driver) \
	agent/cli/ask.c agent/cli/client.c agent/cli/text.c agent/cli/check_mailman.c agent/cli/listchild.c \
	agent/cli/cmd_explain.c agent/cli/cmd_state.c agent/cli/cmd_status.c
fuzz_answer_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(JANSSON_CFLAGS)
fuzz_answer_LDFLAGS = $(fuzz_link)
fuzz_answer_LDADD = libcore.a libresource.a libcommon.a $(QB_LIBS) $(JANSSON_LIBS) $(INI_LIBS)
fuzz_config_SOURCES = %D%/fuzz_config.c %D%/fuzz.h $(fuzz_driver)
fuzz_config_LDFLAGS = $(fuzz_link)
fuzz_config_LDADD = libcommon.a $(INI_LIBS)
fuzz_cpgmsg_SOURCES = %D%/fuzz_cpgmsg.c %D%/fuzz.h $(fuzz_driver)
fuzz_cpgmsg_LDFLAGS = $(fuzz_link)
fuzz_cpgmsg_LDADD = libcommon.a
fuzz_epoch_SOURCES = %D%/fuzz_epoch.c %D%/fuzz.h $(fuzz_driver)
fuzz_epoch_LDFLAGS = $(fuzz_link)
fuzz_epoch_LDADD = libepoch.a libcommon.a
fuzz_job_SOURCES = %D%/fuzz_job.c %D%/fuzz.h $(fuzz_driver)
fuzz_job_LDFLAGS = $(fuzz_link)
fuzz_job_LDADD = $(executor_libs)
fuzz_left_SOURCES = %D%/fuzz_left.c %D%/fuzz.h %D%/fuzz_dir.h $(fuzz_driver)
fuzz_left_LDFLAGS = $(fuzz_link)
fuzz_left_LDADD = libstate.a libcommon.a
fuzz_lines_SOURCES = %D%/fuzz_lines.c %D%/fuzz.h %D%/fuzz_dir.h $(fuzz_driver)
fuzz_lines_LDFLAGS = $(fuzz_link)
fuzz_lines_LDADD = libstate.a libcommon.a
fuzz_lmtp_SOURCES = %D%/fuzz_lmtp.c %D%/fuzz.h $(fuzz_driver)
fuzz_lmtp_LDFLAGS = $(fuzz_link)
fuzz_lmtp_LDADD = libresource.a libcommon.a
fuzz_mounts_SOURCES = %D%/fuzz_mounts.c %D%/fuzz.h $(fuzz_driver) resource/share_busy.c
fuzz_mounts_LDFLAGS = $(fuzz_link)
fuzz_mounts_LDADD = libepoch.a libresource.a libcommon.a
fuzz_neighbour_SOURCES = %D%/fuzz_neighbour.c %D%/fuzz.h $(fuzz_driver)
fuzz_neighbour_LDFLAGS = $(fuzz_link)
fuzz_neighbour_LDADD = libresource.a libcommon.a
fuzz_netlink_SOURCES = %D%/fuzz_netlink.c %D%/fuzz.h $(fuzz_driver)
fuzz_netlink_LDFLAGS = $(fuzz_link)
fuzz_netlink_LDADD = libresource.a libcommon.a $(MNL_LIBS)
fuzz_output_SOURCES = %D%/fuzz_output.c %D%/fuzz.h $(fuzz_driver)
fuzz_output_LDFLAGS = $(fuzz_link)
fuzz_output_LDADD = $(executor_libs)
fuzz_process_SOURCES = %D%/fuzz_process.c %D%/fuzz.h $(fuzz_driver) resource/share_busy.c resource/stagger.c
fuzz_process_LDFLAGS = $(fuzz_link)
fuzz_process_LDADD = libresource.a libstate.a libengine.a libcommon.a
fuzz_request_SOURCES = %D%/fuzz_request.c %D%/fuzz.h $(fuzz_driver) \
	agent/daemon/engine_recover.c agent/daemon/engine_reload.c agent/daemon/engine_request.c
fuzz_request_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(JANSSON_CFLAGS)
fuzz_request_LDFLAGS = $(fuzz_link)
fuzz_request_LDADD = $(engine_libs)
fuzz_shared_SOURCES = %D%/fuzz_shared.c %D%/fuzz.h $(fuzz_driver)
fuzz_shared_LDFLAGS = $(fuzz_link)
fuzz_shared_LDADD = libstate.a libcommon.a
fuzz_tenure_SOURCES = %D%/fuzz_tenure.c %D%/fuzz.h $(fuzz_driver)
fuzz_tenure_LDFLAGS = $(fuzz_link)
fuzz_tenure_LDADD = libcommon.a
fuzz_text_SOURCES = %D%/fuzz_text.c %D%/fuzz.h $(fuzz_driver)
fuzz_text_LDFLAGS = $(fuzz_link)
fuzz_text_LDADD = libresource.a libstate.a libengine.a libcommon.a
fuzz_told_SOURCES = %D%/fuzz_told.c %D%/told_world.c %D%/told_world.h %D%/told_says.c %D%/fuzz.h $(fuzz_driver) \
	agent/daemon/engine_events.c agent/daemon/engine_parts.c agent/daemon/engine_rogue.c agent/daemon/engine_recover.c \
	agent/daemon/engine_reload.c agent/daemon/engine_request.c
fuzz_told_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(JANSSON_CFLAGS) -pthread
fuzz_told_LDFLAGS = $(fuzz_link)
fuzz_told_LDADD = libengine.a libcore.a libexecutor.a libcommon.a $(QB_LIBS) $(JANSSON_LIBS) $(INI_LIBS)
fuzz_watch_SOURCES = %D%/fuzz_watch.c %D%/fuzz.h $(fuzz_driver)
fuzz_watch_LDFLAGS = $(fuzz_link)
fuzz_watch_LDADD = libengine.a libcommon.a

# make check-fuzz FUZZ_SECONDS=N FUZZ_TARGETS='...': each for so long; what is new is kept in fuzz-new/TARGET, a finding in fuzz-found/.
FUZZ_SECONDS = 60
FUZZ_TARGETS = $(fuzz_targets)
.PHONY: check-fuzz
check-fuzz: $(fuzz_targets)
if FUZZER
	@mkdir -p fuzz-found; for t in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz-new/$$t; echo "$$t: $(FUZZ_SECONDS) s"; \
	  ./$$t -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 -print_final_stats=1 -artifact_prefix=fuzz-found/$$t- \
	    fuzz-new/$$t $(srcdir)/tests/fuzz/corpus/$$t >fuzz-new/$$t.log 2>&1 \
	    || { tail -40 fuzz-new/$$t.log; echo "$$t: a finding; again: ./$$t fuzz-found/$$t-*"; exit 1; }; \
	  sed -n 's/^stat::/  /p' fuzz-new/$$t.log; \
	done
else
	@echo "check-fuzz needs libFuzzer: configure CC=clang --with-sanitizers=fuzzer,asan,ubsan" >&2; exit 1
endif
