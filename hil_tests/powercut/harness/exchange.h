/* Requests and replies of SMP, as a client makes and reads them. */
#ifndef POWERCUT_EXCHANGE_H
#define POWERCUT_EXCHANGE_H

#include "jl_cbor.h"
#include "jl_smp_ids.h"

/** Begin a request's map. */
void request_open(void);
void request_number(const char *key, uint64_t value);
void request_bool(const char *key, bool value);
void request_bytes(const char *key, const void *data, uint32_t bytes);

/** Close the map and send it to the board; returns the reply's map, valid until the next one. */
struct jl_bytes request_send(uint8_t operation, uint16_t group, uint8_t command);

/** Whether a reply reports no error. */
bool reply_is_ok(struct jl_bytes reply);

/** The error that a reply reports; JL_OK for none. */
jl_status reply_status(struct jl_bytes reply);

/** A number in a map; a violation where it is not there. */
uint32_t reply_number(struct jl_bytes map, const char *key);

/** The items of an array in a reply; false: the reply has none. */
bool reply_array(struct jl_bytes reply, const char *key, struct jl_bytes *items);

/** A map in a reply; false: the reply has none. */
bool reply_map(struct jl_bytes reply, const char *key, struct jl_bytes *map);

/** Take the next map off the items; false: there is none left. */
bool reply_next(struct jl_bytes *items, struct jl_bytes *map);

#endif
