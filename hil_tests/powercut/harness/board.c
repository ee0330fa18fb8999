#include "board.h"
#include "engine.h"
#include "images.h"
#include "jl_boot.h"
#include "promises.h"

#include <setjmp.h>
#include <stddef.h>
#include <string.h>

enum {
    ARENA_BYTES = 1024,
    VERDICTS = 32,
    /** So many that the newest lies in the fence's first block. */
    FENCE_RECORDS = 20 * ERASE_BYTES / RECORD_BYTES + 3,
};

struct jl_node board_node;
enum firmware board_firmware;
uint32_t board_firmware_slot;
static _Alignas(JL_ARENA_ALIGNMENT) uint8_t arena[ARENA_BYTES];
static uint64_t ticks;
static jmp_buf *watchdog;
static const struct jl_port *port = &board_port; /* whose flash is written */

static uint64_t clock_ticks(void) {
    return ticks++;
}

static void sleep_until(uint64_t until) {
    (void)until;
}

static uint32_t link_read(uint8_t *data, uint32_t bytes) {
    (void)data;
    (void)bytes;
    return 0;
}

static bool link_write(const uint8_t *data, uint32_t bytes) {
    (void)data;
    (void)bytes;
    return true;
}

static void reset(void) {
}

static bool has_hung;
static enum jl_stop stop;

static enum jl_stop stopped_by(void) {
    return stop;
}

/** What was verified once; for all the cuts there are but a few images. */
struct verdict {
    uint8_t key[JL_PUBLIC_KEY_BYTES];
    uint8_t digest[JL_DIGEST_BYTES];
    uint8_t signature[JL_SIGNATURE_BYTES];
    bool is_signed;
};

static bool verify_signature(const uint8_t key[JL_PUBLIC_KEY_BYTES],
                             const uint8_t digest[JL_DIGEST_BYTES],
                             const uint8_t signature[JL_SIGNATURE_BYTES]) {
    static struct verdict verdicts[VERDICTS];
    static uint32_t next;
    struct verdict asked;
    memcpy(asked.key, key, sizeof asked.key);
    memcpy(asked.digest, digest, sizeof asked.digest);
    memcpy(asked.signature, signature, sizeof asked.signature);
    for (uint32_t index = 0; index < VERDICTS; index++) {
        if (memcmp(&verdicts[index], &asked, offsetof(struct verdict, is_signed)) == 0) {
            return verdicts[index].is_signed;
        }
    }
    asked.is_signed = jl_ed25519_verify(key, digest, signature);
    verdicts[next++ % VERDICTS] = asked;
    return asked.is_signed;
}

const struct jl_port board_port = {
    .profile_id = "powercut",
    .kernel_class = JL_KERNEL_SCALAR,
    .trusted_keys = &images_keys,
    .verify_signature = verify_signature,
    .flash = flash.memory,
    .erase_bytes = ERASE_BYTES,
    .program_bytes = PROGRAM_BYTES,
    .records = {RECORDS_BLOCK * ERASE_BYTES, RECORDS_BLOCKS *ERASE_BYTES},
    .configuration = {CONFIGURATION_BLOCK * ERASE_BYTES, CONFIGURATION_BLOCKS *ERASE_BYTES},
    .outbox = {OUTBOX_BLOCK * ERASE_BYTES, OUTBOX_BLOCKS *ERASE_BYTES},
    .model_slots =
        {
            {MODEL_SLOT_BLOCK * ERASE_BYTES, MODEL_SLOT_BLOCKS *ERASE_BYTES},
            {(MODEL_SLOT_BLOCK + MODEL_SLOT_BLOCKS) * ERASE_BYTES, MODEL_SLOT_BLOCKS *ERASE_BYTES},
        },
    .firmware_slots =
        {
            {FIRMWARE_SLOT_BLOCK * ERASE_BYTES, FIRMWARE_SLOT_BLOCKS *ERASE_BYTES},
            {(FIRMWARE_SLOT_BLOCK + FIRMWARE_SLOT_BLOCKS) * ERASE_BYTES,
             FIRMWARE_SLOT_BLOCKS *ERASE_BYTES},
        },
    .flash_erase = flash_erase,
    .flash_program = flash_program,
    .arena = arena,
    .arena_end = arena + ARENA_BYTES,
    .module_stack_bytes = 1024,
    .module_entry = images_entry,
    .ticks_hz = 1000000,
    .clock_ticks = clock_ticks,
    .sleep_until = sleep_until,
    .link_read = link_read,
    .link_write = link_write,
    .reset = reset,
    .stopped_by = stopped_by,
};

static bool is_inside(const struct jl_area *area, uint32_t offset, uint32_t bytes) {
    return offset >= area->offset && offset + bytes <= area->offset + area->bytes;
}

bool board_owns(uint32_t offset, uint32_t bytes) {
    return is_inside(&port->records, offset, bytes) ||
           is_inside(&port->configuration, offset, bytes) ||
           is_inside(&port->outbox, offset, bytes) ||
           is_inside(&port->model_slots[0], offset, bytes) ||
           is_inside(&port->model_slots[1], offset, bytes) ||
           is_inside(&port->firmware_slots[0], offset, bytes) ||
           is_inside(&port->firmware_slots[1], offset, bytes);
}

static struct jl_area fence_behind(const struct jl_area *area) {
    return (struct jl_area){area->offset + area->bytes, FENCE_BLOCKS * ERASE_BYTES};
}

/** What another board keeps lies behind this one's areas, newer than all that this one will have.
 */
static void fill_fences(void) {
    static struct jl_port other;
    other = board_port;
    other.records = fence_behind(&board_port.records);
    other.configuration = fence_behind(&board_port.configuration);
    other.outbox = fence_behind(&board_port.outbox);
    port = &other;
    for (uint32_t boot_id = 1; boot_id <= FENCE_RECORDS; boot_id++) {
        struct jl_record record = {.boot_id = 1000 + boot_id, .model_slot = JL_NO_SLOT};
        (void)jl_records_append(&other, &record);
        const struct jl_configuration configuration = {.report_every = 1000 + boot_id};
        (void)jl_configuration_write(&other, &configuration);
    }
    struct jl_outbox outbox;
    jl_outbox_boot(&other, &outbox);
    for (uint32_t times = 0; times < 20 * OUTBOX_BLOCK_ENTRIES; times++) {
        struct jl_decision decision = {.boot_id = 1000, .output_bytes = MODEL_SIZE};
        (void)jl_outbox_append(&other, &outbox, &decision);
    }
    port = &board_port;
}

void board_make(uint64_t seed) {
    flash_reset(seed);
    fill_fences();
    memcpy(flash.memory + board_port.firmware_slots[0].offset, firmwares[FIRMWARE_OLD][0].bytes,
           IMAGE_BYTES);
    memset(flash.erases, 0, sizeof flash.erases);
    memset(flash.programs, 0, sizeof flash.programs);
}

_Noreturn void board_hang(void) {
    has_hung = true;
    longjmp(*watchdog, 1);
}

/** What the boot loader chose: byte for byte firmware that somebody made for this slot. */
static void take_firmware(const struct jl_image *image) {
    for (uint32_t slot = 0; slot < JL_FIRMWARE_SLOTS; slot++) {
        const uint8_t *start = flash.memory + board_port.firmware_slots[slot].offset;
        for (int number = FIRMWARE_OLD; number < FIRMWARES; number++) {
            const struct image *made = &firmwares[number][slot];
            if (image->payload.data == start + sizeof(struct jl_image_header) &&
                memcmp(start, made->bytes, IMAGE_BYTES) == 0) {
                board_firmware = (enum firmware)number;
                board_firmware_slot = slot;
                return;
            }
        }
    }
    violate("firmware starts that nobody made");
}

/** Boot loader, then firmware. */
static void start_once(void) {
    struct jl_image image;
    memset(&image, 0xA5, sizeof image);
    if (!jl_boot_choose(&board_port, &image)) {
        violate("no firmware starts");
    }
    take_firmware(&image);
    promises_firmware_starts(board_firmware);
    if (board_firmware == FIRMWARE_DEAD) {
        board_hang();
    }
    jl_node_start(&board_node, &board_port);
}

void board_start(void) {
    static jmp_buf stopped;
    static uint32_t starts;
    starts = 0;
    watchdog = &stopped;
    if (setjmp(stopped) != 0 && starts >= MAX_STARTS) {
        violate("the board stopped in each of %u starts", starts);
    }
    starts++;
    promises.starts++;
    stop = has_hung ? JL_STOP_WATCHDOG : JL_STOP_OTHER;
    has_hung = false;
    flash_power_up();
    ticks = 0;
    memset(arena, 0xA5, sizeof arena);
    memset(&board_node, 0xA5, sizeof board_node);
    start_once();
    watchdog = NULL;
}

void board_check_no_firmware(void) {
    static struct flash kept;
    kept = flash;
    for (uint32_t slot = 0; slot < JL_FIRMWARE_SLOTS; slot++) {
        flash.memory[board_port.firmware_slots[slot].offset + IMAGE_BYTES / 3] ^= 1;
    }
    struct jl_image image;
    if (jl_boot_choose(&board_port, &image)) {
        violate("firmware starts though none is whole");
    }
    flash = kept;
}

bool board_outlives(void (*action)(void)) {
    static jmp_buf stopped;
    watchdog = &stopped;
    if (setjmp(stopped) != 0) {
        board_start();
        return false;
    }
    action();
    watchdog = NULL;
    return true;
}
