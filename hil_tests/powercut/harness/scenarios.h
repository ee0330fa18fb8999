/* What a board does while the power is cut. */
#ifndef POWERCUT_SCENARIOS_H
#define POWERCUT_SCENARIOS_H

struct scenario {
    const char *name;
    /** Bring a new board into the state that the scenario begins with. */
    void (*prepare)(void);
    /** Start the board and use it; the power is cut in here. */
    void (*run)(void);
    /** What must work to its end after a recovery. */
    void (*use)(void);
};

/** Ends with one without a name. */
extern const struct scenario scenarios[];

#endif
