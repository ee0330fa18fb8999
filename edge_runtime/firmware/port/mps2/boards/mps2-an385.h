/* MPS2 with FPGA image AN385, a Cortex-M3: QEMU hw/arm/mps2.c. */
#ifndef MPS2_BOARD_H
#define MPS2_BOARD_H

#define MPS2_PROFILE "mps2-an385"
#define MPS2_KERNEL_CLASS JL_KERNEL_SCALAR
#define MPS2_ISA_FEATURES JL_ISA_THUMB2

/** The clock of the core, SysTick and the timers (SYSCLK_FRQ). */
#define MPS2_CLOCK_HZ 25000000u
/** Where the boot loader lies. */
#define MPS2_BOOT_BASE 0x00000000u
#define MPS2_UART0 0x40004000u
#define MPS2_TIMER0 0x40000000u
/** CMSDK watchdog; its interrupt is the NMI. */
#define MPS2_WATCHDOG 0x40008000u
#define MPS2_WATCHDOG_HZ MPS2_CLOCK_HZ
/** The PSRAM, which plays the flash. */
#define MPS2_FLASH_BASE 0x21000000u

enum { MPS2_IRQ_UART0_RECEIVE = 0, MPS2_IRQ_TIMER0 = 8, MPS2_IRQS = 32 };

#endif
