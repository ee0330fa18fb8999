/* Images that are right but for one thing, each of which the board must refuse, and say why. */
#ifndef POWERCUT_SPOILT_H
#define POWERCUT_SPOILT_H

#include "images.h"
#include "jl_port.h"

/** What is not as it must be. */
struct spoilt {
    const char *what;
    uint32_t offset; /* in the image */
    uint32_t bytes;  /* 1, 2 or 4 of `value` lie there; little-endian */
    uint32_t value;
    bool is_signed; /* by a key that the board trusts, with that in it */
    jl_status expected;
};

/** Ends with one without a name. */
extern const struct spoilt spoilt_models[];
extern const struct spoilt spoilt_firmware[];

/** MODEL_NEWER, or FIRMWARE_NEWER for a slot, spoilt. */
struct image spoilt_model(const struct spoilt *spoilt);
struct image spoilt_firmware_for(const struct spoilt *spoilt, uint32_t slot);

#endif
