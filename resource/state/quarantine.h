/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving a file out of the way so that nothing is lost and nothing is trusted: by rename, into .understudy-quarantine
 * beside it, under a name that nobody else has (reliability L5). Nothing is ever removed or overwritten. */
#ifndef UNDERSTUDY_QUARANTINE_H
#define UNDERSTUDY_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define QUARANTINE_NAME ".understudy-quarantine"

/* Opens the quarantine below `dirfd`, made if need be. A descriptor, or -errno; -EPERM when what has that name is not a
 * directory of ours. */
int quarantine_open(int dirfd);
/* Two links of one file, or one. */
bool quarantine_same_file(const struct stat *a, const struct stat *b);

/* The right to move judged files there: one process of this node has it at a time, until it ends or closes `quarantine`.
 * Who judges a lock while it has the right knows that no other of us takes it away before the move; on other nodes nobody
 * may clear what this node may (reliability L4). Of the kernel, also for a directory on NFS: nothing is left behind by a
 * death. Two mounts that share no cache (nosharecache) are two directories to it. 0; -EBUSY another has it; or another -errno. */
int quarantine_right(int quarantine);

/* Moves `name` there, as EPOCH.RANDOM.PREFIXname. With `judged`, what is moved must be that very inode (whose
 * descriptor the caller holds). 0; -ENOENT it was gone already; -ESTALE another file had taken its name: it was not touched,
 * or put back, stop; or another -errno. */
int quarantine_move(int dirfd, const char *name, int quarantine, uint64_t epoch, const char *prefix,
                    const struct stat *judged);

/* The same, but `name` stays: the quarantine gets another link of it, for what is to be replaced by rename. 0; -ESTALE: it is
 * not the inode that was judged, nothing was kept; or another -errno. */
int quarantine_keep(int dirfd, const char *name, int quarantine, uint64_t epoch, const char *prefix, const struct stat *judged);

/* The move itself, to a name of the caller's that nobody else has. Results of quarantine_move(). */
int quarantine_rename(int dirfd, const char *name, int there, const char *target, const struct stat *judged);

#endif
