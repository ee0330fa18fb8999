/*
 * The decisions about firmware on a flash file:
 *
 *     boot_choice FLASH choose | choose-crashed | choose-hung | test | confirm | erase
 *
 * `choose` does what the boot loader does at a start and prints the slot, or 2 for none. Then come
 * the status, the reason of the last rollback as a status, the security counter, and whether what
 * runs is on trial.
 */
#define _GNU_SOURCE
#include "jl_boot.h"
#include "jl_firmware.h"
#include "nor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FLASH_BYTES = 1 << 18, ERASE_BYTES = 4096, SLOT_BYTES = 0x10000, NO_SLOT = 2 };

static uint8_t *const home = (uint8_t *)0x40000000;
static struct nor flash = {.bytes = FLASH_BYTES, .erase_bytes = ERASE_BYTES, .program_bytes = 8};

static bool flash_erase(uint32_t offset) {
    return nor_erase(&flash, offset);
}

static bool flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    return nor_program(&flash, offset, data, bytes);
}

static enum jl_stop stop;

static enum jl_stop stopped_by(void) {
    return stop;
}

static const struct jl_port port = {
    .profile_id = "host",
    .kernel_class = JL_KERNEL_SCALAR,
    .trusted_keys = &jl_trusted_keys,
    .verify_signature = jl_ed25519_verify,
    .flash = (const uint8_t *)0x40000000,
    .erase_bytes = ERASE_BYTES,
    .program_bytes = 8,
    .records = {0, 2 * ERASE_BYTES},
    .firmware_slots = {{SLOT_BYTES, SLOT_BYTES}, {2 * SLOT_BYTES, SLOT_BYTES}},
    .flash_erase = flash_erase,
    .flash_program = flash_program,
    .stopped_by = stopped_by,
};

static uint32_t choose(void) {
    struct jl_image image;
    if (!jl_boot_choose(&port, &image)) {
        return NO_SLOT;
    }
    return (uint32_t)(image.payload.data - home) / SLOT_BYTES - 1;
}

int main(int argc, char **argv) {
    int file = argc == 3 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    int protection = PROT_READ | PROT_WRITE;
    flash.memory = mmap(home, FLASH_BYTES, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
    if (flash.memory == MAP_FAILED) {
        return EXIT_FAILURE;
    }
    struct jl_record record = jl_records_read(&port);
    jl_status status = JL_OK;
    uint32_t slot = jl_firmware_running(&record);
    stop = strcmp(argv[2], "choose-crashed") == 0 ? JL_STOP_FAULT
           : strcmp(argv[2], "choose-hung") == 0  ? JL_STOP_WATCHDOG
                                                  : JL_STOP_OTHER;
    if (strncmp(argv[2], "choose", 6) == 0) {
        slot = choose();
    } else if (strcmp(argv[2], "test") == 0) {
        status = jl_firmware_test(&port, &record);
    } else if (strcmp(argv[2], "confirm") == 0) {
        status = jl_firmware_confirm(&port, &record);
    } else {
        status = jl_firmware_erase(&port, &record);
    }
    record = jl_records_read(&port);
    printf("%u %d %d %u %d\n", slot, (int)status, (int)jl_reason_status(record.firmware_reason),
           record.firmware_counter, jl_firmware_is_on_trial(&record));
    return EXIT_SUCCESS;
}
