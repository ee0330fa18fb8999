/*
 * The port: all that the portable firmware knows of a board, in one const struct.
 *
 * Portable code never touches a register. A new board is one such struct, a linker script and a
 * start-up that calls jl_firmware_run(); everything else stays as it is.
 */
#ifndef JL_PORT_H
#define JL_PORT_H

#include "jl_keys.h"
#include "jl_module.h"
#include "jl_services.h"
#include "jl_smp_ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /** Largest program unit that a port may have, bytes. */
    JL_MAX_PROGRAM_BYTES = 32,
    /** Alignment of the arena and of a model's input and output in it, bytes. */
    JL_ARENA_ALIGNMENT = 16,
    /** A model update goes to the slot that does not serve. */
    JL_MODEL_SLOTS = 2,
    /** A firmware update goes to the slot that does not run. */
    JL_FIRMWARE_SLOTS = 2,
};

/** Wake at no time: only an interrupt ends the sleep. */
#define JL_NEVER UINT64_MAX

/** What stopped a board before it started. */
enum jl_stop {
    JL_STOP_OTHER, /* the power, a button, reset() */
    JL_STOP_FAULT, /* code that the core could not execute */
    JL_STOP_WATCHDOG,
};

/** A piece of flash: whole erase blocks. */
struct jl_area {
    uint32_t offset; /* from the start of `flash` */
    uint32_t bytes;
};

/** A board. Function pointers are never null; pointers stay valid for ever. */
struct jl_port {
    /** Profile whose ceilings hold here, e.g. "mps2-an386". */
    const char *profile_id;
    /** Core class (enum jl_kernel_class). */
    uint8_t kernel_class;
    /** Instruction set features that a module may use (enum jl_isa). */
    uint32_t isa_features;

    /** The keys whose images this board takes. */
    const struct jl_trusted_keys *trusted_keys;
    /** Ed25519: the boot loader's service, or the shim itself where there is no boot loader. */
    jl_verify_signature_function *verify_signature;

    /** The flash that the areas below lie in, mapped for reading and executing. */
    const uint8_t *flash;
    /** Erase unit, a power of two; erasing sets every bit. */
    uint32_t erase_bytes;
    /** Program unit, a power of two, at most JL_MAX_PROGRAM_BYTES. */
    uint32_t program_bytes;
    /**
     * Two erase blocks for the record of which slot serves; no bytes: the board does not write its
     * flash, and serves the model that was put into the first slot before it started.
     */
    struct jl_area records;
    /** Two erase blocks for the configuration; no bytes: the board keeps none. */
    struct jl_area configuration;
    /** Two erase blocks or more for what waits to be collected; no bytes: nothing is kept. */
    struct jl_area outbox;
    /** Where models lie. */
    struct jl_area model_slots[JL_MODEL_SLOTS];
    /**
     * Where firmware lies and executes; no bytes: the board has no boot loader, and its firmware
     * is not replaced over the link.
     */
    struct jl_area firmware_slots[JL_FIRMWARE_SLOTS];
    /**
     * Erase the block at `offset`, a multiple of erase_bytes. False: the flash reported a failure;
     * the block's content is then undefined.
     */
    bool (*flash_erase)(uint32_t offset);
    /**
     * Program `bytes` at `offset`, both multiples of program_bytes; `data` does not lie in flash.
     * Bits only fall. False: the flash reported a failure, or a bit would have had to rise.
     */
    bool (*flash_program)(uint32_t offset, const uint8_t *data, uint32_t bytes);

    /** RAM for a model's input, output and arena; begin and end are 16-byte aligned. */
    uint8_t *arena;
    uint8_t *arena_end;
    /** The whole stack, painted at the start (jl_stack.h); null where it is not known. */
    const uint32_t *stack;
    const uint32_t *stack_end;
    /** Stack that is left for a module's code, bytes. */
    uint32_t module_stack_bytes;
    /**
     * Make the code of a module executable (a core with caches cleans them) and return its entry.
     * `entry_offset` lies inside the module.
     */
    jl_infer *(*module_entry)(const uint8_t *module, uint32_t entry_offset);

    /** What the ticks come from. */
    enum jl_clock clock;
    /** Frequency of clock_ticks(), Hz. */
    uint32_t ticks_hz;
    /** Modelled energy of a tick in a model's code, pJ; 0: the board's power is not known. */
    uint32_t picojoules_per_tick;
    /** Ticks since the start; monotonic, sleep included, from 0. */
    uint64_t (*clock_ticks)(void);
    /** Sleep until an interrupt, e.g. a byte on the link, or the time; may return early. */
    void (*sleep_until)(uint64_t ticks);

    /** Take up to `bytes` received bytes; returns how many, 0 when none wait. Never blocks. */
    uint32_t (*link_read)(uint8_t *data, uint32_t bytes);
    /**
     * Send bytes and wait until they are on their way. False: the line took none for 100 ms, the
     * rest is dropped.
     */
    bool (*link_write)(const uint8_t *data, uint32_t bytes);

    /** Start afresh; does not return. */
    void (*reset)(void);
    /**
     * Start afresh unless called again within `milliseconds`; 0 calls it off. Null: the board has
     * no watchdog.
     */
    void (*watchdog)(uint32_t milliseconds);
    /** What stopped the board before this start; null where that is not known. */
    enum jl_stop (*stopped_by)(void);
    /**
     * Leave the boot loader for the firmware whose vector table lies at `vectors`. Only the boot
     * loader calls it; does not return.
     */
    void (*start_firmware)(const uint8_t *vectors);
};

/** Whether all that would write the board's flash is refused. */
static inline bool jl_port_is_read_only(const struct jl_port *port) {
    return port->records.bytes == 0;
}

/** Call the board's watchdog, where it has one. */
static inline void jl_port_watch(const struct jl_port *port, uint32_t milliseconds) {
    if (port->watchdog != NULL) {
        port->watchdog(milliseconds);
    }
}

/** Run the firmware on a board; never returns. */
_Noreturn void jl_firmware_run(const struct jl_port *port);

#endif
