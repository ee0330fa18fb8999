/* The link: USART1, received by interrupt into a ring (RM0090, section 30.6). */
#include "../ring.h"
#include "stm32f4.h"

#define AHB1_ENABLE (STM32F4_RCC + 0x30u)
#define APB2_ENABLE (STM32F4_RCC + 0x44u)
#define USART1 0x40011000u
#define UART_STATE (USART1 + 0x00u)
#define UART_DATA (USART1 + 0x04u)
#define UART_DIVIDER (USART1 + 0x08u)
#define UART_CONTROL (USART1 + 0x0Cu)
#define PORT_MODE (STM32F4_UART_PORT + 0x00u)
#define PORT_PULL (STM32F4_UART_PORT + 0x0Cu)
#define PORT_FUNCTION_LOW (STM32F4_UART_PORT + 0x20u)

enum {
    ENABLE_USART1 = 1 << 4,
    STATE_OVERRUN = 1 << 3,
    STATE_RECEIVED = 1 << 5,
    STATE_SEND_EMPTY = 1 << 7,
    CONTROL = 1 << 13 | 1 << 5 | 1 << 3 | 1 << 2, /* on, receive interrupt, send, receive */
    MODE_ALTERNATE = 2,
    PULL_UP = 1,
    FUNCTION_USART1 = 7,
    BAUD = 115200,
    SEND_LIMITS_PER_S = 10,
};

static struct ring ring;
static uint32_t send_limit_ticks;

/** A field of `width` bits of a pin in a register that has one for each. */
static void set_field(uintptr_t address, uint32_t pin, uint32_t width, uint32_t value) {
    uint32_t shift = pin * width;
    uint32_t mask = ((1u << width) - 1) << shift;
    *cortex_m_register(address) = (*cortex_m_register(address) & ~mask) | value << shift;
}

void stm32f4_uart_start(const struct stm32f4_clocks *clocks) {
    send_limit_ticks = clocks->core_hz / SEND_LIMITS_PER_S;
    *cortex_m_register(AHB1_ENABLE) |= STM32F4_UART_PORT_ENABLE;
    *cortex_m_register(APB2_ENABLE) |= ENABLE_USART1;
    (void)*cortex_m_register(APB2_ENABLE); /* the clock needs two cycles to arrive */
    /* A line that nobody drives is idle. */
    set_field(PORT_PULL, STM32F4_UART_PIN_RECEIVE, 2, PULL_UP);
    set_field(PORT_FUNCTION_LOW, STM32F4_UART_PIN_SEND, 4, FUNCTION_USART1);
    set_field(PORT_FUNCTION_LOW, STM32F4_UART_PIN_RECEIVE, 4, FUNCTION_USART1);
    set_field(PORT_MODE, STM32F4_UART_PIN_SEND, 2, MODE_ALTERNATE);
    set_field(PORT_MODE, STM32F4_UART_PIN_RECEIVE, 2, MODE_ALTERNATE);
    *cortex_m_register(UART_DIVIDER) = (clocks->apb2_hz + BAUD / 2) / BAUD;
    *cortex_m_register(UART_CONTROL) = CONTROL;
    cortex_m_enable_irq(STM32F4_IRQ_USART1);
}

void usart1_handler(void) {
    uint32_t state = *cortex_m_register(UART_STATE);
    while ((state & (STATE_RECEIVED | STATE_OVERRUN)) != 0) {
        if (ring_is_full(&ring)) {
            /* Leave the byte where it is: what follows it on the line is lost. */
            cortex_m_disable_irq(STM32F4_IRQ_USART1);
            return;
        }
        /* Reading the data behind the state clears both. */
        uint8_t byte = (uint8_t)*cortex_m_register(UART_DATA);
        if ((state & STATE_RECEIVED) != 0) {
            ring_put(&ring, byte);
        }
        state = *cortex_m_register(UART_STATE);
    }
}

bool stm32f4_uart_has_received(void) {
    return !ring_is_empty(&ring);
}

uint32_t stm32f4_uart_read(uint8_t *data, uint32_t bytes) {
    uint32_t count = ring_take(&ring, data, bytes);
    cortex_m_enable_irq(STM32F4_IRQ_USART1); /* for a byte that waited since the ring was full */
    return count;
}

static bool wait_to_send(void) {
    uint64_t deadline = cortex_m_systick_ticks() + send_limit_ticks;
    while ((*cortex_m_register(UART_STATE) & STATE_SEND_EMPTY) == 0) {
        if (cortex_m_systick_ticks() > deadline) {
            return false;
        }
    }
    return true;
}

bool stm32f4_uart_write(const uint8_t *data, uint32_t bytes) {
    for (uint32_t index = 0; index < bytes; index++) {
        if (!wait_to_send()) {
            return false;
        }
        *cortex_m_register(UART_DATA) = data[index];
    }
    return wait_to_send();
}
