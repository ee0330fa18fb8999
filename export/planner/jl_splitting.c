/*
 * The alternating direction method of multipliers between the plans that balance and those within
 * their boxes. Mirrors edge_runtime/planner/splitting.py.
 */
#include "jl_projection_parts.h"

#if JL_PROJECTION_FIXED_POINT

enum {
    FRACTION_BITS = 30,
    DUAL_LIMIT = 1 << 28,
    SUM_LIMIT = 1 << 30,
};

static jl_number limit(int64_t value, int32_t most) {
    return (jl_number)(value < -most ? -most : value > most ? most : value);
}

static jl_number times(int32_t factor, jl_number value) {
    return limit(((int64_t)factor * value + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS,
                 SUM_LIMIT);
}

static jl_number weighted_sum(const jl_number *row, const jl_number *values) {
    int64_t total = 1 << (FRACTION_BITS - 1);
    for (int32_t i = 0; i < JL_NODES; i++) {
        total += (int64_t)row[i] * values[i];
    }
    return (jl_number)(total >> FRACTION_BITS);
}

/* left + drop / whole of the way to right, rounded up. */
static jl_number between(jl_number left, jl_number right, jl_number drop, jl_number whole) {
    if (whole <= 0) {
        return left;
    }
    return (jl_number)(left + ((int64_t)drop * (right - left) + whole - 1) / whole);
}

#define LIMIT_DUAL(value) limit((value), DUAL_LIMIT)
#define LIMIT_SUM(value) limit((value), SUM_LIMIT)
typedef int64_t jl_sum;

#else

static jl_number times(float factor, jl_number value) {
    return factor * value;
}

static jl_number weighted_sum(const jl_number *row, const jl_number *values) {
    jl_number total = row[0] * values[0];
    for (int32_t i = 1; i < JL_NODES; i++) {
        total = total + row[i] * values[i];
    }
    return total;
}

static jl_number between(jl_number left, jl_number right, jl_number drop, jl_number whole) {
    return whole > 0 ? left + drop * (right - left) / whole : left;
}

#define LIMIT_DUAL(value) (value)
#define LIMIT_SUM(value) (value)
typedef float jl_sum;

#endif

static jl_number clip(jl_number value, jl_number low, jl_number high) {
    return value < low ? low : value > high ? high : value;
}

/* What a node takes in at a price per unit of flow. */
static jl_number taken_in(const struct jl_projection_scratch *scratch, int32_t node,
                          const jl_number *flows, jl_number price) {
    jl_number total = 0;
    for (int32_t i = jl_in_start[node]; i < jl_in_start[node + 1]; i++) {
        const int32_t edge = jl_in_edges[i];
        total = total + clip(flows[edge] - price, 0, (jl_number)scratch->opened[edge]);
    }
    return total;
}

/* The price at which a node takes in what it may: between two neighbouring breakpoints of a sum
 * that falls piecewise linearly with the price. */
static jl_number fair_price(const struct jl_projection_scratch *scratch, int32_t node,
                            const jl_number *flows, jl_number at_left) {
    const jl_number most = (jl_number)jl_inflow_max[node];
    const int32_t start = jl_in_start[node], end = jl_in_start[node + 1];
    jl_number left = 0, right = flows[jl_in_edges[start]], at_right = 0;
    for (int32_t i = start; i < end; i++) {
        right = flows[jl_in_edges[i]] > right ? flows[jl_in_edges[i]] : right;
    }
    for (int32_t kind = 0; kind < 2; kind++) {
        for (int32_t i = start; i < end; i++) {
            const int32_t edge = jl_in_edges[i];
            jl_number price = flows[edge] - (kind ? (jl_number)scratch->opened[edge] : 0);
            price = price > 0 ? price : 0;
            const jl_number at = taken_in(scratch, node, flows, price);
            if (at >= most && price > left) {
                left = price;
                at_left = at;
            }
            if (at <= most && price < right) {
                right = price;
                at_right = at;
            }
        }
    }
    return between(left, right, at_left - most, at_left - at_right);
}

/* The nearest flows within 0 and their largest, of which no node takes in too much. */
static void limit_flows(struct jl_projection_scratch *scratch, const jl_number *flows,
                        jl_number *limited) {
    for (int32_t node = 0; node < JL_NODES; node++) {
        const int32_t start = jl_in_start[node], end = jl_in_start[node + 1];
        jl_number taken = 0;
        for (int32_t i = start; i < end; i++) {
            const int32_t edge = jl_in_edges[i];
            limited[edge] = clip(flows[edge], 0, (jl_number)scratch->opened[edge]);
            taken = taken + limited[edge];
        }
        if (taken > (jl_number)jl_inflow_max[node]) {
            const jl_number price = fair_price(scratch, node, flows, taken);
            for (int32_t i = start; i < end; i++) {
                const int32_t edge = jl_in_edges[i];
                limited[edge] = clip(flows[edge] - price, 0, (jl_number)scratch->opened[edge]);
            }
        }
    }
}

/* The nearest plan within boxes and energy rows. */
static void into_boxes(struct jl_projection_scratch *scratch, const jl_number *from) {
    struct jl_splitting *const s = &scratch->part.splitting;
    limit_flows(scratch, from, s->plan);
    for (int32_t node = 0; node < JL_NODES; node++) {
        const int32_t storage = JL_EDGES + node, exchange = JL_EDGES + JL_NODES + node;
        s->plan[storage] = clip(from[storage], s->low[node], s->high[node]);
        s->plan[exchange] = clip(from[exchange], (jl_number)scratch->boxes.exchange_min[node],
                                 (jl_number)scratch->boxes.exchange_max[node]);
    }
}

/* How strongly each node must pull at its edges, storage and exchange for a plan to balance. */
static void find_force(struct jl_splitting *s) {
    const jl_number *const flows = s->moved;
    for (int32_t node = 0; node < JL_NODES; node++) {
        jl_sum total = 0;
        for (int32_t i = jl_in_start[node]; i < jl_in_start[node + 1]; i++) {
            total = total + flows[jl_in_edges[i]];
        }
        for (int32_t i = jl_out_start[node]; i < jl_out_start[node + 1]; i++) {
            total = total - flows[jl_out_edges[i]];
        }
        total = total + flows[JL_EDGES + JL_NODES + node] - flows[JL_EDGES + node];
        s->missing[node] = LIMIT_SUM(total);
    }
    for (int32_t node = 0; node < JL_NODES; node++) {
        s->force[node] = weighted_sum(jl_inverse + node * JL_NODES, s->missing);
    }
}

/* From a coordinate that balances past it, by the over-relaxation, with what earlier steps left. */
static void move(struct jl_splitting *s, int32_t i, jl_number balanced) {
    s->moved[i] = s->plan[i] + times(JL_RELAXATION, balanced - s->plan[i]) + s->duals[i];
}

static void step(struct jl_projection_scratch *scratch) {
    struct jl_splitting *const s = &scratch->part.splitting;
    for (int32_t i = 0; i < JL_COORDINATES; i++) {
        const jl_number free = s->plan[i] - s->duals[i];
        s->moved[i] = free + times(JL_PULL, scratch->wanted[i] - free);
    }
    find_force(s);
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        const jl_number along = s->force[jl_targets[edge]] - s->force[jl_sources[edge]];
        move(s, edge, s->moved[edge] - along);
    }
    for (int32_t node = 0; node < JL_NODES; node++) {
        const int32_t storage = JL_EDGES + node, exchange = JL_EDGES + JL_NODES + node;
        move(s, storage, s->moved[storage] + s->force[node]);
        move(s, exchange, s->moved[exchange] - s->force[node]);
    }
    into_boxes(scratch, s->moved);
    for (int32_t i = 0; i < JL_COORDINATES; i++) {
        s->duals[i] = LIMIT_DUAL(s->moved[i] - s->plan[i]);
    }
}

void jl_split(struct jl_projection_scratch *scratch) {
    struct jl_splitting *const s = &scratch->part.splitting;
    for (int32_t node = 0; node < JL_NODES; node++) {
        const jl_number low = (jl_number)scratch->boxes.storage_min[node];
        const jl_number high = (jl_number)scratch->boxes.storage_max[node];
        const jl_number kept_free = times(JL_MARGIN, high - low);
        s->low[node] = low + kept_free;
        s->high[node] = high - kept_free;
    }
    into_boxes(scratch, scratch->wanted);
    for (int32_t i = 0; i < JL_COORDINATES; i++) {
        s->duals[i] = 0;
    }
    for (int32_t i = 0; i < JL_ITERATIONS; i++) {
        step(scratch);
    }
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        scratch->flows[edge] = (int32_t)s->plan[edge];
    }
}
