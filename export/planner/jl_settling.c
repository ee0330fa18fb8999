/*
 * The last units: shortest paths from nodes with too much to nodes with room, as a maximum flow
 * finds them. Mirrors edge_runtime/planner/settling.py.
 */
#include "jl_projection_parts.h"

enum {
    THROUGH = JL_EDGES, /* the arc within a node, numbered behind the edges */
    START = 0xFFFE,
    UNSEEN = 0xFFFF,
    NO_PLACE = -1,
};

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static int32_t twin(int32_t place) {
    return place < JL_NODES ? place + JL_NODES : place - JL_NODES;
}

/* The place that the arc leaves by which a place was reached. */
static int32_t place_before(int32_t place, int32_t arc) {
    if (arc == THROUGH) {
        return twin(place);
    }
    return place < JL_NODES ? jl_targets[arc] + JL_NODES : jl_sources[arc];
}

/* Units that fit over an arc from a place. */
static int32_t room(const struct jl_projection_scratch *scratch, int32_t place, int32_t arc) {
    const int32_t is_behind = place < JL_NODES;
    if (arc == THROUGH) {
        const int32_t node = is_behind ? place : place - JL_NODES;
        const int32_t inflow = scratch->part.settling.inflow[node];
        return is_behind ? inflow : jl_inflow_max[node] - inflow;
    }
    return is_behind ? scratch->opened[arc] - scratch->flows[arc] : scratch->flows[arc];
}

static void move(struct jl_projection_scratch *scratch, int32_t place, int32_t arc, int32_t units) {
    const int32_t is_behind = place < JL_NODES;
    if (arc == THROUGH) {
        const int32_t node = is_behind ? place : place - JL_NODES;
        scratch->part.settling.inflow[node] += is_behind ? -units : units;
    } else {
        scratch->flows[arc] += is_behind ? units : -units;
    }
}

/* Append the place beyond an arc, if anything fits over the arc and the place is new. */
static int32_t reach(struct jl_projection_scratch *scratch, int32_t place, int32_t arc, int32_t to,
                     int32_t end) {
    struct jl_settling *const s = &scratch->part.settling;
    if (s->via[to] != UNSEEN || room(scratch, place, arc) <= 0) {
        return end;
    }
    s->via[to] = (uint16_t)arc;
    s->queue[end] = (uint16_t)to;
    return end + 1;
}

/* Breadth first from every node above a level to the first below it; a node, or NO_PLACE. */
static int32_t search(struct jl_projection_scratch *scratch, const int32_t *level) {
    struct jl_settling *const s = &scratch->part.settling;
    int32_t end = 0;
    for (int32_t place = 0; place < 2 * JL_NODES; place++) {
        s->via[place] = UNSEEN;
        if (place < JL_NODES && s->net[place] > level[place]) {
            s->via[place] = START;
            s->queue[end++] = (uint16_t)place;
        }
    }
    for (int32_t first = 0; first < end; first++) {
        const int32_t place = s->queue[first];
        if (place < JL_NODES) {
            if (s->net[place] < level[place]) {
                return place;
            }
            for (int32_t i = jl_out_start[place]; i < jl_out_start[place + 1]; i++) {
                const int32_t edge = jl_out_edges[i];
                end = reach(scratch, place, edge, jl_targets[edge] + JL_NODES, end);
            }
        } else {
            const int32_t node = place - JL_NODES;
            for (int32_t i = jl_in_start[node]; i < jl_in_start[node + 1]; i++) {
                const int32_t edge = jl_in_edges[i];
                end = reach(scratch, place, edge, jl_sources[edge], end);
            }
        }
        end = reach(scratch, place, THROUGH, twin(place), end);
    }
    return NO_PLACE;
}

/* Move as much as fits along the path to a node. */
static void push(struct jl_projection_scratch *scratch, int32_t target, const int32_t *level) {
    struct jl_settling *const s = &scratch->part.settling;
    int32_t units = level[target] - s->net[target];
    int32_t place = target;
    while (s->via[place] != START) {
        const int32_t arc = s->via[place];
        place = place_before(place, arc);
        units = least(units, room(scratch, place, arc));
    }
    units = least(units, s->net[place] - level[place]);
    s->net[place] -= units;
    s->net[target] += units;
    place = target;
    while (s->via[place] != START) {
        const int32_t arc = s->via[place];
        place = place_before(place, arc);
        move(scratch, place, arc, units);
    }
}

/* Push until no node is above a level (sign 1) or below it (sign -1); the units left. Every path
 * moves one unit at least, so this ends. */
static int64_t settle_to(struct jl_projection_scratch *scratch, const int32_t *level,
                         int32_t sign) {
    struct jl_settling *const s = &scratch->part.settling;
    for (;;) {
        int64_t need = 0;
        for (int32_t node = 0; node < JL_NODES; node++) {
            const int32_t over = sign * (s->net[node] - level[node]);
            need += over > 0 ? over : 0;
        }
        const int32_t target = need == 0 ? NO_PLACE : search(scratch, level);
        if (target == NO_PLACE) {
            return need;
        }
        push(scratch, target, level);
    }
}

/* Rounding may have left a unit more than a node may take in. */
static int32_t cut_inflow(struct jl_projection_scratch *scratch, int32_t node) {
    int32_t inflow = 0;
    for (int32_t i = jl_in_start[node]; i < jl_in_start[node + 1]; i++) {
        inflow += scratch->flows[jl_in_edges[i]];
    }
    for (int32_t i = jl_in_start[node]; inflow > jl_inflow_max[node]; i++) {
        int32_t *const flow = &scratch->flows[jl_in_edges[i]];
        const int32_t less = least(inflow - jl_inflow_max[node], *flow);
        *flow -= less;
        inflow -= less;
    }
    return inflow;
}

/* The first node of the set that gets too much or too little, whatever its edges carry. */
static void report(struct jl_projection_scratch *scratch, int32_t is_excess, int64_t units) {
    const struct jl_settling *const s = &scratch->part.settling;
    int32_t node = 0;
    while (node < JL_NODES - 1 && (s->via[node] != UNSEEN) != is_excess) {
        node++;
    }
    scratch->report.node = node;
    scratch->report.excess = (float)(units > INT32_MAX ? INT32_MAX : (int32_t)units) * JL_UNIT_KG;
}

int64_t jl_settle(struct jl_projection_scratch *scratch) {
    struct jl_settling *const s = &scratch->part.settling;
    for (int32_t node = 0; node < JL_NODES; node++) {
        s->inflow[node] = cut_inflow(scratch, node);
        s->net_min[node] = scratch->boxes.storage_min[node] - scratch->boxes.exchange_max[node];
        s->net_max[node] = scratch->boxes.storage_max[node] - scratch->boxes.exchange_min[node];
    }
    for (int32_t node = 0; node < JL_NODES; node++) {
        s->net[node] = s->inflow[node];
        for (int32_t i = jl_out_start[node]; i < jl_out_start[node + 1]; i++) {
            s->net[node] -= scratch->flows[jl_out_edges[i]];
        }
    }
    const int64_t excess = settle_to(scratch, s->net_max, 1);
    if (excess > 0) {
        report(scratch, 1, excess);
    }
    const int64_t lack = settle_to(scratch, s->net_min, -1);
    if (lack > 0 && excess == 0) {
        report(scratch, 0, lack);
    }
    return excess > lack ? excess : lack;
}
