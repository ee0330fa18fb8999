/* MPS3 with FPGA image AN547 (Corstone-300), a Cortex-M55: QEMU hw/arm/mps2-tz.c, secure. */
#ifndef MPS2_BOARD_H
#define MPS2_BOARD_H

#define MPS2_PROFILE "corstone-300"
#define MPS2_KERNEL_CLASS JL_KERNEL_MVE
#define MPS2_ISA_FEATURES (JL_ISA_THUMB2 | JL_ISA_DSP | JL_ISA_FPU_SINGLE | JL_ISA_MVE_INTEGER)

/** The clock of the core and of the system counter (sysclk_frq). */
#define MPS2_CLOCK_HZ 32000000u
/** Where the boot loader lies. */
#define MPS2_BOOT_BASE 0x10000000u
#define MPS2_UART0 0x59303000u
/** The SSE-300's system counter: control and reading frames. */
#define MPS2_SYSTEM_COUNTER 0x58100000u
#define MPS2_SYSTEM_COUNTER_READ 0x58101000u
/** S32K timer: a CMSDK timer on the slow clock. */
#define MPS2_TIMER0 0x5802F000u
#define MPS2_TIMER0_HZ 32000u
/** S32K watchdog: a CMSDK watchdog on the slow clock; its interrupt is the NMI. */
#define MPS2_WATCHDOG 0x5802E000u
#define MPS2_WATCHDOG_HZ 32000u
/** The begin of the DDR, which plays the flash. Secure: no SAU region says otherwise. */
#define MPS2_FLASH_BASE 0x60000000u

enum { MPS2_IRQ_UART0_RECEIVE = 33, MPS2_IRQ_TIMER0 = 2, MPS2_IRQS = 64 };

#endif
