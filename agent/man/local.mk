# SPDX-License-Identifier: GPL-2.0-or-later
dist_man_MANS += agent/man/understudyd.8 agent/man/understudy.8 agent/man/understudy.conf.5
dist_man_MANS += agent/man/understudy-gate-setup.8
dist_man_MANS += agent/man/understudy-epoch.8 agent/man/understudy-state.8
dist_man_MANS += agent/man/ocf_understudy_mailman3.7 agent/man/ocf_understudy_address.7 agent/man/understudy-intake.8 agent/man/understudy-poke.8
dist_man_MANS += agent/man/ocf_understudy_mailman2.7 agent/man/understudy-post.8
