/* A client of the board, who writes into the book of promises and holds the board to it. */
#ifndef POWERCUT_CLIENT_H
#define POWERCUT_CLIENT_H

#include "images.h"

/** Run the model that serves; its decision goes to the outbox. */
void client_infer(void);
/** Acknowledge all decisions up to and with this one. */
void client_acknowledge(uint32_t through);
/** Acknowledge one that was never made: refused. */
void client_acknowledge_too_much(void);
void client_configure(uint32_t report_every);

/** Upload a model that must serve then. */
void client_update_model(enum model_behaviour behaviour);
/** Upload one that must be refused. */
void client_offer_model(const struct image *image);

/** After a start: whether every promise is kept. What was on its way is settled then. */
void client_check(void);

/** All that the board can do, to its end: nothing that was cut off stands in the way. */
void client_use_everything(void);

#endif
