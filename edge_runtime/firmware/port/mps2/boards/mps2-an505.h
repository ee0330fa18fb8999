/* MPS2+ with FPGA image AN505, a Cortex-M33: QEMU hw/arm/mps2-tz.c, addresses as secure code sees
 * it. */
#ifndef MPS2_BOARD_H
#define MPS2_BOARD_H

#define MPS2_PROFILE "mps2-an505"
#define MPS2_KERNEL_CLASS JL_KERNEL_DSP
#define MPS2_ISA_FEATURES (JL_ISA_THUMB2 | JL_ISA_DSP | JL_ISA_FPU_SINGLE)

/** The clock of the core, SysTick and the timers (sysclk_frq). */
#define MPS2_CLOCK_HZ 20000000u
/** Where the boot loader lies. */
#define MPS2_BOOT_BASE 0x10000000u
#define MPS2_UART0 0x50200000u
#define MPS2_TIMER0 0x50000000u
/** CMSDK watchdog; its interrupt is the NMI. */
#define MPS2_WATCHDOG 0x50081000u
#define MPS2_WATCHDOG_HZ MPS2_CLOCK_HZ
/** The PSRAM, which plays the flash. Secure: no SAU region says otherwise. */
#define MPS2_FLASH_BASE 0x80000000u

enum { MPS2_IRQ_UART0_RECEIVE = 32, MPS2_IRQ_TIMER0 = 3, MPS2_IRQS = 64 };

#endif
