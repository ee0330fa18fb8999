/* The CMSDK watchdog: when it has run down, its interrupt, the NMI, resets the board. */
#include "mps2.h"

#ifdef MPS2_WATCHDOG

#define WATCHDOG_LOAD (MPS2_WATCHDOG + 0x00u)
#define WATCHDOG_CONTROL (MPS2_WATCHDOG + 0x08u)
#define WATCHDOG_CLEAR (MPS2_WATCHDOG + 0x0Cu)

/*
 * Counts, and interrupts. It does not reset by itself: QEMU's goes on counting while it is off, and
 * would reset the board at once when it is switched on after twice its time.
 */
enum { WATCHDOG_ON = 1 };

void mps2_watchdog(uint32_t milliseconds) {
    *cortex_m_register(WATCHDOG_CONTROL) = 0;
    if (milliseconds > 0) {
        *cortex_m_register(WATCHDOG_LOAD) = milliseconds * (MPS2_WATCHDOG_HZ / 1000u);
        *cortex_m_register(WATCHDOG_CLEAR) = 1;
        *cortex_m_register(WATCHDOG_CONTROL) = WATCHDOG_ON;
    }
}

#endif
