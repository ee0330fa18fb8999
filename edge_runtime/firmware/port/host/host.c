/*
 * The host port: the same firmware as a process of this machine, for tests under sanitizers.
 *
 *     host FLASH_FILE [read-only]
 *
 * The link is standard input and output; the process ends with its input. With a second argument it
 * is a board that does not write its flash.
 *
 * Modules are code of this machine. A reset ends the process; start it again on the same file.
 */
/* The libc's own switch, for POSIX under -std=c11. */
#define _GNU_SOURCE // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
#include "../nor.h"
#include "jl_port.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    FLASH_BYTES = 1 << 20,
    ERASE_BYTES = 4096,
    PROGRAM_BYTES = 8,
    SLOT_BYTES = 0x40000,
    ARENA_BYTES = 64 * 1024,
    NANOSECONDS = 1000000000,
};

static struct nor flash = {
    .bytes = FLASH_BYTES,
    .erase_bytes = ERASE_BYTES,
    .program_bytes = PROGRAM_BYTES,
};
static _Alignas(JL_ARENA_ALIGNMENT) uint8_t arena[ARENA_BYTES];

static bool flash_erase(uint32_t offset) {
    return nor_erase(&flash, offset);
}

static bool flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    return nor_program(&flash, offset, data, bytes);
}

static jl_infer *module_entry(const uint8_t *module, uint32_t entry_offset) {
    /* Bytes become code here. */
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return (jl_infer *)((uintptr_t)module + entry_offset);
}

static uint64_t clock_ticks(void) {
    static uint64_t start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ticks = (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
    if (start == 0) {
        start = ticks;
    }
    return ticks - start;
}

static bool has_input(int timeout_ms) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, timeout_ms) > 0;
}

static void sleep_until(uint64_t ticks) {
    uint64_t now = clock_ticks();
    uint64_t milliseconds = ticks > now ? (ticks - now) / (NANOSECONDS / 1000) : 0;
    has_input(ticks == JL_NEVER ? -1 : (int)milliseconds);
}

static uint32_t link_read(uint8_t *data, uint32_t bytes) {
    if (!has_input(0)) {
        return 0;
    }
    ssize_t count = read(STDIN_FILENO, data, bytes);
    if (count <= 0) {
        exit(EXIT_SUCCESS);
    }
    return (uint32_t)count;
}

static bool link_write(const uint8_t *data, uint32_t bytes) {
    while (bytes > 0) {
        ssize_t count = write(STDOUT_FILENO, data, bytes);
        if (count <= 0) {
            return false;
        }
        data += count;
        bytes -= (uint32_t)count;
    }
    return true;
}

static void reset(void) {
    exit(EXIT_SUCCESS);
}

int main(int argc, char **argv) {
    int file = argc >= 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    void *memory = mmap(NULL, FLASH_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        perror("host FLASH_FILE [read-only]");
        return EXIT_FAILURE;
    }
    flash.memory = memory;
    /* Here, and not const at file level: the flash has no address before it is mapped. */
    static struct jl_port port = {
        .profile_id = "host",
        .kernel_class = JL_KERNEL_SCALAR,
        .isa_features = 0,
        .trusted_keys = &jl_trusted_keys,
        .verify_signature = jl_ed25519_verify,
        .erase_bytes = ERASE_BYTES,
        .program_bytes = PROGRAM_BYTES,
        .records = {0, 2 * ERASE_BYTES},
        .configuration = {0x8000, 2 * ERASE_BYTES},
        .outbox = {0x10000, 4 * ERASE_BYTES},
        .model_slots = {{SLOT_BYTES, SLOT_BYTES}, {2 * SLOT_BYTES, SLOT_BYTES}},
        .flash_erase = flash_erase,
        .flash_program = flash_program,
        .arena = arena,
        .arena_end = arena + ARENA_BYTES,
        .module_stack_bytes = 12 * 1024,
        .module_entry = module_entry,
        .ticks_hz = NANOSECONDS,
        .picojoules_per_tick = 1000, /* for tests: nobody knows this machine's */
        .clock_ticks = clock_ticks,
        .sleep_until = sleep_until,
        .link_read = link_read,
        .link_write = link_write,
        .reset = reset,
    };
    port.flash = memory;
    if (argc > 2) {
        port.records.bytes = 0;
        port.configuration.bytes = 0;
        port.outbox.bytes = 0;
        port.model_slots[1].bytes = 0;
    }
    jl_firmware_run(&port);
}
