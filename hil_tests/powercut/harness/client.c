#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

#include <string.h>

struct promises promises;

void promises_reset(void) {
    promises = (struct promises){
        .first = 1,
        .next = 1,
        .report_every = 1,
        .configuring = NOTHING,
        .model = NOTHING,
        .next_model = NOTHING,
        .model_trial = NOTHING,
        .firmware = FIRMWARE_OLD,
        .trial = NOTHING,
    };
}

static bool is_in(jl_status status, const jl_status *statuses, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        if (statuses[index] == status) {
            return true;
        }
    }
    return false;
}

/** Why anything was ever rolled back: nothing else stands in a record. */
static void check_reasons(void) {
    static const jl_status known[] = {
        JL_OK,
        JL_IMAGE_ERROR_INVALID_MAGIC,
        JL_NODE_ERROR_HASH_MISMATCH,
        JL_NODE_ERROR_NOT_CONFIRMED,
        JL_NODE_ERROR_TRIAL_CRASHED,
        JL_NODE_ERROR_TRIAL_HUNG,
        JL_NODE_ERROR_SELF_TEST_DIFFERS,
        JL_NODE_ERROR_SELF_TEST_STOPPED,
    };
    const struct jl_record *record = &board_node.slots.record;
    jl_status firmware = jl_reason_status(record->firmware_reason);
    jl_status model = jl_reason_status(record->model_reason);
    uint32_t count = sizeof known / sizeof *known;
    if (!is_in(firmware, known, count) || !is_in(model, known, count)) {
        violate("a rollback for reasons %#x and %#x that nobody had", (unsigned)firmware,
                (unsigned)model);
    }
}

void boot_check(void) {
    check_reasons();
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_LEDGER);
    uint32_t boot_id = reply_number(reply, "boot_id");
    if (boot_id <= promises.boot_id) {
        violate("two starts have number %u", boot_id);
    }
    if (boot_id > promises.boot_id + promises.starts) {
        violate("%u starts after number %u, the board counts %u", promises.starts, promises.boot_id,
                boot_id);
    }
    promises.boot_id = boot_id;
    promises.starts = 0;
}

void client_check_reason(const char *kind, jl_status expected) {
    uint32_t code = 0;
    uint32_t group = 0;
    struct jl_bytes reason;
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_ROLLBACK);
    if (!reply_map(reply, kind, &reason) ||
        jl_cbor_get_uint(reason, "rc", &code) != JL_CBOR_FOUND ||
        jl_cbor_get_uint(reason, "group", &group) != JL_CBOR_FOUND ||
        (group << 16 | code) != (uint32_t)expected) {
        violate("the trial of a %s was given up for reason %u of group %u", kind, code, group);
    }
}

/** Erases and programs of an area. */
struct wear {
    uint32_t most_erases; /* of a block */
    uint32_t least_erases;
    uint32_t erases;
    uint32_t programs;
};

static struct wear measure_wear(uint32_t first_block, uint32_t blocks) {
    struct wear wear = {.least_erases = UINT32_MAX};
    for (uint32_t block = first_block; block < first_block + blocks; block++) {
        uint32_t erases = flash.erases[block];
        wear.most_erases = erases > wear.most_erases ? erases : wear.most_erases;
        wear.least_erases = erases < wear.least_erases ? erases : wear.least_erases;
        wear.erases += erases;
        wear.programs += flash.programs[block];
    }
    return wear;
}

/** All blocks wear alike, and none is erased before it is full; a cut may cost an erase. */
static void check_wear(const char *name, uint32_t first_block, uint32_t blocks,
                       uint32_t programs_per_block) {
    struct wear wear = measure_wear(first_block, blocks);
    if (wear.most_erases - wear.least_erases > 1 + promises.cuts) {
        violate("a block of the %s was erased %u times, another %u", name, wear.most_erases,
                wear.least_erases);
    }
    if (wear.erases > 1 + promises.cuts + wear.programs / programs_per_block) {
        violate("the %s took %u erases for %u programs", name, wear.erases, wear.programs);
    }
}

uint32_t outbox_programs(void) {
    return measure_wear(OUTBOX_BLOCK, OUTBOX_BLOCKS).programs;
}

void configuration_check(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_CONFIGURATION);
    uint32_t report_every = reply_number(reply, "report_every");
    if (report_every != promises.report_every && report_every != promises.configuring) {
        violate("the configuration is %u, neither the old %u nor the new one", report_every,
                promises.report_every);
    }
    promises.report_every = report_every;
    promises.configuring = NOTHING;
}

void client_configure(uint32_t report_every) {
    promises.configuring = report_every;
    request_open();
    request_number("report_every", report_every);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_CONFIGURATION);
    if (!reply_is_ok(reply)) {
        violate("the configuration was refused");
    }
    promises.report_every = report_every;
    promises.configuring = NOTHING;
}

void client_check(void) {
    boot_check();
    firmware_check();
    configuration_check();
    models_check_start();
    outbox_check(0);
}

void client_check_running(void) {
    bool is_model_settled = promises.next_model == NOTHING && !promises.is_confirming_model;
    configuration_check();
    if (is_model_settled && models_serving() != NOTHING) {
        client_configure(1);
        /* Where a mark failed, what its block had owed is counted as dropped by the next entry. */
        client_infer();
        outbox_check(0);
    }
}

void client_use_everything(void) {
    if (promises.model == NOTHING) {
        /* There is nothing that its beginning could confirm. */
        images_abandon_upload(JL_SMP_IMAGE_MODEL, &models[MODEL_LAST]);
        models_check();
    }
    client_configure(promises.report_every + 1);
    client_configure(1);
    client_update_model(promises.model == MODEL_LAST ? MODEL_LAST_TOO : MODEL_LAST);
    client_infer();
    client_infer();
    client_acknowledge_too_much();
    client_acknowledge(promises.next - 2);
}

void client_use_firmware(void) {
    if (client_is_on_trial()) {
        board_start();
        client_check();
    }
    client_update_firmware(promises.firmware == FIRMWARE_LAST ? FIRMWARE_LAST_TOO : FIRMWARE_LAST);
}

void client_check_wear(void) {
    check_wear("records", RECORDS_BLOCK, RECORDS_BLOCKS, ERASE_BYTES / RECORD_BYTES);
    check_wear("configuration", CONFIGURATION_BLOCK, CONFIGURATION_BLOCKS, 1);
    check_wear("outbox", OUTBOX_BLOCK, OUTBOX_BLOCKS, OUTBOX_BLOCK_ENTRIES);
}
