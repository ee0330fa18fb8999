/* Netduino Plus 2: an STM32F405RG with a crystal of 25 MHz. QEMU: hw/arm/netduinoplus2.c. */
#ifndef STM32F4_BOARD_H
#define STM32F4_BOARD_H

#define STM32F4_PROFILE "stm32f405"
#define STM32F4_CRYSTAL_MHZ 25u
/** USART1 where the board's header has SDA and SCL: pins 6 and 7 of port B. */
#define STM32F4_UART_PORT 0x40020400u
#define STM32F4_UART_PORT_ENABLE (1u << 1)
#define STM32F4_UART_PIN_SEND 6u
#define STM32F4_UART_PIN_RECEIVE 7u

#endif
