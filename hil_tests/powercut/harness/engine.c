#define _GNU_SOURCE
#include "engine.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

char broken_promise[256];
static sigjmp_buf run_end;
static volatile sig_atomic_t runs;

_Noreturn void lose_power(void) {
    siglongjmp(run_end, POWER_LOST);
}

_Noreturn void violate(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(broken_promise, sizeof broken_promise, format, arguments);
    va_end(arguments);
    siglongjmp(run_end, VIOLATED);
}

static void on_fault(int signal_number) {
    snprintf(broken_promise, sizeof broken_promise, "the board's code crashed (%s)",
             strsignal(signal_number));
    siglongjmp(run_end, VIOLATED);
}

/** Every second of computing: a run that was running a second ago will never end. */
static void on_alarm(int signal_number) {
    static sig_atomic_t runs_before;
    (void)signal_number;
    if (runs != 0 && runs == runs_before) {
        snprintf(broken_promise, sizeof broken_promise, "the board's code never ends");
        siglongjmp(run_end, HUNG);
    }
    runs_before = runs;
}

void engine_begin(void) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    for (uint32_t index = 0; index < sizeof faults / sizeof *faults; index++) {
        sigaction(faults[index], &action, NULL);
    }
    action.sa_handler = on_alarm;
    sigaction(SIGVTALRM, &action, NULL);
    const struct itimerval second = {{1, 0}, {1, 0}};
    setitimer(ITIMER_VIRTUAL, &second, NULL);
}

enum outcome run_guarded(void (*action)(void)) {
    runs++;
    int outcome = sigsetjmp(run_end, 0);
    if (outcome == 0) {
        action();
    }
    return (enum outcome)outcome;
}
