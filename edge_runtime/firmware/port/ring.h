/* Bytes on their way from an interrupt to the loop. */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stdint.h>

/* At 115 200 baud 256 bytes are 22 ms: as long as erasing a few blocks takes. */
enum { RING_BYTES = 256 };

/** Free-running counts; the interrupt moves `received`, the loop `taken`. */
struct ring {
    uint8_t bytes[RING_BYTES];
    volatile uint32_t received;
    volatile uint32_t taken;
};

static inline bool ring_is_empty(const struct ring *ring) {
    return ring->received == ring->taken;
}

static inline bool ring_is_full(const struct ring *ring) {
    return ring->received - ring->taken == RING_BYTES;
}

/** Into a ring that is not full. */
static inline void ring_put(struct ring *ring, uint8_t byte) {
    ring->bytes[ring->received % RING_BYTES] = byte;
    ring->received++;
}

/** Take up to `bytes`; returns how many there were. */
static inline uint32_t ring_take(struct ring *ring, uint8_t *data, uint32_t bytes) {
    uint32_t count = 0;
    while (count < bytes && !ring_is_empty(ring)) {
        data[count++] = ring->bytes[ring->taken % RING_BYTES];
        ring->taken++;
    }
    return count;
}

#endif
