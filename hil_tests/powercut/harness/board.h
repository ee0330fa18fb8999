/* A board on the simulated flash: its port, its starts, and what stops it. */
#ifndef POWERCUT_BOARD_H
#define POWERCUT_BOARD_H

#include "flash.h"
#include "images.h"
#include "jl_node.h"

enum {
    /** Flash operations of a start after a cut, in all starts that it takes to serve again. */
    RECOVERY_OPERATIONS = 16,
    /** A board that stops by itself is started again; more often than that it must not. */
    MAX_STARTS = 4,
    /** That an erase takes. */
    ERASE_MS = 2000,
};

extern const struct jl_port board_port;
extern struct jl_node board_node;

/** A new board: flash erased, and old things behind the fences. */
void board_make(uint64_t seed);

/** Whether a piece of flash lies in one of the board's areas. */
bool board_owns(uint32_t offset, uint32_t bytes);

/** The firmware that the boot loader started last, and where it lies. */
extern enum firmware board_firmware;
extern uint32_t board_firmware_slot;

/** Power on, until the board serves; nothing of the RAM from before is left. */
void board_start(void);

/** Whether board_start() is under way. */
bool board_is_starting(void);

/** Time goes by; a watchdog that runs down meanwhile is a violation: the board does its work. */
void board_pass(uint32_t milliseconds);

/** Nothing arrives: the node sleeps, and its watchdog runs in a trial of firmware alone. */
void board_rest(void);

/** Ticks that an inference takes. */
void board_compute(uint32_t ticks);

/**
 * Many years go by: what is numbered in records, configuration and outbox goes on at 2^31. The
 * power is off.
 */
void board_age(void);

/** With a bit of each slot of firmware turned over, none starts; leaves flash as it was. */
void board_check_no_firmware(void);

/** Code that never ends; the board's watchdog, if it runs, starts it again. */
_Noreturn void board_hang(void);

/** Code that the core cannot execute: the board starts again. */
_Noreturn void board_crash(void);

/** Do what may end in board_hang(); false: it did, and the board was started again. */
bool board_outlives(void (*action)(void));

#endif
