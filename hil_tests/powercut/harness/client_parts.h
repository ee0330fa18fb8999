/* The parts of the client: each holds the board to its own promises. */
#ifndef POWERCUT_CLIENT_PARTS_H
#define POWERCUT_CLIENT_PARTS_H

#include "client.h"
#include "jl_port.h"
#include "promises.h"

/** Read every decision from this one on. */
void outbox_check(uint32_t from);
/** Programs in the outbox; every entry is one, and so is every mark. */
uint32_t outbox_programs(void);
void configuration_check(void);
void firmware_check(void);
/** Ask for the firmware in the spare slot, on trial or for good; whether the board will. */
bool firmware_ask_for(enum firmware number, bool is_confirmed);
/** Ask for the firmware that runs; whether the board will: nothing changes. */
bool firmware_ask_for_running(void);
/** Confirm what runs; whether the board did. */
bool firmware_confirm(void);
/** The model on trial, or else the confirmed one, serves. */
void models_check(void);
/** As models_check(), behind a start: a trial is over, and what was on its way is settled. */
void models_check_start(void);
/** The model that serves, NOTHING where none does. */
int32_t models_serving(void);
/** The start has a number of its own. */
void boot_check(void);

/** Of the two images of a kind (enum of SMP); NOTHING where there is none. */
struct listed {
    int32_t active;
    uint32_t active_slot;
    int32_t confirmed;
};

/** What the board lists; each of them is, byte for byte, what it claims to be. */
struct listed images_list(uint32_t kind);
/** Upload an image piece by piece, once interrupted; whether the board took it. */
bool images_upload(uint32_t kind, const struct image *image);
/** Begin an upload that is never finished. */
void images_abandon_upload(uint32_t kind, const struct image *image);
/** Upload more than a slot holds, and more than was announced: a violation where it is taken. */
void images_upload_too_much(uint32_t kind, const struct image *image);
/** Upload an image with so many zeros behind it that it fills a slot; it must be taken. */
void images_upload_padded(uint32_t kind, const struct image *image);
/** Why images_upload() returned false. */
jl_status images_refusal(void);

/** How an upload begins. */
struct announcement {
    uint32_t bytes;
    uint32_t hash_bytes; /* that are sent of the file's; 0: none */
    bool must_be_newer;
};

/** Send the first piece of an upload; what the board says to it. */
jl_status images_announce(uint32_t kind, const struct image *image,
                          const struct announcement *announcement);
/** Erase a slot; whether the board did. */
bool images_erase(uint32_t kind, uint32_t slot);
/** What a larger image left lies at the end of a slot. */
void images_leave_rest(const struct jl_area *area);
void images_check_erased(const struct jl_area *area);

#endif
