// SPDX-License-Identifier: GPL-2.0-or-later
//
// Counts executed instructions per address. Loaded into QEMU (API version 1), hence the licence of
// this one file; it includes no header of QEMU, only the declarations below that it needs.
//
//   qemu-system-arm ... -plugin ./plugin.so,out=counts.csv[,begin=0x1f0,end=0x1f4][,part=0x200]...
//
// With begin and end it counts only between an execution of the instruction at `begin` and the next
// one at `end`, both exclusive: a window. Windows add up; the size of each is listed as well.
//
// Each `part` is an address whose execution starts a part of the work (a layer), which lasts until
// the next part starts or the window ends: so code that layers share is told apart. Part 0 is what
// comes before the first, the parts are numbered from 1 in the order of the arguments.
//
// counts.csv, written whole at exit (first under the name counts.csv.part):
//   jouleloop-counts,1,<1 when a window was still open at exit, else 0>
//   window,<instructions>                       one row per finished window
//   insn,<part>,<address hex>,<bytes hex>,<executed>,<left>
// `left` is how often control went elsewhere than to the next address: a branch taken.
//
// An instruction skipped by an IT or VPT block is executed: it is fetched and issued.

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS = 0, INLINE_ADD_U64 = 0 };

typedef void (*translate_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_cb)(unsigned vcpu, void *data);
typedef void (*exit_cb)(qemu_plugin_id_t, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, execute_cb, int flags, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, execute_cb, int flags,
                                            void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *,
                                                uint64_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_cb, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t, const struct qemu_info *, int, char **);

struct tally {
    uint64_t executed, left;
};

// One instruction: the same address with other bytes (a replaced module) is another one.
struct insn {
    uint64_t address;
    uint32_t size;
    uint8_t bytes[4];
    struct tally running;   // since the start
    struct tally collected; // its value when it was last collected
    struct insn *next_in_bucket, *next;
    struct tally parts[]; // finished windows, by part
};

// A translated block as the counter of taken branches sees it.
struct block {
    uint64_t start, following;
    struct insn *last;
};

enum { BUCKETS = 1 << 16, PATH_BYTES = 4096, PARTS = 1024 };

static struct insn *buckets[BUCKETS], *all;
static uint64_t insns;
static uint64_t part_addresses[PARTS]; // [0] is not used
static size_t parts = 1, part;
static uint64_t *windows, window;
static size_t window_count, window_room;
static struct block *previous;
static bool armed_by_address, is_open;
static uint64_t begin_address, end_address;
static char out_path[PATH_BYTES];

static void *allocate(void *old, size_t bytes) {
    void *memory = realloc(old, bytes);
    if (memory == NULL) {
        fprintf(stderr, "jouleloop profiler: out of memory\n");
        exit(1);
    }
    return memory;
}

static struct insn *find_or_add(uint64_t address, const void *bytes, size_t size) {
    struct insn **bucket = &buckets[(address >> 1) % BUCKETS];
    for (struct insn *i = *bucket; i != NULL; i = i->next_in_bucket) {
        if (i->address == address && i->size == size && memcmp(i->bytes, bytes, size) == 0) {
            return i;
        }
    }
    struct insn *i = allocate(NULL, sizeof *i + parts * sizeof i->parts[0]);
    memset(i, 0, sizeof *i + parts * sizeof i->parts[0]);
    i->address = address;
    i->size = (uint32_t)size;
    memcpy(i->bytes, bytes, size);
    i->next_in_bucket = *bucket;
    *bucket = i;
    i->next = all;
    all = i;
    insns++;
    return i;
}

// Hands what ran since the last call to the part that ran; into nothing when `into` is false.
static void collect(bool into) {
    for (struct insn *i = all; i != NULL; i = i->next) {
        if (into) {
            uint64_t executed = i->running.executed - i->collected.executed;
            i->parts[part].executed += executed;
            i->parts[part].left += i->running.left - i->collected.left;
            window += executed;
        }
        i->collected = i->running;
    }
}

static void open_window(unsigned vcpu, void *data) {
    (void)vcpu, (void)data;
    collect(false);
    part = 0;
    window = 0;
    is_open = true;
}

static void close_window(unsigned vcpu, void *data) {
    (void)vcpu, (void)data;
    if (!is_open) {
        return;
    }
    collect(true);
    is_open = false;
    if (window_count == window_room) {
        window_room = window_room ? 2 * window_room : 64;
        windows = allocate(windows, window_room * sizeof *windows);
    }
    windows[window_count++] = window;
}

static void start_part(unsigned vcpu, void *data) {
    (void)vcpu;
    if (is_open) {
        collect(true);
        part = (size_t)((uint64_t *)data - part_addresses);
    }
}

// Control left the previous block's last instruction for another place than the next address.
static void enter_block(unsigned vcpu, void *data) {
    (void)vcpu;
    struct block *block = data;
    if (previous != NULL && previous->following != block->start) {
        previous->last->running.left++;
    }
    previous = block;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    struct block *block = allocate(NULL, sizeof *block);
    size_t n = qemu_plugin_tb_n_insns(tb);
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *here = qemu_plugin_tb_get_insn(tb, k);
        uint64_t address = qemu_plugin_insn_vaddr(here);
        size_t size = qemu_plugin_insn_size(here);
        if (size > sizeof all->bytes) {
            size = sizeof all->bytes;
        }
        struct insn *insn = find_or_add(address, qemu_plugin_insn_data(here), size);
        // The two markers are not counted themselves.
        if (armed_by_address && address == begin_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(here, open_window, CB_NO_REGS, NULL);
        } else if (armed_by_address && address == end_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(here, close_window, CB_NO_REGS, NULL);
        } else {
            qemu_plugin_register_vcpu_insn_exec_inline(here, INLINE_ADD_U64,
                                                       &insn->running.executed, 1);
        }
        for (size_t p = 1; p < parts; p++) {
            if (part_addresses[p] == address) {
                qemu_plugin_register_vcpu_insn_exec_cb(here, start_part, CB_NO_REGS,
                                                       &part_addresses[p]);
            }
        }
        if (k == 0) {
            block->start = address;
        }
        block->following = address + size;
        block->last = insn;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, enter_block, CB_NO_REGS, block);
}

static int by_address(const void *a, const void *b) {
    const struct insn *x = *(struct insn *const *)a, *y = *(struct insn *const *)b;
    return x->address < y->address ? -1 : x->address > y->address;
}

static void write_insn(FILE *out, const struct insn *i) {
    for (size_t p = 0; p < parts; p++) {
        if (i->parts[p].executed == 0) {
            continue;
        }
        fprintf(out, "insn,%zu,%" PRIx64 ",", p, i->address);
        for (uint32_t k = 0; k < i->size; k++) {
            fprintf(out, "%02x", i->bytes[k]);
        }
        fprintf(out, ",%" PRIu64 ",%" PRIu64 "\n", i->parts[p].executed, i->parts[p].left);
    }
}

static bool write_counts(const char *path) {
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return false;
    }
    fprintf(out, "jouleloop-counts,1,%d\n", is_open);
    for (size_t k = 0; k < window_count; k++) {
        fprintf(out, "window,%" PRIu64 "\n", windows[k]);
    }
    struct insn **sorted = allocate(NULL, (insns + 1) * sizeof *sorted);
    size_t n = 0;
    for (struct insn *i = all; i != NULL; i = i->next) {
        sorted[n++] = i;
    }
    qsort(sorted, n, sizeof *sorted, by_address);
    for (size_t k = 0; k < n; k++) {
        write_insn(out, sorted[k]);
    }
    free(sorted);
    bool is_good = ferror(out) == 0;
    return fclose(out) == 0 && is_good;
}

// A reader never sees half a file: write beside it, then rename.
static void at_exit(qemu_plugin_id_t id, void *data) {
    (void)id, (void)data;
    if (!armed_by_address) {
        close_window(0, NULL); // the whole run is the one window
    }
    char unfinished[PATH_BYTES + 8];
    snprintf(unfinished, sizeof unfinished, "%s.part", out_path);
    if (!write_counts(unfinished) || rename(unfinished, out_path) != 0) {
        fprintf(stderr, "jouleloop profiler: cannot write %s\n", out_path);
        remove(unfinished);
    }
}

static bool read_address(const char *text, uint64_t *address) {
    char *end = NULL;
    *address = strtoull(text, &end, 0);
    return end != text && *end == '\0';
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                               char **argv) {
    (void)info;
    bool has_begin = false, has_end = false, is_known = true;
    for (int k = 0; k < argc && is_known; k++) {
        if (strncmp(argv[k], "out=", 4) == 0 && strlen(argv[k] + 4) < sizeof out_path) {
            strcpy(out_path, argv[k] + 4);
        } else if (strncmp(argv[k], "begin=", 6) == 0) {
            is_known = has_begin = read_address(argv[k] + 6, &begin_address);
        } else if (strncmp(argv[k], "end=", 4) == 0) {
            is_known = has_end = read_address(argv[k] + 4, &end_address);
        } else if (strncmp(argv[k], "part=", 5) == 0 && parts < PARTS) {
            is_known = read_address(argv[k] + 5, &part_addresses[parts++]);
        } else {
            is_known = false;
        }
    }
    if (!is_known || out_path[0] == '\0' || has_begin != has_end) {
        fprintf(stderr, "jouleloop profiler: arguments are "
                        "out=FILE[,begin=ADDRESS,end=ADDRESS][,part=ADDRESS]...\n");
        return -1;
    }
    armed_by_address = has_begin;
    is_open = !has_begin;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
