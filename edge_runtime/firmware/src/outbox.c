#include "jl_crc.h"
#include "jl_memory.h"
#include "jl_outbox.h"

#include <stddef.h>

#define DECISION_MAGIC UINT32_C(0x444F4C4A) /* "JLOD" */
#define MARK_MAGIC UINT32_C(0x4D4F4C4A)     /* "JLOM" */

struct mark {
    uint32_t first;
    uint32_t next;
    uint32_t dropped;
};

/** As it lies in flash. */
struct entry {
    uint32_t magic;
    uint32_t serial; /* counts entries, from 1 */
    union {
        struct jl_decision decision;
        struct mark mark;
    };
    uint32_t reserved; /* zero */
    uint32_t crc32;
};

_Static_assert(sizeof(struct entry) == 64, "no padding");
_Static_assert(sizeof(struct entry) % JL_MAX_PROGRAM_BYTES == 0, "whole program units");

static uint32_t blocks(const struct jl_port *port) {
    /* A port states an erase block larger than nothing, or none of its flash could be used. */
    return port->outbox.bytes / port->erase_bytes; // NOLINT(clang-analyzer-core.DivideZero)
}

static uint32_t entry_crc(const struct entry *entry) {
    return jl_crc32(entry, offsetof(struct entry, crc32));
}

/** Where `at` in a block lies, from the start of the flash. */
static uint32_t place_of(const struct jl_port *port, uint32_t block, uint32_t at) {
    return port->outbox.offset + block * port->erase_bytes + at;
}

static void copy_entry(const struct jl_port *port, uint32_t block, uint32_t at,
                       struct entry *entry) {
    memcpy(entry, port->flash + place_of(port, block, at), sizeof *entry);
}

/** Whether this is an entry, and a whole one. */
static bool is_good(const struct entry *entry) {
    bool is_known = entry->magic == DECISION_MAGIC || entry->magic == MARK_MAGIC;
    return is_known && entry->crc32 == entry_crc(entry);
}

/** Read what lies at `at` in a block; false: it is no entry, or a torn one. */
static bool read_entry(const struct jl_port *port, uint32_t block, uint32_t at,
                       struct entry *entry) {
    copy_entry(port, block, at, entry);
    return is_good(entry);
}

static bool is_erased(const struct jl_port *port, uint32_t block, uint32_t at) {
    const uint8_t *data = port->flash + place_of(port, block, at);
    for (uint32_t index = 0; index < sizeof(struct entry); index++) {
        if (data[index] != 0xFF) {
            return false;
        }
    }
    return true;
}

/** The decision with the lowest sequence from `from` on, in all blocks but `left_out`. */
static bool find_outside(const struct jl_port *port, uint32_t left_out, uint32_t from,
                         struct jl_decision *decision) {
    bool is_found = false;
    for (uint32_t block = 0; block < blocks(port); block++) {
        for (uint32_t at = 0; block != left_out && at < port->erase_bytes;
             at += (uint32_t)sizeof(struct entry)) {
            struct entry entry;
            copy_entry(port, block, at, &entry);
            /* The CRC last: it takes longer than all the rest. */
            if (entry.magic != DECISION_MAGIC || entry.decision.sequence < from ||
                (is_found && entry.decision.sequence >= decision->sequence) || !is_good(&entry)) {
                continue;
            }
            *decision = entry.decision;
            is_found = true;
            if (decision->sequence == from) {
                return true;
            }
        }
    }
    return is_found;
}

/** Program an entry where the block goes on; the place is used up whatever happens. */
static jl_status put(const struct jl_port *port, struct jl_outbox *outbox, struct entry *entry) {
    entry->serial = outbox->serial + 1;
    entry->crc32 = entry_crc(entry);
    uint32_t offset = place_of(port, outbox->block, outbox->end);
    outbox->end += (uint32_t)sizeof *entry;
    if (!port->flash_program(offset, (const uint8_t *)entry, sizeof *entry)) {
        return JL_NODE_ERROR_FLASH_FAILED;
    }
    outbox->serial = entry->serial;
    return JL_OK;
}

static struct entry make_mark(uint32_t first, uint32_t next, uint32_t dropped) {
    return (struct entry){.magic = MARK_MAGIC, .mark = {first, next, dropped}};
}

/** Erase the oldest block and go on there. What it still owed is dropped, and counted. */
static jl_status open_block(const struct jl_port *port, struct jl_outbox *outbox) {
    /* make_room() comes here with an outbox alone: it has blocks. */
    uint32_t block = (outbox->block + 1) % blocks(port); // NOLINT(clang-analyzer-core.DivideZero)
    struct jl_decision kept = {.sequence = outbox->next};
    /* Of the other blocks, so that the sum is the same after an erase that was interrupted. */
    (void)find_outside(port, block, outbox->first, &kept);
    uint32_t lost = kept.sequence - outbox->first;
    if (!port->flash_erase(place_of(port, block, 0))) {
        return JL_NODE_ERROR_FLASH_FAILED;
    }
    struct entry mark = make_mark(kept.sequence, outbox->next, outbox->dropped + lost);
    struct jl_outbox opened = *outbox;
    opened.block = block;
    opened.end = 0;
    jl_status status = put(port, &opened, &mark);
    if (status == JL_OK) {
        opened.first = mark.mark.first;
        opened.dropped = mark.mark.dropped;
        *outbox = opened;
    }
    return status;
}

static jl_status make_room(const struct jl_port *port, struct jl_outbox *outbox) {
    if (port->outbox.bytes == 0) {
        return JL_ERROR_NOT_SUPPORTED;
    }
    return outbox->end < port->erase_bytes ? JL_OK : open_block(port, outbox);
}

/** The block whose first entry, its mark, is the newest; false: the ring was never used. */
static bool find_newest_block(const struct jl_port *port, uint32_t *newest) {
    bool is_found = false;
    uint32_t serial = 0;
    for (uint32_t block = 0; block < blocks(port); block++) {
        struct entry entry;
        if (read_entry(port, block, 0, &entry) && entry.magic == MARK_MAGIC &&
            (!is_found || entry.serial > serial)) {
            serial = entry.serial;
            *newest = block;
            is_found = true;
        }
    }
    return is_found;
}

static void take(struct jl_outbox *outbox, const struct entry *entry) {
    outbox->serial = entry->serial;
    if (entry->magic == MARK_MAGIC) {
        outbox->first = entry->mark.first;
        outbox->next = entry->mark.next;
        outbox->dropped = entry->mark.dropped;
    } else {
        outbox->next = entry->decision.sequence + 1;
    }
}

void jl_outbox_boot(const struct jl_port *port, struct jl_outbox *outbox) {
    *outbox = (struct jl_outbox){.first = 1, .next = 1, .end = port->erase_bytes};
    if (port->outbox.bytes == 0) {
        return;
    }
    outbox->block = blocks(port) - 1;
    if (find_newest_block(port, &outbox->block)) {
        for (uint32_t at = 0; at < port->erase_bytes; at += (uint32_t)sizeof(struct entry)) {
            struct entry entry;
            if (read_entry(port, outbox->block, at, &entry)) {
                take(outbox, &entry);
            }
            /* What a power cut left half written is stepped over. */
            if (!is_erased(port, outbox->block, at)) {
                outbox->end = at + (uint32_t)sizeof entry;
            }
        }
    }
    /*
     * The block may be full because the next one was being erased when the power went: nobody sees
     * the ring before that is finished. A board whose flash is worn out tries again at each append.
     */
    (void)make_room(port, outbox);
}

jl_status jl_outbox_append(const struct jl_port *port, struct jl_outbox *outbox,
                           struct jl_decision *decision) {
    jl_status status = make_room(port, outbox);
    if (status != JL_OK) {
        return status;
    }
    decision->sequence = outbox->next;
    struct entry entry = {.magic = DECISION_MAGIC, .decision = *decision};
    status = put(port, outbox, &entry);
    if (status == JL_OK) {
        outbox->next++;
    }
    return status;
}

bool jl_outbox_find(const struct jl_port *port, const struct jl_outbox *outbox, uint32_t from,
                    struct jl_decision *decision) {
    uint32_t owed = from > outbox->first ? from : outbox->first;
    return owed < outbox->next && find_outside(port, UINT32_MAX, owed, decision);
}

jl_status jl_outbox_acknowledge(const struct jl_port *port, struct jl_outbox *outbox,
                                uint32_t through) {
    if (through >= outbox->next) {
        return JL_ERROR_INVALID;
    }
    if (through < outbox->first) {
        return JL_OK; /* again, or dropped meanwhile */
    }
    jl_status status = make_room(port, outbox);
    if (status != JL_OK) {
        return status;
    }
    /* Making room may have dropped some of them. */
    uint32_t first = through + 1 > outbox->first ? through + 1 : outbox->first;
    struct entry mark = make_mark(first, outbox->next, outbox->dropped);
    status = put(port, outbox, &mark);
    if (status == JL_OK) {
        outbox->first = first;
    }
    return status;
}
