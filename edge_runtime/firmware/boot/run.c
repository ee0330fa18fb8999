#include "jl_boot.h"
#include "jl_memory.h"

static const char no_firmware[] = "jouleloop: no slot holds firmware that this board may start\r\n";

_Noreturn void jl_boot_run(const struct jl_port *port) {
    struct jl_image image;
    if (jl_boot_choose(port, &image)) {
        port->start_firmware(image.payload.data);
    }
    (void)port->link_write((const uint8_t *)no_firmware, sizeof no_firmware - 1);
    for (;;) {
        port->sleep_until(JL_NEVER);
    }
}
