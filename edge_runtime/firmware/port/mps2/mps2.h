/*
 * Arm's MPS2 and MPS3 boards, as QEMU emulates them: what the boards of this family share. The
 * build includes a board's core, addresses and interrupt numbers, `boards/NAME.h`, before
 * everything. Registers: Arm DDI 0479D (CMSDK), DDI 0403E (SysTick, SCB).
 */
#ifndef MPS2_H
#define MPS2_H

#include "../cortex_m/cortex_m.h"
#include "jl_port.h"

#include <stdbool.h>
#include <stdint.h>

/** Start the clock; ticks count from here. */
void mps2_clock_start(void);
uint64_t mps2_clock_ticks(void);
void mps2_sleep_until(uint64_t ticks);

void mps2_uart_start(void);
/** Without receiving, and so without interrupts. */
void mps2_uart_start_sending(void);
bool mps2_uart_has_received(void);
uint32_t mps2_uart_read(uint8_t *data, uint32_t bytes);
bool mps2_uart_write(const uint8_t *data, uint32_t bytes);

/* Of the firmware's vector table. */
void uart0_receive_handler(void);
void timer0_handler(void);

/** Units of the flash that memory plays. */
enum { MPS2_FLASH_ERASE_BYTES = 4096, MPS2_FLASH_PROGRAM_BYTES = 8, MPS2_FLASH_BYTES = 1 << 24 };

/** Where firmware lies in it; the linker scripts say the same. */
enum { MPS2_SLOT_A = 0xC00000, MPS2_SLOT_B = 0xE00000, MPS2_SLOT_BYTES = 0x200000 };

bool mps2_flash_erase(uint32_t offset);
bool mps2_flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes);

/** Where the board's header names a watchdog. */
void mps2_watchdog(uint32_t milliseconds);
/** The boot loader's own code, or its service. */
jl_verify_signature_function mps2_verify_signature;

/** The board that is linked in. */
extern const struct jl_port mps2_board;

#endif
