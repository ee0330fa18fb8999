"""Faults in what keeps records, the outbox and the configuration."""

from __future__ import annotations

from hil_tests.powercut.mutant import Mutant

STORAGE_MUTANTS = (
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
        "sequence-wraps",
        "of two records the older one counts when a part of the number wraps around",
        "src/records.c",
        "record.sequence > newest->sequence",
        "(uint8_t)record.sequence > (uint8_t)newest->sequence",
        "aged",
    ),
    Mutant(
        "serial-compared-with-a-sign",
        "past 2^31 the oldest block of the outbox is taken for the newest",
        "src/outbox.c",
        "entry.serial > serial",
        "(int32_t)entry.serial > (int32_t)serial",
        "aged",
    ),
    Mutant(
        "record-of-another-firmware",
        "what another firmware left is taken for a record",
        "src/records.c",
        "record.magic == RECORD_MAGIC && ",
        "",
        "boot",
    ),
    Mutant(
        "crc-of-half-an-entry",
        "the CRC of an entry leaves out the decision's output",
        "src/outbox.c",
        "return jl_crc32(entry, offsetof(struct entry, crc32));",
        "return jl_crc32(entry, offsetof(struct entry, decision.output));",
        "outbox",
    ),
    Mutant(
        "erased-by-its-first-word",
        "an entry's place counts as erased when its first word is",
        "src/outbox.c",
        "for (uint32_t index = 0; index < sizeof(struct entry); index++) {",
        "for (uint32_t index = 0; index < 4; index++) {",
        "outbox",
    ),
    Mutant(
        "acknowledged-before-it-was-dropped",
        "an acknowledgement that makes room owes again what it dropped",
        "src/outbox.c",
        "uint32_t first = through + 1 > outbox->first ? through + 1 : outbox->first;",
        "uint32_t first = through + 1;",
        "outbox-full",
    ),
    Mutant(
        "failed-record-taken-for-stored",
        "flash that fails to keep a record is not heard",
        "src/records.c",
        "return is_written ? JL_OK : JL_IMAGE_ERROR_FLASH_WRITE_FAILED;",
        "return JL_OK;",
        "firmware-update",
    ),
)
