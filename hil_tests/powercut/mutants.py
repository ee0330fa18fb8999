"""Single faults, each put into a copy of the firmware's sources: the proof must find every one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jouleloop.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A fault: a text of one source file and what replaces it.

    Args:
        name: on the command line.
        fault: what is wrong then, in a few words.
        file: path in the firmware's folder.
        text: occurs exactly once in the file.
        replacement: takes its place.
        scenario: one that shows the fault.
    """

    name: str
    fault: str
    file: str
    text: str
    replacement: str
    scenario: str

    def apply(self, folder: Path) -> None:
        """Put the fault into a copy of the sources.

        Args:
            folder: a copy of the firmware's folder.

        Raises:
            InputError: the sources changed, so that the text is not there exactly once.
        """
        path = folder / self.file
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        count = source.count(self.text)
        if count != 1:
            raise InputError(
                f"the mutant {self.name} does not fit the firmware: its text occurs {count} times "
                f"in {self.file}, not once",
                hint="bring hil_tests/powercut/mutants.py in line with the source",
            )
        path.write_text(source.replace(self.text, self.replacement), encoding="utf-8")


def find_mutant(name: str) -> Mutant:
    """The mutant of this name.

    Raises:
        InputError: there is none.
    """
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise InputError(
        f"there is no mutant called {name!r}", hint="`jouleloop powercut --list-mutants` names them"
    )


MUTANTS = (
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
        "no-crc-on-outbox-record",
        "an entry of the outbox counts whatever its CRC says",
        "src/outbox.c",
        "return is_known && entry->crc32 == entry_crc(entry);",
        "return is_known;",
        "outbox",
    ),
    Mutant(
        "head-pointer-before-record",
        "the next number is stored before the decision that has it",
        "src/outbox.c",
        "    struct entry entry = {.magic = DECISION_MAGIC, .decision = *decision};\n",
        "    struct entry entry = {.magic = DECISION_MAGIC, .decision = *decision};\n"
        "    struct entry head = make_mark(outbox->first, outbox->next + 1, outbox->dropped);\n"
        "    status = put(port, outbox, &head);\n"
        "    if (status == JL_OK) {\n"
        "        status = make_room(port, outbox);\n"
        "    }\n"
        "    if (status != JL_OK) {\n"
        "        return status;\n"
        "    }\n",
        "outbox",
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
        "configuration-in-place",
        "the new configuration overwrites the old one",
        "src/configuration.c",
        "block_offset(port, (place + 1) % BLOCKS);",
        "block_offset(port, place);",
        "configuration",
    ),
    Mutant(
        "torn-word-accepted",
        "a record of the board counts whatever its CRC says",
        "src/records.c",
        "record.magic == RECORD_MAGIC && record.crc32 == record_crc(&record);",
        "record.magic == RECORD_MAGIC;",
        "boot",
    ),
    Mutant(
        "no-crc-on-configuration",
        "a configuration counts whatever its CRC says",
        "src/configuration.c",
        "stored.magic == CONFIGURATION_MAGIC &&\n"
        "                       stored.crc32 == jl_crc32(&stored, offsetof(struct stored, crc32));",
        "stored.magic == CONFIGURATION_MAGIC;",
        "configuration",
    ),
    Mutant(
        "acknowledge-in-ram-alone",
        "what was acknowledged is owed again after a start",
        "src/outbox.c",
        "    status = put(port, outbox, &mark);\n"
        "    if (status == JL_OK) {\n"
        "        outbox->first = first;\n",
        "    (void)mark;\n    if (status == JL_OK) {\n        outbox->first = first;\n",
        "outbox",
    ),
    Mutant(
        "torn-entry-written-over",
        "the outbox goes on where a power cut left half an entry",
        "src/outbox.c",
        "            if (!is_erased(port, outbox->block, at)) {\n",
        "            if (is_good(&entry)) {\n",
        "outbox",
    ),
    Mutant(
        "interrupted-erase-not-repeated",
        "the outbox is served before the block that was being erased is ready",
        "src/outbox.c",
        "    (void)make_room(port, outbox);\n}",
        "}",
        "outbox-full",
    ),
    Mutant(
        "dropped-twice-after-a-cut",
        "what an interrupted erase already took is not found again, and not counted",
        "src/outbox.c",
        "(void)find_outside(port, block, outbox->first, &kept);",
        "(void)find_outside(port, UINT32_MAX, outbox->first, &kept);",
        "outbox-full",
    ),
    Mutant(
        "live-records-erased",
        "a full block of records is erased to begin it again",
        "src/records.c",
        "place = (struct place){.block = (place.block + 1) % BLOCKS, .end = 0};",
        "place.end = 0;",
        "boot",
    ),
    Mutant(
        "torn-record-written-over",
        "a record goes where a power cut left half a record",
        "src/records.c",
        "while (place.end < port->erase_bytes && !is_erased(start + place.end, sizeof *record)) {",
        "while (place.end < port->erase_bytes && is_erased(start, 0) && false) {",
        "boot",
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
)
