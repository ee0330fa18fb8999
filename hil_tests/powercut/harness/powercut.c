/*
 * The power-cut proof: runs each scenario once to count its flash operations, then again with a cut
 * at each of them, and again with a second cut at each operation of the recovery. Each operation
 * that no start makes fails once as well, without a cut until the board is done.
 *
 *     powercut SEED [SCENARIO...]
 *     powercut --list
 *
 * Prints one line per fact: `total N`, `done N`, `scenario NAME CUT_POINTS TORN DOUBLE_CUT
 * VIOLATIONS FAILURES RECOVERY_OPERATIONS`, `violation SCENARIO: TEXT`.
 */
#include "board.h"
#include "client.h"
#include "engine.h"
#include "flash.h"
#include "promises.h"
#include "scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /** How many violations of a scenario are described. */
    DESCRIBED = 3,
    /** A board that hangs so often in a scenario is not asked again. */
    MAX_HANGS = 3,
    REPORT_EVERY = 256,
};

/** All that outlives a cut. */
struct world {
    struct flash flash;
    struct promises promises;
};

struct tally {
    uint32_t cut_points;
    uint32_t torn;
    uint32_t double_cut;
    uint32_t failures;
    uint32_t violations;
    uint32_t hangs;
};

static uint64_t seed;
static uint32_t done;
/* Of the scenario that runs. */
static uint32_t most_recovery_operations;
static void (*use)(void);

/** The second time, the cut was not reached. */
static void not_repeatable(void) {
    violate("the board does something else each time");
}

static void save(struct world *world) {
    world->flash = flash;
    world->promises = promises;
}

static void restore(const struct world *world) {
    flash = world->flash;
    promises = world->promises;
}

static void begin_anew(void) {
    flash_arm((struct cut){CUT_NONE});
    board_make(seed);
    promises_reset();
}

/** The first start after a cut; leaves its operations in the flash's log. */
static void recover(void) {
    flash_arm((struct cut){CUT_NONE});
    board_start();
    uint32_t operations = flash_operations();
    if (operations > RECOVERY_OPERATIONS) {
        violate("the start after the cut took %u flash operations, the limit is %d", operations,
                RECOVERY_OPERATIONS);
    }
    if (operations > most_recovery_operations) {
        most_recovery_operations = operations;
    }
}

/** Every promise is kept, what comes next works, and still does after another start. */
static void hold_to_promises(void) {
    client_check();
    use();
    board_start();
    client_check();
    client_check_wear();
}

/** The flash failed and the board said so: it goes on as if it had not been asked. */
static void go_on_after_failure(void) {
    flash_arm((struct cut){CUT_NONE});
    client_check_running();
}

static void recover_and_check(void) {
    recover();
    hold_to_promises();
}

static void describe_cut(char *text, size_t bytes, struct cut cut, struct operation operation) {
    static const char *const kinds[] = {"", "cut before", "cut in the middle of", "cut after",
                                        "failure of"};
    int used = snprintf(text, bytes, "%s operation %u (", kinds[cut.kind], cut.operation);
    char *rest = text + used;
    size_t left = bytes - (size_t)used;
    if (operation.is_erase) {
        used = snprintf(rest, left, "erase at %#x", operation.offset);
    } else {
        used =
            snprintf(rest, left, "program of %u units at %#x", operation.units, operation.offset);
    }
    if (cut.kind == CUT_TORN || cut.kind == FAILURE) {
        snprintf(rest + used, left - (size_t)used, ", variant %u)", cut.variant);
    } else {
        snprintf(rest + used, left - (size_t)used, ")");
    }
}

static void count_violation(const struct scenario *scenario, struct tally *tally,
                            enum outcome outcome, const char *where) {
    tally->violations++;
    tally->hangs += outcome == HUNG ? 1 : 0;
    if (tally->violations <= DESCRIBED) {
        printf("violation %s: %s; seed %llu: %s\n", scenario->name, where, (unsigned long long)seed,
               broken_promise);
        fflush(stdout);
    }
}

/** The cut behind `cut`; false: it was the last one of this operation. */
static bool next_cut(struct cut *cut, const struct operation *operation) {
    if (cut->kind == CUT_BEFORE) {
        cut->kind = CUT_TORN;
        cut->variant = 0;
        return true;
    }
    if (cut->kind == CUT_TORN) {
        if (++cut->variant == flash_torn_variants(operation)) {
            cut->kind = CUT_AFTER;
        }
        return true;
    }
    if (cut->kind == CUT_AFTER && !operation->is_in_start) {
        cut->kind = FAILURE;
        cut->variant %= flash_torn_variants(operation);
        return true;
    }
    return false;
}

/** Cut again at every operation of the recovery. */
static void cut_recovery(const struct scenario *scenario, struct tally *tally, const char *where,
                         const struct world *broken, const struct operation *operations,
                         uint32_t count) {
    for (uint32_t index = 0; index < count && tally->hangs < MAX_HANGS; index++) {
        struct cut cut = {.kind = CUT_BEFORE, .operation = index};
        do {
            restore(broken);
            promises.cuts++;
            flash_arm(cut);
            enum outcome outcome = run_guarded(board_start);
            if (outcome == POWER_LOST) {
                outcome = run_guarded(recover_and_check);
            } else if (outcome == FINISHED) {
                outcome = run_guarded(not_repeatable);
            }
            tally->double_cut++;
            if (outcome != FINISHED) {
                char both[512];
                int used = snprintf(both, sizeof both, "%s, then in the recovery ", where);
                describe_cut(both + used, sizeof both - (size_t)used, cut, operations[index]);
                count_violation(scenario, tally, outcome, both);
            }
        } while (next_cut(&cut, &operations[index]));
    }
}

/**
 * Whether the recovery is cut as well: after every cut, but of long programs, the pieces of an
 * upload, after those of each fourth unit alone. The recovery looks at an image as a whole.
 */
static bool is_cut_twice(struct cut cut, const struct operation *operation) {
    enum { ALL_UNITS = 8, EACH = 4 };
    if (cut.kind == FAILURE) {
        return false;
    }
    bool is_long = cut.kind == CUT_TORN && !operation->is_erase && operation->units > ALL_UNITS;
    return !is_long || cut.variant / TORN_UNITS % EACH == 0;
}

/** One cut, and every second one behind it. */
static void cut_once(const struct scenario *scenario, struct tally *tally,
                     const struct world *start, struct cut cut, struct operation operation) {
    static struct world broken;
    static struct operation operations[RECOVERY_OPERATIONS];
    char where[160];
    describe_cut(where, sizeof where, cut, operation);
    restore(start);
    flash.random ^= (uint64_t)cut.operation << 32 ^ cut.variant << 2 ^ cut.kind;
    flash_arm(cut);
    enum outcome outcome = run_guarded(scenario->run);
    tally->cut_points += cut.kind != FAILURE ? 1 : 0;
    tally->failures += cut.kind == FAILURE ? 1 : 0;
    tally->torn += cut.kind == CUT_TORN ? 1 : 0;
    if (cut.kind == FAILURE) {
        if (outcome == POWER_LOST) {
            outcome = run_guarded(go_on_after_failure);
        }
        /* All that it answered counts. */
        outcome = outcome == FINISHED ? POWER_LOST : outcome;
    } else if (outcome == FINISHED) {
        outcome = run_guarded(not_repeatable);
    }
    if (outcome == POWER_LOST) {
        promises.cuts++;
        save(&broken);
        outcome = run_guarded(recover);
    }
    uint32_t count = flash_operations();
    if (outcome == FINISHED) {
        memcpy(operations, flash_operation(0), count * sizeof *operations);
        outcome = run_guarded(hold_to_promises);
    }
    if (outcome != FINISHED) {
        count_violation(scenario, tally, outcome, where);
        return;
    }
    if (is_cut_twice(cut, &operation)) {
        cut_recovery(scenario, tally, where, &broken, operations, count);
    }
}

/** The scenario without a cut; its operations (none where it breaks off), and how it begins. */
static enum outcome rehearse(const struct scenario *scenario, struct world *start,
                             struct operation *operations, uint32_t *count) {
    enum outcome outcome = run_guarded(begin_anew);
    if (outcome == FINISHED) {
        outcome = run_guarded(scenario->prepare);
    }
    if (outcome != FINISHED) {
        return outcome;
    }
    save(start);
    flash_arm((struct cut){CUT_NONE});
    outcome = run_guarded(scenario->run);
    if (outcome == FINISHED) {
        *count = flash_operations();
        memcpy(operations, flash_operation(0), *count * sizeof *operations);
        outcome = run_guarded(recover_and_check);
    }
    return outcome;
}

static uint32_t count_cuts(const struct operation *operations, uint32_t count) {
    uint32_t cuts = 0;
    for (uint32_t index = 0; index < count; index++) {
        cuts += 2 + flash_torn_variants(&operations[index]);
        cuts += operations[index].is_in_start ? 0 : 1; /* its failure */
    }
    return cuts;
}

static void run_scenario(const struct scenario *scenario, bool is_counting, uint32_t *total) {
    static struct world start;
    static struct operation operations[MAX_OPERATIONS];
    struct tally tally = {0};
    uint32_t count = 0;
    most_recovery_operations = 0;
    use = scenario->use;
    enum outcome outcome = rehearse(scenario, &start, operations, &count);
    if (is_counting) {
        *total += count_cuts(operations, count);
        return;
    }
    if (outcome != FINISHED) {
        count_violation(scenario, &tally, outcome, "without a cut");
    }
    for (uint32_t index = 0; index < count; index++) {
        struct cut cut = {.kind = CUT_BEFORE, .operation = index};
        do {
            if (tally.hangs < MAX_HANGS) {
                cut_once(scenario, &tally, &start, cut, operations[index]);
            }
            if (++done % REPORT_EVERY == 0) {
                printf("done %u\n", done);
                fflush(stdout);
            }
        } while (next_cut(&cut, &operations[index]));
    }
    printf("scenario %s %u %u %u %u %u %u\n", scenario->name, tally.cut_points, tally.torn,
           tally.double_cut, tally.violations, tally.failures, most_recovery_operations);
}

static bool is_wanted(const char *name, int argc, char **argv) {
    for (int index = 2; index < argc; index++) {
        if (strcmp(argv[index], name) == 0) {
            return true;
        }
    }
    return argc <= 2;
}

static void list_scenarios(void) {
    for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++) {
        printf("%s\n", scenario->name);
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list_scenarios();
        return EXIT_SUCCESS;
    }
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    images_make();
    engine_begin();
    printf("recovery %d\n", RECOVERY_OPERATIONS);
    uint32_t total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++) {
            if (is_wanted(scenario->name, argc, argv)) {
                run_scenario(scenario, pass == 0, &total);
            }
        }
        if (pass == 0) {
            printf("total %u\n", total);
        }
    }
    return EXIT_SUCCESS;
}
