/* What ends a run of the harness. */
#ifndef POWERCUT_ENGINE_H
#define POWERCUT_ENGINE_H

/** The power is gone: nothing of this run goes on. */
_Noreturn void lose_power(void);

/** A promise was broken: say which; nothing of this run goes on. */
_Noreturn void violate(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
