"""Faults in what takes, tries, confirms and starts models and firmware."""

from __future__ import annotations

from hil_tests.powercut.mutant import Mutant

IMAGE_MUTANTS = (
    Mutant(
        "counter-raised-before-confirm",
        "the security counter rises when a trial of firmware begins",
        "boot/choose.c",
        "        record->firmware_attempts = 1;\n",
        "        record->firmware_attempts = 1;\n"
        "        record->firmware_counter = image->security_counter;\n",
        "firmware-revert",
    ),
    Mutant(
        "confirm-flag-before-hash-check",
        "the record names uploaded firmware before its hash is looked at",
        "src/upload.c",
        "    struct jl_image image;\n    jl_status status = jl_firmware_look(",
        "    struct jl_image image;\n"
        "    slots->record.firmware_slot = (uint8_t)upload->slot;\n"
        "    (void)jl_records_append(port, &slots->record);\n"
        "    jl_status status = jl_firmware_look(",
        "firmware-refused",
    ),
    Mutant(
        "retry-counter-never-stored",
        "that a trial of firmware began is not stored: it begins again and again",
        "boot/choose.c",
        "        record->firmware_attempts = 1;\n"
        "        status = jl_records_append(port, record);\n",
        "        record->firmware_attempts = 1;\n",
        "firmware-revert",
    ),
    Mutant(
        "live-firmware-overwritten",
        "an update of firmware goes to the slot that runs",
        "src/firmware.c",
        "return jl_firmware_running(record) == 0 ? 1 : 0;",
        "return jl_firmware_running(record) == 0 ? 0 : 1;",
        "firmware-update",
    ),
    Mutant(
        "trial-kept-without-confirmation",
        "firmware on trial starts again though nobody confirmed it",
        "boot/choose.c",
        "            give_up(&record, jl_trial_end(port));\n",
        "            record.firmware_slot = record.firmware_trial;\n"
        "            give_up(&record, jl_trial_end(port));\n",
        "firmware-revert",
    ),
    Mutant(
        "hang-taken-for-no-confirmation",
        "that the watchdog stopped a trial of firmware is not told",
        "boot/choose.c",
        "            give_up(&record, jl_trial_end(port));\n",
        "            give_up(&record, JL_NODE_ERROR_NOT_CONFIRMED);\n",
        "firmware-revert",
    ),
    Mutant(
        "way-back-overwritten",
        "in a trial, the firmware that it falls back to can be replaced",
        "src/firmware.c",
        "jl_status jl_firmware_release(const struct jl_port *port, struct jl_record *record) {\n"
        "    if (jl_firmware_is_on_trial(record)) {",
        "jl_status jl_firmware_release(const struct jl_port *port, struct jl_record *record) {\n"
        "    if (false) {",
        "firmware-revert",
    ),
    Mutant(
        "faded-firmware-not-replaced",
        "where the confirmed firmware has faded, none starts",
        "boot/choose.c",
        "    if (jl_firmware_look(port, record, other, image) != JL_OK) {",
        "    if (true) {",
        "firmware-faded",
    ),
    Mutant(
        "confirmed-in-ram-alone",
        "a confirmation of firmware is forgotten at the next start",
        "src/firmware.c",
        "    next.firmware_counter = image.security_counter;\n"
        "    status = write_record(port, record, next);\n",
        "    next.firmware_counter = image.security_counter;\n    *record = next;\n",
        "firmware-update",
    ),
    Mutant(
        "model-counter-raised-before-its-self-test",
        "the security counter rises before the new model passed its self-test",
        "src/slots.c",
        "    record.model_trial = (uint8_t)index;\n",
        "    record.model_trial = (uint8_t)index;\n"
        "    record.model_counter = slots->slot[index].image.security_counter;\n",
        "model-refused",
    ),
    Mutant(
        "model-named-before-its-hash-check",
        "the record names the new model before its hash and its self-test are looked at",
        "src/slots.c",
        "    jl_status status = look(port, slots, index);\n    if (status == JL_OK) {\n",
        "    struct jl_record early = slots->record;\n"
        "    early.model_slot = (uint8_t)index;\n"
        "    (void)write_record(port, slots, early);\n"
        "    jl_status status = look(port, slots, index);\n    if (status == JL_OK) {\n",
        "model-refused",
    ),
    Mutant(
        "model-kept-without-confirmation",
        "a model is confirmed as soon as it passed its self-test",
        "src/slots.c",
        "} else if (slots->active == JL_NO_SLOT) {",
        "} else {",
        "model-revert",
    ),
    Mutant(
        "model-counter-raised-before-confirm",
        "the security counter rises when a model's trial begins",
        "src/slots.c",
        "    status = write_record(port, slots, record);\n"
        "    if (outcome != JL_OK || status != JL_OK) {\n",
        "    record.model_counter = outcome == JL_OK ? slots->slot[index].image.security_counter\n"
        "                                            : record.model_counter;\n"
        "    status = write_record(port, slots, record);\n"
        "    if (outcome != JL_OK || status != JL_OK) {\n",
        "model-revert",
    ),
    Mutant(
        "model-confirmed-in-ram-alone",
        "a confirmation of a model is forgotten at the next start",
        "src/slots.c",
        "    confirm(&record, slots->active, &slots->slot[slots->active].image);\n"
        "    return write_record(port, slots, record);\n",
        "    confirm(&record, slots->active, &slots->slot[slots->active].image);\n"
        "    slots->record = record;\n    return JL_OK;\n",
        "model-update",
    ),
    Mutant(
        "model-way-back-overwritten",
        "an upload takes the slot of the confirmed model while another one is on trial",
        "src/upload.c",
        ": jl_slots_confirm(port, slots);",
        ": JL_OK;",
        "model-revert",
    ),
    Mutant(
        "model-way-back-erased",
        "in a model's trial, the confirmed model can be erased",
        "src/slots.c",
        "    if (index == slots->active || is_way_back) {\n",
        "    if (index == slots->active) {\n",
        "model-revert",
    ),
    Mutant(
        "model-reverted-without-a-reason",
        "a model's trial that nobody confirmed ends, and the board does not say why",
        "src/slots.c",
        "        end_trial(record, jl_trial_end(port));\n",
        "        end_trial(record, JL_OK);\n",
        "model-revert",
    ),
    Mutant(
        "model-retries-never-stored",
        "how often the last model stopped the board is not stored: it is tried for ever",
        "src/slots.c",
        "record.model_trial == index ? (uint8_t)(record.model_attempts + 1) : 1;",
        "1;",
        "model-hangs",
    ),
    Mutant(
        "erase-of-live-slot-first",
        "an upload goes to the slot that serves",
        "src/slots.c",
        "return slots->active == 0 ? 1 : 0;",
        "return slots->active == JL_NO_SLOT ? 0 : slots->active;",
        "model-update",
    ),
    Mutant(
        "start-not-counted",
        "two starts have the same number",
        "src/slots.c",
        "    (void)jl_records_append(port, record);\n",
        "",
        "boot",
    ),
    Mutant(
        "served-before-its-self-test",
        "the record names the new model before its self-test passed",
        "src/slots.c",
        "    record.model_trial = (uint8_t)index;\n",
        "    record.model_trial = (uint8_t)index;\n    record.model_slot = (uint8_t)index;\n",
        "model-refused",
    ),
    Mutant(
        "last-model-given-up-at-once",
        "a power cut in the trial of the last model that is left erases it",
        "src/slots.c",
        "is_last_resort && record->model_attempts < MAX_ATTEMPTS",
        "is_last_resort && record->model_attempts < 1",
        "model-faded",
    ),
    Mutant(
        "other-model-not-tried",
        "where the model that serves has faded, none serves",
        "src/slots.c",
        "        serve_other(port, slots);\n    }\n}",
        "        (void)serve_other;\n    }\n}",
        "model-faded",
    ),
    Mutant(
        "live-model-erased-on-request",
        "the slot that serves can be erased",
        "src/slots.c",
        "    if (index == slots->active || is_way_back) {\n",
        "    if (is_way_back) {\n",
        "model-update",
    ),
    Mutant(
        "upload-goes-on-with-another-file",
        "a file that is not the announced one is taken",
        "src/upload.c",
        "if (upload->has_sha256 && !is_announced_file(port, upload)) {",
        "if (!upload->has_sha256 && !is_announced_file(port, upload)) {",
        "model-refused",
    ),
    Mutant(
        "upload-not-erased-ahead",
        "an upload is programmed over what lay in the slot",
        "src/upload.c",
        "jl_status status = erase_ahead(port, area, offset, offset + data.bytes);",
        "jl_status status = erase_ahead(port, area, offset, offset);",
        "model-update",
    ),
    Mutant(
        "erase-behind-the-slot",
        "an upload that fills its slot erases the next one's first block",
        "src/upload.c",
        "for (uint32_t at = first; at < to; at += port->erase_bytes) {",
        "for (uint32_t at = first; at <= to; at += port->erase_bytes) {",
        "model-refused",
    ),
    Mutant(
        "refused-upload-confirms",
        "an upload that is refused at once confirms the model on trial",
        "src/upload.c",
        "    jl_status status = check_start(port, slots, slot, start, data);\n",
        "    if (!is_firmware) {\n"
        "        (void)jl_slots_confirm(port, slots);\n"
        "    }\n"
        "    jl_status status = check_start(port, slots, slot, start, data);\n",
        "model-refused",
    ),
    Mutant(
        "replaced-before-its-trial",
        "firmware is replaced that waits for its trial, and the new one gets it",
        "src/upload.c",
        "is_firmware ? jl_firmware_release(port, &slots->record) : jl_slots_confirm(port, slots)",
        "is_firmware ? JL_OK : jl_slots_confirm(port, slots)",
        "firmware-refused",
    ),
    Mutant(
        "faded-firmware-confirmed",
        "firmware is confirmed that has faded since it started",
        "src/firmware.c",
        "    if (status != JL_OK) {\n"
        "        return status;\n"
        "    }\n"
        "    struct jl_record next = *record;\n"
        "    next.firmware_slot",
        "    struct jl_record next = *record;\n    next.firmware_slot",
        "firmware-refused",
    ),
    Mutant(
        "trial-without-watchdog",
        "no watchdog runs when a trial of firmware begins",
        "boot/choose.c",
        "    jl_firmware_keep_alive(port, record); /* it may hang before its first word */\n",
        "",
        "firmware-revert",
    ),
    Mutant(
        "refused-trial-without-a-reason",
        "a trial that could not begin leaves no reason",
        "boot/choose.c",
        "        give_up(record, status);\n",
        "        give_up(record, JL_OK);\n",
        "firmware-trial-faded",
    ),
    Mutant(
        "signature-not-looked-at",
        "an image without a right signature is taken",
        "src/image.c",
        "        status = verify_signature(port, parts.tlvs, image->sha256);\n",
        "        (void)verify_signature;\n",
        "model-refused",
    ),
    Mutant(
        "first-golden-row-alone",
        "a self-test stops after its first row",
        "src/model.c",
        "row < test.rows; row++",
        "row < 1; row++",
        "model-refused",
    ),
)
