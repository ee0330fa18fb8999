#include "board.h"
#include "engine.h"
#include "images.h"
#include "jl_boot.h"
#include "jl_crc.h"
#include "promises.h"

#include <setjmp.h>
#include <stddef.h>
#include <string.h>

enum {
    ARENA_BYTES = 1024,
    TICKS_HZ = 1000000,
    VERDICTS = 32,
    /** So many that the newest lies in the fence's first block. */
    FENCE_RECORDS = 20 * ERASE_BYTES / RECORD_BYTES + 3,
};

#define ALIEN_MAGIC UINT32_C(0x4E454C41)

struct jl_node board_node;
enum firmware board_firmware;
uint32_t board_firmware_slot;
static _Alignas(JL_ARENA_ALIGNMENT) uint8_t arena[ARENA_BYTES];
static uint64_t ticks;
static uint32_t watched_ms;   /* that the watchdog waits; 0: it is off */
static uint32_t unwatched_ms; /* since it was told to */
static bool is_starting;
static jmp_buf *watchdog;
static const struct jl_port *port = &board_port; /* whose flash is written */

static uint64_t clock_ticks(void) {
    return ticks++;
}

static void watch(uint32_t milliseconds) {
    watched_ms = milliseconds;
    unwatched_ms = 0;
}

void board_pass(uint32_t milliseconds) {
    unwatched_ms += milliseconds;
    if (watched_ms != 0 && unwatched_ms >= watched_ms) {
        violate("the watchdog stops the board in its work");
    }
}

static void sleep_until(uint64_t until) {
    uint64_t limit = (uint64_t)watched_ms * TICKS_HZ / 1000;
    if (watched_ms != 0 && (until < ticks || until - ticks >= limit)) {
        violate("the board sleeps until its watchdog stops it");
    }
}

void board_compute(uint32_t taken) {
    ticks += taken;
}

bool board_is_starting(void) {
    return is_starting;
}

void board_rest(void) {
    jl_node_step(&board_node);
    if ((watched_ms != 0) != jl_firmware_is_on_trial(&board_node.slots.record)) {
        violate("the watchdog is %s", watched_ms != 0 ? "on without a trial" : "off in a trial");
    }
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

static enum jl_stop next_stop;
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
    .ticks_hz = TICKS_HZ,
    .picojoules_per_tick = 1000,
    .clock_ticks = clock_ticks,
    .sleep_until = sleep_until,
    .link_read = link_read,
    .link_write = link_write,
    .reset = reset,
    .watchdog = watch,
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

/** Something newer with a right CRC that is none of this firmware's: its magic is another. */
static void leave_alien(const struct jl_area *area, uint32_t block, uint32_t bytes) {
    uint32_t alien[OUTBOX_ENTRY_BYTES / sizeof(uint32_t)] = {ALIEN_MAGIC, 1000, 1000, 1000};
    uint32_t crc_at = bytes / sizeof(uint32_t) - 1;
    alien[crc_at] = jl_crc32(alien, crc_at * sizeof(uint32_t));
    memcpy(flash.memory + area->offset + block * ERASE_BYTES, alien, bytes);
}

/** Another firmware was here: what it left lies in blocks that are erased before they are used. */
static void leave_aliens(void) {
    leave_alien(&board_port.records, 1, RECORD_BYTES);
    leave_alien(&board_port.configuration, 1, CONFIGURATION_BYTES);
    for (uint32_t block = 1; block < OUTBOX_BLOCKS; block++) {
        leave_alien(&board_port.outbox, block, OUTBOX_ENTRY_BYTES);
    }
}

/** The number in the second word of each entry whose CRC, its last word, is right. */
static void age_area(const struct jl_area *area, uint32_t bytes) {
    uint32_t newest = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t at = area->offset; at < area->offset + area->bytes; at += bytes) {
            uint32_t words[OUTBOX_ENTRY_BYTES / sizeof(uint32_t)];
            memcpy(words, flash.memory + at, bytes);
            uint32_t *crc = &words[bytes / sizeof(uint32_t) - 1];
            if (*crc != jl_crc32(words, bytes - sizeof *crc) || words[0] == ALIEN_MAGIC) {
                continue;
            }
            if (pass == 0) {
                newest = words[1] > newest ? words[1] : newest;
                continue;
            }
            words[1] += INT32_MAX - newest;
            *crc = jl_crc32(words, bytes - sizeof *crc);
            memcpy(flash.memory + at, words, bytes);
        }
    }
}

void board_age(void) {
    age_area(&board_port.records, RECORD_BYTES);
    age_area(&board_port.configuration, CONFIGURATION_BYTES);
    age_area(&board_port.outbox, OUTBOX_ENTRY_BYTES);
}

void board_make(uint64_t seed) {
    flash_reset(seed);
    watch(0);
    fill_fences();
    leave_aliens();
    memcpy(flash.memory + board_port.firmware_slots[0].offset, firmwares[FIRMWARE_OLD][0].bytes,
           IMAGE_BYTES);
    memset(flash.erases, 0, sizeof flash.erases);
    memset(flash.programs, 0, sizeof flash.programs);
}

static _Noreturn void stop_board(enum jl_stop by) {
    next_stop = by;
    longjmp(*watchdog, 1);
}

_Noreturn void board_hang(void) {
    if (watched_ms == 0) {
        violate("the board hangs for ever: no watchdog runs");
    }
    stop_board(JL_STOP_WATCHDOG);
}

_Noreturn void board_crash(void) {
    stop_board(JL_STOP_FAULT);
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

static uint32_t counter_in(const struct jl_area *area, const struct image *images, int count,
                           int stride) {
    for (int number = 1; number < count; number++) {
        const struct image *image = &images[number * stride];
        if (memcmp(flash.memory + area->offset, image->bytes, IMAGE_BYTES) == 0) {
            return image->counter;
        }
    }
    return UINT32_MAX; /* it has faded */
}

/** Whatever a cut leaves: no counter is above that of the image that the record confirms. */
static void check_counters(void) {
    struct jl_record record = jl_records_read(&board_port);
    uint32_t slot = record.firmware_slot;
    if (slot >= JL_FIRMWARE_SLOTS ||
        (record.model_slot >= JL_MODEL_SLOTS && record.model_slot != JL_NO_SLOT)) {
        violate("the record confirms a slot that there is not");
    }
    if (record.firmware_counter > counter_in(&board_port.firmware_slots[slot], firmwares[0] + slot,
                                             FIRMWARES, JL_FIRMWARE_SLOTS)) {
        violate("the counter of firmware is above that of the confirmed one");
    }
    slot = record.model_slot;
    if (slot != JL_NO_SLOT &&
        record.model_counter > counter_in(&board_port.model_slots[slot], models, MODELS, 1)) {
        violate("the counter of models is above that of the confirmed one");
    }
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
    if (board_firmware == FIRMWARE_CRASHES) {
        board_crash();
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
    stop = next_stop;
    next_stop = JL_STOP_OTHER;
    is_starting = true;
    flash_power_up();
    ticks = 0;
    watch(0);
    memset(arena, 0xA5, sizeof arena);
    memset(&board_node, 0xA5, sizeof board_node);
    check_counters();
    start_once();
    is_starting = false;
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
