/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_test: the kept seeds, each scenario over some seeds, then many more seeds; TAP out. tests/sim/README. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#define FAILED_SEEDS "sim-failed-seeds"

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
        result(run_one(&world, seed, NULL), what);
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
    char what[200];
    snprintf(what, sizeof what, "seeds %llu to %llu: no violation", (unsigned long long)first,
             (unsigned long long)(first + count - 1));
    result(run_seeds(&world, first, count, NULL), what);
}

static void run_scenarios(uint64_t first, uint64_t count, const struct scenario *only)
{
    char what[200];
    for (unsigned i = 0; scenario_at(i); i++) {
        const struct scenario *s = scenario_at(i);
        if (only && s != only)
            continue;
        snprintf(what, sizeof what, "scenario %s, %llu seeds", scenario_name(s), (unsigned long long)count);
        result(run_seeds(&world, first, count, s), what);
    }
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

static void trace_one(uint64_t seed, const struct scenario *s)
{
    static struct sim_script script;
    script.scenario = s;
    world_run_script(&world, seed, true, s ? &script : NULL);
    result(world.failed == CHECK_NONE, world.failed ? world.failure : "no violation");
    if (world.failed)
        shrink(&world, seed, getenv("SIM_TRACE") != NULL, s);
}

/* The name of a scenario: --scenario NAME or SIM_SCENARIO; `--list` names them all. */
static const char *wanted(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--scenario") == 0)
        return argv[2];
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        scenario_list();
        exit(0);
    }
    if (argc > 1) {
        fprintf(stderr, "usage: sim_test [--list | --scenario NAME]\nThe rest is said by the environment: see tests/sim/README.\n");
        exit(2);
    }
    return getenv("SIM_SCENARIO");
}

int main(int argc, char **argv)
{
    const char *name = wanted(argc, argv);
    bool drawn = name && strcmp(name, "drawn") == 0;
    const struct scenario *s = name && *name ? scenario_find(name) : NULL;
    uint64_t first = number("SIM_FIRST_SEED", 1), count = number("SEEDS", 2000);
    if (name && *name && !s && !drawn) {
        fprintf(stderr, "sim_test: there is no scenario \"%s\"; `sim_test --list` names all; \"drawn\" is none\n", name);
        return 2;
    }
    signal(SIGABRT, on_abort);
    sim_index_rules();
    if (getenv("SIM_SEED")) {
        trace_one(number("SIM_SEED", 1), s);
    } else if (s) {
        run_scenarios(first, count, s);
    } else if (drawn) {
        run_many(first, count);
        report_rules(count >= 50000);
    } else {
        run_kept();
        run_twice(first);
        uint64_t each = count / 20;
        run_scenarios(first, each < 20 ? 20 : each > 2000 ? 2000 : each, NULL);
        run_many(first, count);
        report_rules(count >= 50000);
    }
    printf("1..%u\n", tests);
    return failures != 0;
}
