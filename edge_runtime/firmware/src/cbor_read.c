#include "jl_cbor.h"
#include "jl_memory.h"

enum {
    MAJOR_UINT = 0,
    MAJOR_BYTES = 2,
    MAJOR_TEXT = 3,
    MAJOR_ARRAY = 4,
    MAJOR_MAP = 5,
    MAJOR_TAG = 6,
    MAJOR_SIMPLE = 7,

    SIMPLE_FALSE = 20,
    SIMPLE_TRUE = 21,
    /* Additional information: the argument follows in 1, 2, 4 or 8 bytes; or there is no length. */
    FOLLOWS_1 = 24,
    FOLLOWS_8 = 27,
    INDEFINITE = 31,
};

#define BREAK 0xFFu
#define UNCOUNTED UINT64_MAX

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/** The head of an item: its type and its argument. */
struct head {
    uint32_t major;
    uint32_t information;
    uint64_t argument;
};

static uint64_t left(const struct cursor *cursor) {
    return (uint64_t)(cursor->end - cursor->at);
}

static bool read_head(struct cursor *cursor, struct head *head) {
    if (left(cursor) == 0) {
        return false;
    }
    uint8_t first = *cursor->at++;
    head->major = first >> 5;
    head->information = first & 31u;
    head->argument = head->information;
    if (head->information < FOLLOWS_1) {
        return true;
    }
    if (head->information == INDEFINITE) {
        head->argument = UNCOUNTED;
        return head->major == MAJOR_ARRAY || head->major == MAJOR_MAP;
    }
    if (head->information > FOLLOWS_8) {
        return false;
    }
    uint32_t bytes = 1u << (head->information - FOLLOWS_1);
    if (left(cursor) < bytes) {
        return false;
    }
    head->argument = 0;
    for (uint32_t index = 0; index < bytes; index++) {
        head->argument = head->argument << 8 | *cursor->at++;
    }
    return head->argument != UNCOUNTED || head->major < MAJOR_BYTES || head->major > MAJOR_MAP;
}

static bool is_string(const struct head *head) {
    return head->major == MAJOR_BYTES || head->major == MAJOR_TEXT;
}

/** Items that an open map or array still expects; a map counts its keys and its values. */
struct level {
    uint64_t items;
    bool is_map;
    bool is_value_next; /* in a map without a count: a break may not come now */
};

/** Take the ends of all levels that are complete; false: a break where none may be. */
static bool close_levels(struct cursor *cursor, struct level *levels, uint32_t *depth) {
    while (*depth > 0) {
        struct level *top = &levels[*depth - 1];
        if (top->items == UNCOUNTED) {
            if (left(cursor) == 0 || *cursor->at != BREAK) {
                return true;
            }
            if (top->is_value_next) {
                return false;
            }
            cursor->at++;
        } else if (top->items > 0) {
            return true;
        }
        (*depth)--;
    }
    return true;
}

/** One item less to come in the innermost level. */
static void count_item(struct level *levels, uint32_t depth) {
    if (depth > 0) {
        struct level *top = &levels[depth - 1];
        top->items -= top->items == UNCOUNTED ? 0 : 1;
        top->is_value_next = top->is_map && !top->is_value_next;
    }
}

/** Go into an array or a map; false: it is too deep, or counts more than there is. */
static bool open_level(const struct cursor *cursor, const struct head *head, struct level *levels,
                       uint32_t *depth) {
    bool is_map = head->major == MAJOR_MAP;
    bool is_counted = head->argument != UNCOUNTED;
    /* Every item takes a byte, so a larger count cannot be met. */
    if (*depth == JL_CBOR_MAX_DEPTH || (is_counted && head->argument > left(cursor))) {
        return false;
    }
    uint64_t items = is_map && is_counted ? 2 * head->argument : head->argument;
    levels[(*depth)++] = (struct level){items, is_map, false};
    return true;
}

/** Step over one item and all that it holds; false: it is malformed or too deep. */
static bool skip_item(struct cursor *cursor) {
    struct level levels[JL_CBOR_MAX_DEPTH];
    uint32_t depth = 0;
    do {
        struct head head;
        do { /* a tagged item takes the tag's place */
            if (!read_head(cursor, &head)) {
                return false;
            }
        } while (head.major == MAJOR_TAG);
        if (is_string(&head)) {
            if (head.argument > left(cursor)) {
                return false;
            }
            cursor->at += head.argument;
        }
        count_item(levels, depth);
        bool is_opened = head.major == MAJOR_ARRAY || head.major == MAJOR_MAP;
        if (is_opened && !open_level(cursor, &head, levels, &depth)) {
            return false;
        }
        if (!close_levels(cursor, levels, &depth)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

bool jl_cbor_is_map(struct jl_bytes map) {
    if (map.bytes == 0) {
        return true;
    }
    struct cursor cursor = {map.data, map.data + map.bytes};
    return map.data[0] >> 5 == MAJOR_MAP && skip_item(&cursor) && left(&cursor) == 0;
}

/** The head of the value that a key has, with the cursor behind the head. */
static bool find(struct jl_bytes map, const char *key, struct cursor *cursor, struct head *head) {
    *cursor = (struct cursor){map.data, map.data + map.bytes};
    if (map.bytes == 0 || !read_head(cursor, head)) {
        return false;
    }
    uint64_t pairs = head->argument;
    uint32_t key_bytes = jl_text_bytes(key);
    for (uint64_t pair = 0; pair < pairs && left(cursor) > 0 && *cursor->at != BREAK; pair++) {
        struct cursor key_item = *cursor;
        if (!skip_item(cursor) || !read_head(&key_item, head)) {
            return false;
        }
        if (head->major == MAJOR_TEXT && head->argument == key_bytes &&
            memcmp(key_item.at, key, key_bytes) == 0) {
            return read_head(cursor, head);
        }
        if (!skip_item(cursor)) {
            return false;
        }
    }
    return false;
}

enum jl_cbor_found jl_cbor_get_uint(struct jl_bytes map, const char *key, uint32_t *value) {
    struct cursor cursor;
    struct head head;
    if (!find(map, key, &cursor, &head)) {
        return JL_CBOR_ABSENT;
    }
    if (head.major != MAJOR_UINT || head.argument > UINT32_MAX) {
        return JL_CBOR_WRONG;
    }
    *value = (uint32_t)head.argument;
    return JL_CBOR_FOUND;
}

enum jl_cbor_found jl_cbor_get_bool(struct jl_bytes map, const char *key, bool *value) {
    struct cursor cursor;
    struct head head;
    if (!find(map, key, &cursor, &head)) {
        return JL_CBOR_ABSENT;
    }
    if (head.major != MAJOR_SIMPLE ||
        (head.information != SIMPLE_FALSE && head.information != SIMPLE_TRUE)) {
        return JL_CBOR_WRONG;
    }
    *value = head.information == SIMPLE_TRUE;
    return JL_CBOR_FOUND;
}

static enum jl_cbor_found get_string(struct jl_bytes map, const char *key, uint32_t major,
                                     struct jl_bytes *value) {
    struct cursor cursor;
    struct head head;
    if (!find(map, key, &cursor, &head)) {
        return JL_CBOR_ABSENT;
    }
    if (head.major != major) {
        return JL_CBOR_WRONG;
    }
    *value = (struct jl_bytes){cursor.at, (uint32_t)head.argument};
    return JL_CBOR_FOUND;
}

enum jl_cbor_found jl_cbor_get_bytes(struct jl_bytes map, const char *key, struct jl_bytes *value) {
    return get_string(map, key, MAJOR_BYTES, value);
}

enum jl_cbor_found jl_cbor_get_text(struct jl_bytes map, const char *key, struct jl_bytes *value) {
    return get_string(map, key, MAJOR_TEXT, value);
}
