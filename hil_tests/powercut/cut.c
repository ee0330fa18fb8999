// SPDX-License-Identifier: GPL-2.0-or-later
//
// Cuts the power of an emulated board: kills QEMU (SIGKILL) at a chosen instruction of a chosen
// flash operation. Loaded into QEMU (API version 1), hence the licence of this file; it includes no
// header of QEMU, only the declarations below that it needs.
//
//   qemu-system-arm ... -plugin ./cut.so,out=FILE,entry=0x1f0-0x234[,entry=...][,body=...]
//                       [,operation=3,instruction=100]
//
// An execution of the first address of an `entry` begins a flash operation, counted from 0. Its
// instructions are those executed in any `entry` or `body` until the next one begins, counted from
// 0 too. FILE gets a line per operation at exit: how many instructions it had. A killed QEMU writes
// none.

#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS = 0 };

typedef void (*translate_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_cb)(unsigned vcpu, void *data);
typedef void (*exit_cb)(qemu_plugin_id_t, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, execute_cb, int flags,
                                            void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_cb, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t, const struct qemu_info *, int, char **);

enum { MAX_RANGES = 16, MAX_OPERATIONS = 1 << 16 };

struct range {
    uint64_t begin, end;
    bool is_entry;
};

static struct range ranges[MAX_RANGES];
static size_t range_count;
static uint64_t cut_operation = UINT64_MAX;
static uint64_t cut_instruction;
static uint32_t instructions[MAX_OPERATIONS]; // per operation
static size_t operations;
static const char *out;

static void on_instruction(unsigned vcpu, void *begins) {
    (void)vcpu;
    if (begins != NULL && operations < MAX_OPERATIONS) {
        operations++;
    }
    if (operations == 0) {
        return;
    }
    uint32_t instruction = instructions[operations - 1]++;
    if (operations - 1 == cut_operation && instruction == cut_instruction) {
        kill(getpid(), SIGKILL);
        for (;;) { // until the signal is there, no further instruction runs
        }
    }
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t index = 0; index < count; index++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, index);
        uint64_t address = qemu_plugin_insn_vaddr(instruction);
        for (size_t at = 0; at < range_count; at++) {
            struct range *range = &ranges[at];
            if (address >= range->begin && address < range->end) {
                bool begins = range->is_entry && address == range->begin;
                qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_instruction, CB_NO_REGS,
                                                       begins ? range : NULL);
            }
        }
    }
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *data) {
    (void)id;
    (void)data;
    FILE *file = fopen(out, "w");
    for (size_t index = 0; file != NULL && index < operations; index++) {
        fprintf(file, "%" PRIu32 "\n", instructions[index]);
    }
    if (file == NULL || fclose(file) != 0) {
        perror(out);
    }
}

static bool take_range(const char *text, bool is_entry) {
    char *end;
    if (range_count == MAX_RANGES) {
        return false;
    }
    struct range *range = &ranges[range_count++];
    range->is_entry = is_entry;
    range->begin = strtoull(text, &end, 16);
    if (*end != '-') {
        return false;
    }
    range->end = strtoull(end + 1, &end, 16);
    return *end == '\0' && range->end > range->begin;
}

static bool take_argument(char *argument) {
    char *value = strchr(argument, '=');
    if (value == NULL) {
        return false;
    }
    *value++ = '\0';
    if (strcmp(argument, "out") == 0) {
        out = strdup(value);
        return out != NULL;
    }
    if (strcmp(argument, "entry") == 0 || strcmp(argument, "body") == 0) {
        return take_range(value, *argument == 'e');
    }
    uint64_t *number = strcmp(argument, "operation") == 0     ? &cut_operation
                       : strcmp(argument, "instruction") == 0 ? &cut_instruction
                                                              : NULL;
    char *end = value;
    if (number != NULL) {
        *number = strtoull(value, &end, 10);
    }
    return end != value && *end == '\0';
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int count,
                        char **arguments) {
    (void)info;
    for (int index = 0; index < count; index++) {
        if (!take_argument(arguments[index])) {
            fprintf(stderr, "cut.c: not an argument of mine: %s\n", arguments[index]);
            return -1;
        }
    }
    if (out == NULL || range_count == 0) {
        fprintf(stderr, "cut.c: out= and entry= are needed\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
