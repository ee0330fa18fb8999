/* One run of the board, and what ends it. */
#ifndef POWERCUT_ENGINE_H
#define POWERCUT_ENGINE_H

enum outcome {
    FINISHED,
    POWER_LOST,
    VIOLATED,
    HUNG,
};

/** Which promise the last run broke. */
extern char broken_promise[256];

/** From now on a crash or an endless loop ends a run, and not the harness. */
void engine_begin(void);

/** Run to the end, or to what ends it. */
enum outcome run_guarded(void (*action)(void));

/** The power is gone: nothing of this run goes on. */
_Noreturn void lose_power(void);

/** A promise was broken: say which; nothing of this run goes on. */
_Noreturn void violate(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
