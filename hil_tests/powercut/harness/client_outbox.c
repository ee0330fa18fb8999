#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"
#include "jl_crc.h"

#include <string.h>

/** Only when all other blocks were filled behind it a decision may make room. */
static void drop(uint32_t sequence) {
    struct told_decision *told = &promises.decisions[sequence];
    uint32_t since = outbox_programs() - told->programs;
    if (since < (OUTBOX_BLOCKS - 1) * OUTBOX_BLOCK_ENTRIES) {
        violate("decision %u was dropped after %u entries, though the outbox has room", sequence,
                since);
    }
    told->state = DECISION_DROPPED;
}

/** What an answer says of the outbox, compared with what must be. */
static void take_state(struct jl_bytes reply) {
    uint32_t first = reply_number(reply, "first");
    uint32_t next = reply_number(reply, "next");
    uint32_t dropped = reply_number(reply, "dropped");
    bool may_have_next = promises.is_appending && next == promises.next + 1;
    if (next != promises.next && !may_have_next) {
        violate("the next decision is %u, not %u", next, promises.next);
    }
    if (first < promises.first || first > next) {
        violate("the oldest decision is %u, before it was %u; the next is %u", first,
                promises.first, next);
    }
    uint32_t lost = 0;
    uint32_t either = 0; /* on their way to be acknowledged, or dropped */
    for (uint32_t sequence = promises.first; sequence < first; sequence++) {
        if (sequence <= promises.acknowledging) {
            either++;
            promises.decisions[sequence].state = DECISION_ACKNOWLEDGED;
        } else {
            drop(sequence);
            lost++;
        }
    }
    uint32_t counted = dropped - promises.dropped;
    if (counted < lost || counted > lost + either) {
        violate("%u decisions are counted as dropped, not %u", dropped, promises.dropped + lost);
    }
    if (counted - lost < either && first <= promises.acknowledging) {
        violate("acknowledging through %u moved the oldest to %u", promises.acknowledging, first);
    }
    if (may_have_next) {
        promises.decisions[promises.next].state = DECISION_OWED;
        promises.next++;
        promises.is_appending = false;
    }
    promises.first = first;
    promises.dropped = dropped;
}

static struct decision read_decision(struct jl_bytes map) {
    struct decision decision = {
        .boot_id = reply_number(map, "boot_id"),
        .at = reply_number(map, "at"),
        .ticks = reply_number(map, "ticks"),
        .bytes = reply_number(map, "len"),
        .crc32 = reply_number(map, "crc"),
    };
    struct jl_bytes output = {0};
    (void)jl_cbor_get_bytes(map, "out", &output);
    if (output.bytes != MODEL_SIZE) {
        violate("a decision has %u bytes of output", output.bytes);
    }
    memcpy(decision.output, output.data, MODEL_SIZE);
    return decision;
}

/** Compare a decision with what is known of it; from its first reading on, all of it is. */
static void take_decision(uint32_t sequence, struct jl_bytes map) {
    struct told_decision *told = &promises.decisions[sequence];
    struct decision read = read_decision(map);
    if (told->state != DECISION_OWED) {
        violate("decision %u is there again", sequence);
    }
    bool is_same = told->is_read
                       ? memcmp(&read, &told->content, sizeof read) == 0
                       : memcmp(read.output, told->content.output, MODEL_SIZE) == 0 &&
                             read.boot_id == told->content.boot_id && read.bytes == MODEL_SIZE &&
                             read.crc32 == jl_crc32(read.output, MODEL_SIZE);
    if (!is_same) {
        violate("decision %u is not the one that was made", sequence);
    }
    told->content = read;
    told->is_read = true;
}

void outbox_check(uint32_t from) {
    uint32_t expected = from;
    for (bool is_read = true; is_read;) {
        request_open();
        request_number("seq", expected);
        struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_OUTBOX_READ);
        struct jl_bytes records;
        struct jl_bytes record;
        if (!reply_is_ok(reply) || !reply_array(reply, "records", &records)) {
            violate("the outbox cannot be read");
        }
        take_state(reply);
        expected = expected < promises.first ? promises.first : expected;
        for (is_read = false; reply_next(&records, &record); expected++) {
            uint32_t sequence = reply_number(record, "seq");
            if (sequence != expected || sequence >= promises.next) {
                violate("decision %u is read where %u is owed", sequence, expected);
            }
            take_decision(sequence, record);
            is_read = true;
        }
    }
    if (expected != promises.next) {
        violate("decision %u is lost", expected);
    }
    promises.is_appending = false;
    promises.acknowledging = 0;
}

void client_infer_nothing(void) {
    const uint8_t input[MODEL_SIZE] = {0};
    request_open();
    request_bytes("in", input, sizeof input);
    if (reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_INFER))) {
        violate("a model serves that was never activated");
    }
}

void client_infer(void) {
    uint32_t sequence = promises.next;
    struct told_decision *told = &promises.decisions[sequence];
    *told = (struct told_decision){.programs = outbox_programs()};
    told->content.boot_id = promises.boot_id;
    uint8_t input[MODEL_SIZE];
    for (uint32_t index = 0; index < MODEL_SIZE; index++) {
        input[index] = (uint8_t)(sequence + 5 * index);
        told->content.output[index] = (uint8_t)(input[index] + (uint8_t)models_serving());
    }
    promises.is_appending = true;
    request_open();
    request_bytes("in", input, sizeof input);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_INFER);
    struct jl_bytes output = {0};
    (void)jl_cbor_get_bytes(reply, "out", &output);
    if (!reply_is_ok(reply) || output.bytes != MODEL_SIZE ||
        memcmp(output.data, told->content.output, MODEL_SIZE) != 0) {
        violate("model %d does not serve", models_serving());
    }
    if (reply_number(reply, "seq") != sequence) {
        violate("decision %u got another number", sequence);
    }
    promises.is_appending = false;
    told->state = DECISION_OWED;
    promises.next++;
    /* The first reading makes all of it known; it may have made room. */
    outbox_check(sequence);
}

void client_acknowledge(uint32_t through) {
    promises.acknowledging = through;
    request_open();
    request_number("seq", through);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_OUTBOX_ACKNOWLEDGE);
    if (!reply_is_ok(reply)) {
        violate("acknowledging through %u was refused", through);
    }
    take_state(reply);
    promises.acknowledging = 0;
    if (promises.first <= through) {
        violate("decision %u is still owed after it was acknowledged", promises.first);
    }
}

void client_acknowledge_again(void) {
    request_open();
    request_number("seq", promises.first - 1);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_OUTBOX_ACKNOWLEDGE);
    if (!reply_is_ok(reply)) {
        violate("what was acknowledged cannot be acknowledged again");
    }
    take_state(reply);
}

void client_acknowledge_and_drop(void) {
    while (board_node.outbox.end < ERASE_BYTES) {
        client_infer();
    }
    client_acknowledge(promises.first);
}

void client_acknowledge_too_much(void) {
    request_open();
    request_number("seq", promises.next);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_OUTBOX_ACKNOWLEDGE);
    if (reply_is_ok(reply)) {
        violate("a decision was acknowledged that was never made");
    }
    outbox_check(0);
}
