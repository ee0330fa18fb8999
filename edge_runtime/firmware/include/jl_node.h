/* The node: all that the firmware holds in RAM, and what it does with a message. */
#ifndef JL_NODE_H
#define JL_NODE_H

#include "jl_cbor.h"
#include "jl_configuration.h"
#include "jl_console.h"
#include "jl_firmware.h"
#include "jl_ledger.h"
#include "jl_outbox.h"
#include "jl_slots.h"
#include "jl_upload.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    /** SMP's buffer as the protocol counts it: header, CBOR, and the frame's length and CRC. */
    JL_BUFFER_BYTES = 1024,
};

struct jl_node {
    const struct jl_port *port;
    struct jl_ledger ledger;
    struct jl_slots slots;
    struct jl_slot firmware[JL_FIRMWARE_SLOTS];
    struct jl_upload upload;
    struct jl_configuration configuration;
    struct jl_outbox outbox;
    uint32_t input_received; /* bytes of the next inference's input */
    uint32_t output_ready;   /* bytes of the last inference's output; 0 when there is none */
    bool is_reset_asked;
    struct jl_console console;
    uint8_t request[JL_BUFFER_BYTES];
    uint8_t reply[JL_BUFFER_BYTES];
};

/** A request, its header taken apart. */
struct jl_request {
    uint8_t operation;
    uint8_t version;
    uint8_t sequence;
    uint8_t command;
    uint16_t group;
    struct jl_bytes map; /* well-formed */
};

/** Start: the clock, the slots, the link. */
void jl_node_start(struct jl_node *node, const struct jl_port *port);

/** One round of the loop: take what the link has, answer, or sleep. */
void jl_node_step(struct jl_node *node);

/** Answer a message; returns the answer's bytes in `node->reply`, 0 when there is none. */
uint32_t jl_smp_answer(struct jl_node *node, struct jl_bytes message);

/** Put {"group", "rc"}, what a status is to SMP, into a map that is open. */
void jl_put_status(struct jl_cbor_writer *writer, const char *key, jl_status status);

/** Put the ledger, as it stands now, into a map that is open. */
void jl_put_ledger(struct jl_node *node, struct jl_cbor_writer *reply);

/** Put the outbox's counters into a map that is open. */
void jl_put_outbox(const struct jl_outbox *outbox, struct jl_cbor_writer *reply);

/*
 * The groups of commands. The writer is inside the answer's map; what was written is dropped where
 * the status is not JL_OK.
 */
jl_status jl_os_handle(struct jl_node *node, const struct jl_request *request,
                       struct jl_cbor_writer *reply);
jl_status jl_images_handle(struct jl_node *node, const struct jl_request *request,
                           struct jl_cbor_writer *reply);
jl_status jl_inference_handle(struct jl_node *node, const struct jl_request *request,
                              struct jl_cbor_writer *reply);
jl_status jl_stat_handle(struct jl_node *node, const struct jl_request *request,
                         struct jl_cbor_writer *reply);
jl_status jl_storage_handle(struct jl_node *node, const struct jl_request *request,
                            struct jl_cbor_writer *reply);
jl_status jl_keys_handle(struct jl_node *node, const struct jl_request *request,
                         struct jl_cbor_writer *reply);

jl_status jl_state_handle(struct jl_node *node, const struct jl_request *request,
                          struct jl_cbor_writer *reply);

#endif
