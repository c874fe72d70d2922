/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit codes of understudy's own programs; OCF agents have those of OCF instead. */
#ifndef UNDERSTUDY_EXITCODES_H
#define UNDERSTUDY_EXITCODES_H

enum exit_code {
    EXIT_DONE        = 0,  /* done, or won */
    EXIT_FAILED      = 1,  /* tried and failed: the message says which call */
    EXIT_USAGE       = 2,  /* wrong arguments or configuration; nothing was tried */
    EXIT_LOST        = 3,  /* understudy-epoch: somebody else has it, or a higher epoch exists */
    EXIT_REFUSED     = 3,  /* understudy-state: a lock of a live or unknown owner */
    EXIT_NO_ANSWER   = 3,  /* understudy: the daemon does not answer */
    EXIT_SHARE_WRONG = 4,  /* understudy-epoch: identity, mount point, type or source */
    EXIT_FULL        = 4,  /* understudy-state: the list share has no space for what is to be written */
    EXIT_BEHIND      = 5,  /* understudy-epoch: the share is behind the local maximum */
};

#endif
