/* The link: CMSDK UART0, received by interrupt into a ring. */
#include "mps2.h"

#define UART_DATA MPS2_UART0
#define UART_STATE (MPS2_UART0 + 0x04u)
#define UART_CONTROL (MPS2_UART0 + 0x08u)
#define UART_CLEAR (MPS2_UART0 + 0x0Cu)
#define UART_DIVIDER (MPS2_UART0 + 0x10u)

enum {
    STATE_SEND_FULL = 1,
    STATE_RECEIVED = 2,
    CONTROL_SEND = 1,
    CONTROL_RECEIVE = 2,
    CONTROL_RECEIVE_IRQ = 8,
    CLEAR_RECEIVE = 2,

    BAUD = 115200,
    /* At this speed 256 bytes are 22 ms: as long as erasing a few blocks takes. */
    RING_BYTES = 256,
    SEND_TIMEOUT_TICKS = MPS2_CLOCK_HZ / 10,
};

static uint8_t ring[RING_BYTES];
/* Free-running counts; the interrupt moves `received`, the loop `taken`. */
static volatile uint32_t received;
static volatile uint32_t taken;

void uart0_receive_handler(void);

static void allow_receive_irq(bool is_allowed) {
    uint32_t control = CONTROL_SEND | CONTROL_RECEIVE;
    *mps2_register(UART_CONTROL) = is_allowed ? control | CONTROL_RECEIVE_IRQ : control;
}

void uart0_receive_handler(void) {
    *mps2_register(UART_CLEAR) = CLEAR_RECEIVE;
    while ((*mps2_register(UART_STATE) & STATE_RECEIVED) != 0) {
        if (received - taken == RING_BYTES) {
            /* Leave the byte where it is: the line waits, or loses bytes where it cannot. */
            allow_receive_irq(false);
            return;
        }
        ring[received % RING_BYTES] = (uint8_t)*mps2_register(UART_DATA);
        received++;
    }
}

void mps2_uart_start_sending(void) {
    *mps2_register(UART_DIVIDER) = MPS2_CLOCK_HZ / BAUD;
    *mps2_register(UART_CONTROL) = CONTROL_SEND;
}

void mps2_uart_start(void) {
    *mps2_register(UART_DIVIDER) = MPS2_CLOCK_HZ / BAUD;
    allow_receive_irq(true);
    mps2_enable_irq(MPS2_IRQ_UART0_RECEIVE);
}

bool mps2_uart_has_received(void) {
    return received != taken;
}

uint32_t mps2_uart_read(uint8_t *data, uint32_t bytes) {
    uint32_t count = 0;
    while (count < bytes && received != taken) {
        data[count++] = ring[taken % RING_BYTES];
        taken++;
    }
    if (count > 0) {
        uint32_t mask = mps2_hold_irqs();
        allow_receive_irq(true);
        uart0_receive_handler(); /* a byte that waited since the ring was full */
        mps2_restore_irqs(mask);
    }
    return count;
}

static bool wait_to_send(void) {
    if ((*mps2_register(UART_STATE) & STATE_SEND_FULL) == 0) {
        return true;
    }
    uint64_t deadline = mps2_clock_ticks() + SEND_TIMEOUT_TICKS;
    while ((*mps2_register(UART_STATE) & STATE_SEND_FULL) != 0) {
        if (mps2_clock_ticks() > deadline) {
            return false;
        }
    }
    return true;
}

bool mps2_uart_write(const uint8_t *data, uint32_t bytes) {
    for (uint32_t index = 0; index < bytes; index++) {
        if (!wait_to_send()) {
            return false;
        }
        *mps2_register(UART_DATA) = data[index];
    }
    return wait_to_send();
}
