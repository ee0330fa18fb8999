/*
 * The outbox: decisions wait in flash until somebody has collected them.
 *
 * A ring of erase blocks, so wear spreads evenly. An entry is a decision or a mark, with a serial
 * number and a CRC. A mark says from which decision on the outbox still owes, which number the next
 * one gets, and how many were dropped. Every block begins with a mark, written once it is erased:
 * the newest block alone tells all, and the block that is erased next is never that one. There is
 * no pointer that could disagree with the entries.
 */
#ifndef JL_OUTBOX_H
#define JL_OUTBOX_H

#include "jl_port.h"
#include "jl_smp_ids.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    /** As much of a decision's output is kept; of all of it, its CRC. */
    JL_DECISION_OUTPUT_BYTES = 16,
};

/** A decision as it is kept. */
struct jl_decision {
    uint32_t sequence; /* counts decisions, from 1, over restarts */
    uint32_t boot_id;  /* the start that it belongs to */
    uint64_t at_ticks; /* when, since that start */
    uint64_t run_ticks;
    uint32_t output_bytes;                    /* of the whole output */
    uint32_t output_crc32;                    /* of the whole output, as in zlib */
    uint8_t output[JL_DECISION_OUTPUT_BYTES]; /* its first bytes, zeros behind them */
};

/** What RAM knows of the outbox; all of it is found again at a start. */
struct jl_outbox {
    uint32_t first;   /* the oldest decision that is owed; `next` when there is none */
    uint32_t next;    /* the sequence that the next decision gets */
    uint32_t dropped; /* decisions that made room before they were acknowledged */
    uint32_t serial;  /* of the newest entry */
    uint32_t block;   /* where the newest entry lies */
    uint32_t end;     /* in that block, behind what was written */
};

/** Find the outbox in flash; finishes what a power cut interrupted. */
void jl_outbox_boot(const struct jl_port *port, struct jl_outbox *outbox);

/**
 * Keep a decision; sets its sequence. JL_OK: no power cut loses it. Where the ring is full the
 * oldest block makes room. JL_ERROR_NOT_SUPPORTED: the board keeps none.
 */
jl_status jl_outbox_append(const struct jl_port *port, struct jl_outbox *outbox,
                           struct jl_decision *decision);

/** The oldest kept decision whose sequence is at least `from` and that is still owed. */
bool jl_outbox_find(const struct jl_port *port, const struct jl_outbox *outbox, uint32_t from,
                    struct jl_decision *decision);

/** All decisions up to and with `through` are collected: they are owed no more. */
jl_status jl_outbox_acknowledge(const struct jl_port *port, struct jl_outbox *outbox,
                                uint32_t through);

#endif
