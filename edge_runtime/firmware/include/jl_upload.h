/* The upload of an image into the spare slot of its kind, piece by piece, as SMP does it. */
#ifndef JL_UPLOAD_H
#define JL_UPLOAD_H

#include "jl_cbor.h"
#include "jl_firmware.h"
#include "jl_slots.h"

#include <stdbool.h>
#include <stdint.h>

/** An upload in progress. */
struct jl_upload {
    bool is_open;
    uint32_t kind; /* JL_SMP_IMAGE_FIRMWARE or JL_SMP_IMAGE_MODEL */
    uint32_t slot;
    uint32_t offset; /* bytes stored so far */
    uint32_t bytes;  /* of the whole file */
    bool has_sha256; /* of the whole file, as announced */
    uint8_t sha256[JL_SHA256_BYTES];
};

/** The first piece's announcement. */
struct jl_upload_start {
    uint32_t kind;
    uint32_t bytes;
    struct jl_bytes sha256; /* empty: not announced */
    bool must_be_newer;
};

/**
 * Begin, or go on with an upload that was interrupted: the same length and SHA-256 keep what was
 * stored. `data` is the first piece; it holds the image's header. A model on trial is confirmed:
 * what was its way back makes room.
 */
jl_status jl_upload_begin(const struct jl_port *port, struct jl_slots *slots,
                          struct jl_upload *upload, const struct jl_upload_start *start,
                          struct jl_bytes data);

/**
 * Store the piece at `offset`. Where another offset is expected nothing is stored: the client goes
 * on from `upload->offset`. Of a piece that is not the last, only whole program units are stored.
 */
jl_status jl_upload_store(const struct jl_port *port, struct jl_upload *upload, uint32_t offset,
                          struct jl_bytes data);

/**
 * All is stored: compare with the announced SHA-256. A model is activated; firmware is verified,
 * and starts when it is put on trial. Closes the upload.
 */
jl_status jl_upload_finish(const struct jl_port *port, struct jl_slots *slots,
                           struct jl_upload *upload);

#endif
