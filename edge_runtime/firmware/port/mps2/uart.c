/* The link: CMSDK UART0, received by interrupt into a ring. */
#include "../ring.h"
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
    SEND_TIMEOUT_TICKS = MPS2_CLOCK_HZ / 10,
};

static struct ring ring;

static void allow_receive_irq(bool is_allowed) {
    uint32_t control = CONTROL_SEND | CONTROL_RECEIVE;
    *cortex_m_register(UART_CONTROL) = is_allowed ? control | CONTROL_RECEIVE_IRQ : control;
}

void uart0_receive_handler(void) {
    *cortex_m_register(UART_CLEAR) = CLEAR_RECEIVE;
    while ((*cortex_m_register(UART_STATE) & STATE_RECEIVED) != 0) {
        if (ring_is_full(&ring)) {
            /* Leave the byte where it is: the line waits, or loses bytes where it cannot. */
            allow_receive_irq(false);
            return;
        }
        ring_put(&ring, (uint8_t)*cortex_m_register(UART_DATA));
    }
}

void mps2_uart_start_sending(void) {
    *cortex_m_register(UART_DIVIDER) = MPS2_CLOCK_HZ / BAUD;
    *cortex_m_register(UART_CONTROL) = CONTROL_SEND;
}

void mps2_uart_start(void) {
    *cortex_m_register(UART_DIVIDER) = MPS2_CLOCK_HZ / BAUD;
    allow_receive_irq(true);
    cortex_m_enable_irq(MPS2_IRQ_UART0_RECEIVE);
}

bool mps2_uart_has_received(void) {
    return !ring_is_empty(&ring);
}

uint32_t mps2_uart_read(uint8_t *data, uint32_t bytes) {
    uint32_t count = ring_take(&ring, data, bytes);
    if (count > 0) {
        uint32_t mask = cortex_m_hold_irqs();
        allow_receive_irq(true);
        uart0_receive_handler(); /* a byte that waited since the ring was full */
        cortex_m_restore_irqs(mask);
    }
    return count;
}

static bool wait_to_send(void) {
    if ((*cortex_m_register(UART_STATE) & STATE_SEND_FULL) == 0) {
        return true;
    }
    uint64_t deadline = mps2_clock_ticks() + SEND_TIMEOUT_TICKS;
    while ((*cortex_m_register(UART_STATE) & STATE_SEND_FULL) != 0) {
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
        *cortex_m_register(UART_DATA) = data[index];
    }
    return wait_to_send();
}
