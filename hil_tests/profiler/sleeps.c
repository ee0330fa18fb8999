// SPDX-License-Identifier: GPL-2.0-or-later
//
// Says each time that the core goes to sleep how many instructions it has executed by then. Loaded
// into QEMU (API version 1), hence the licence of this file; it includes no header of QEMU, only
// the declarations below that it needs.
//
//   qemu-system-arm ... -plugin ./sleeps.so,out=FIFO
//
// FIFO gets eight bytes, little-endian, before each WFI; somebody reads it from the start on.

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS = 0, INLINE_ADD_U64 = 0 };

typedef void (*translate_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_cb)(unsigned vcpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, execute_cb, int flags,
                                            void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *,
                                                uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t, const struct qemu_info *, int, char **);

static const uint8_t wfi[2] = {0x30, 0xBF};
static uint64_t executed;
static int fifo;

static void fall_asleep(unsigned vcpu, void *data) {
    (void)vcpu, (void)data;
    if (write(fifo, &executed, sizeof executed) != (ssize_t)sizeof executed) {
        fprintf(stderr, "jouleloop: nobody reads the fifo\n");
    }
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    size_t n = qemu_plugin_tb_n_insns(tb);
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *here = qemu_plugin_tb_get_insn(tb, k);
        qemu_plugin_register_vcpu_insn_exec_inline(here, INLINE_ADD_U64, &executed, 1);
        if (qemu_plugin_insn_size(here) == sizeof wfi &&
            memcmp(qemu_plugin_insn_data(here), wfi, sizeof wfi) == 0) {
            qemu_plugin_register_vcpu_insn_exec_cb(here, fall_asleep, CB_NO_REGS, NULL);
        }
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                               char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fprintf(stderr, "jouleloop: the argument is out=FIFO\n");
        return -1;
    }
    fifo = open(argv[0] + 4, O_WRONLY);
    if (fifo < 0) {
        fprintf(stderr, "jouleloop: cannot open %s\n", argv[0] + 4);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
