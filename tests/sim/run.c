/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many seeds, a process a core; what each has counted is added up at the end. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define JOBS_MAX 64
#define FAILED_SEEDS "sim-failed-seeds" /* in the build folder; replayed first from then on; mended, it belongs into seeds/kept */

struct count { uint64_t runs, failed, takeovers, with_takeover, begun, steps, simulated, helped, rule[W_RULES]; };

unsigned sim_jobs(void)
{
    const char *s = getenv("SIM_JOBS");
    long n = s && *s ? strtol(s, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > JOBS_MAX ? JOBS_MAX : (unsigned)n;
}

static void keep_seed(const struct world *w)
{
    FILE *f = fopen(FAILED_SEEDS, "a");
    if (!f || fprintf(f, "%llu %s: %s\n", (unsigned long long)w->seed, world_checker_name(w->failed), w->failure) < 0)
        printf("# can not keep the seed in " FAILED_SEEDS "\n");
    if (f)
        fclose(f);
}

bool run_one(struct world *w, uint64_t seed, const struct scenario *s)
{
    static const struct sim_script none;
    struct sim_script script = none;
    script.scenario = s;
    world_run_script(w, seed, false, s ? &script : NULL);
    if (!w->failed)
        return true;
    printf("# seed %llu at %llu ms: %s: %s\n# replay: SIM_SEED=%llu %s%s ./sim_test\n", (unsigned long long)seed,
           (unsigned long long)w->now, world_checker_name(w->failed), w->failure, (unsigned long long)seed,
           s ? "SIM_SCENARIO=" : "", s ? scenario_name(s) : "");
    fflush(stdout);
    return false;
}

static void add_run(struct count *c, const struct world *w)
{
    c->runs++;
    c->takeovers += w->takeovers;
    c->with_takeover += w->takeovers > w->base_takeovers;
    c->begun += w->base_at != 0;
    c->steps += w->steps;
    c->simulated += w->now;
    c->helped += w->helped;
}

static void work(struct world *w, uint64_t first, uint64_t end, unsigned stride, const struct scenario *s, struct count *c)
{
    memset(c, 0, sizeof *c);
    for (uint64_t seed = first; seed < end && c->failed < 5; seed += stride) {
        bool good = run_one(w, seed, s);
        add_run(c, w);
        if (good)
            continue;
        if (!s)
            keep_seed(w);
        if (c->failed++ == 0) /* one list of events a process is enough to begin with */
            shrink(w, seed, false, s);
        fflush(stdout);
    }
    memcpy(c->rule, sim_rule_fired, sizeof c->rule);
}

static void add_up(struct count *sum, const struct count *c)
{
    const uint64_t *from = (const uint64_t *)c;
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof *c / sizeof *to; i++)
        to[i] += from[i];
}

/* Returns the pipe that its count comes from, or -1. */
static int begin(struct world *w, uint64_t first, uint64_t end, unsigned stride, const struct scenario *s)
{
    int fd[2];
    struct count c;
    if (pipe(fd) < 0)
        return -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid != 0) {
        close(fd[1]);
        if (pid < 0)
            close(fd[0]);
        return pid < 0 ? -1 : fd[0];
    }
    work(w, first, end, stride, s, &c);
    fflush(stdout);
    exit(write(fd[1], &c, sizeof c) == (ssize_t)sizeof c ? 0 : 1);
}

/* A process that dies has told why, and has no count. */
static bool gather(struct count *sum, int *fd, unsigned n)
{
    bool good = true;
    struct count c;
    memset(sum, 0, sizeof *sum);
    for (unsigned i = 0; i < n; i++) {
        int status = 0;
        bool whole = fd[i] >= 0 && read(fd[i], &c, sizeof c) == (ssize_t)sizeof c;
        if (fd[i] >= 0) {
            close(fd[i]);
            good &= wait(&status) > 0 && status == 0;
        }
        good &= whole;
        if (whole)
            add_up(sum, &c);
    }
    return good;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* No violation in any of them, and the outcome that the scenario names. */
bool run_seeds(struct world *w, uint64_t first, uint64_t count, const struct scenario *s)
{
    int fd[JOBS_MAX];
    struct count c;
    double from = seconds();
    unsigned jobs = sim_jobs();
    for (unsigned i = 0; i < jobs; i++) {
        memset(sim_rule_fired, 0, sizeof sim_rule_fired);
        fd[i] = begin(w, first + i, first + count, jobs, s);
    }
    bool good = gather(&c, fd, jobs);
    memcpy(sim_rule_fired, c.rule, sizeof c.rule);
    double took = seconds() - from;
    if (s)
        return good && c.failed == 0 && c.begun == c.runs && scenario_outcome(s, c.runs, c.with_takeover);
    printf("# %llu schedules in %.1f s (%.0f a second, %u processes), %.1f simulated hours, %llu rules fired, %llu takeovers,"
           " %llu needed an operator\n", (unsigned long long)c.runs, took, (double)c.runs / took, jobs,
           (double)c.simulated / 3.6e6, (unsigned long long)c.steps, (unsigned long long)c.takeovers,
           (unsigned long long)c.helped);
    return good && c.failed == 0 && c.runs == count;
}
