/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_test: the kept seeds, then many more; TAP out. SIM_SEED=S replays one with its trace; SEEDS and SIM_FIRST_SEED
 * choose a range; SIM_SHOW_RULES=1 counts each rule. From 50000 seeds on a rule that never fired is a failure. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

static struct world world;
static unsigned tests, failures;

static void result(bool ok, const char *what)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, what);
    failures += !ok;
    fflush(stdout);
}

static unsigned long long number(const char *name, unsigned long long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static bool run_one(uint64_t seed)
{
    world_run(&world, seed, false);
    if (!world.failed)
        return true;
    printf("# seed %llu at %llu ms: %s: %s\n# replay: SIM_SEED=%llu ./sim_test\n", (unsigned long long)seed,
           (unsigned long long)world.now, world_checker_name(world.failed), world.failure, (unsigned long long)seed);
    return false;
}

/* A seed that fails is kept here, in the build folder, and replayed first from then on; mended, it belongs into seeds/kept. */
#define FAILED_SEEDS "sim-failed-seeds"

static void keep_seed(uint64_t seed)
{
    FILE *f = fopen(FAILED_SEEDS, "a");
    if (!f || fprintf(f, "%llu %s: %s\n", (unsigned long long)seed, world_checker_name(world.failed), world.failure) < 0)
        printf("# can not keep the seed in " FAILED_SEEDS "\n");
    if (f)
        fclose(f);
}

static void replay(FILE *f, const char *whence)
{
    char line[256], what[320];
    while (fgets(line, sizeof line, f)) {
        char *end;
        unsigned long long seed = strtoull(line, &end, 0);
        if (end == line || *line == '#')
            continue;
        end[strcspn(end, "\n")] = '\0';
        snprintf(what, sizeof what, "%s seed %llu:%s", whence, seed, end);
        result(run_one(seed), what);
    }
    fclose(f);
}

static void run_kept(void)
{
    char path[512];
    const char *source = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/tests/sim/seeds/kept", source ? source : ".");
    FILE *kept = fopen(path, "r"), *failed = fopen(FAILED_SEEDS, "r");
    if (kept)
        replay(kept, "kept");
    else
        result(false, "can not open tests/sim/seeds/kept: set top_srcdir");
    if (failed)
        replay(failed, "failed");
}

static void run_many(uint64_t first, uint64_t count)
{
    struct timespec a, b;
    uint64_t failed = 0, takeovers = 0, steps = 0, simulated = 0, helped = 0;
    char what[200];
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (uint64_t s = first; s < first + count && failed < 10; s++) {
        if (!run_one(s)) {
            failed++;
            keep_seed(s);
        }
        takeovers += world.takeovers;
        steps += world.steps;
        simulated += world.now;
        helped += world.helped;
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    double took = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("# %llu schedules in %.1f s (%.0f a second), %.1f simulated hours, %llu rules fired, %llu takeovers,"
           " %llu needed an operator\n",
           (unsigned long long)count, took, (double)count / took, (double)simulated / 3.6e6, (unsigned long long)steps,
           (unsigned long long)takeovers, (unsigned long long)helped);
    snprintf(what, sizeof what, "seeds %llu to %llu: no violation", (unsigned long long)first,
             (unsigned long long)(first + count - 1));
    result(failed == 0, what);
}

static void run_twice(uint64_t first)
{
    bool same = true;
    for (uint64_t s = first; s < first + 20; s++) {
        world_run(&world, s, false);
        uint64_t digest = world.digest;
        world_run(&world, s, false);
        same &= digest == world.digest;
    }
    result(same, "the same seed gives the same run");
}

static void report_rules(bool all)
{
    int ids[W_RULES];
    unsigned n = core_rule_ids(ids, W_RULES), missing = 0;
    for (unsigned i = 0; i < n; i++) {
        if (getenv("SIM_SHOW_RULES"))
            printf("# rule %4d fired %llu times: %s\n", ids[i], (unsigned long long)sim_rule_fired[i], core_rule_why(ids[i]));
        if (sim_rule_fired[i] != 0)
            continue;
        missing++;
        printf("# rule %d never fired: %s\n", ids[i], core_rule_why(ids[i]));
    }
    printf("# %u of %u rules fired\n", n - missing, n);
    if (all)
        result(missing == 0, "every rule fired");
}

/* An assertion in the core: say which seed, then die as usual. */
static void on_abort(int sig)
{
    printf("not ok %u - assertion in seed %llu at %llu ms\n# replay: SIM_SEED=%llu ./sim_test\n", ++tests,
           (unsigned long long)world.seed, (unsigned long long)world.now, (unsigned long long)world.seed);
    fflush(stdout);
    signal(sig, SIG_DFL);
    raise(sig);
}

int main(void)
{
    signal(SIGABRT, on_abort);
    uint64_t first = number("SIM_FIRST_SEED", 1), count = number("SEEDS", 2000);
    sim_index_rules();
    if (getenv("SIM_SEED")) {
        world_run(&world, number("SIM_SEED", 1), true);
        result(world.failed == CHECK_NONE, world.failed ? world.failure : "no violation");
        printf("1..%u\n", tests);
        return failures != 0;
    }
    run_kept();
    run_twice(first);
    run_many(first, count);
    report_rules(count >= 50000);
    printf("1..%u\n", tests);
    return failures != 0;
}
