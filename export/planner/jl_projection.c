/* The projection of a plan on its network's constraints. Mirrors
 * edge_runtime/planner/projection.py. */
#include "jl_projection_parts.h"

enum {
    CANDIDATE_LIMIT = JL_SPAN << 2,
};

static int32_t is_finite(float value) {
    union {
        float real;
        uint32_t bits;
    } const both = {.real = value};
    return (both.bits & 0x7F800000u) != 0x7F800000u;
}

static int32_t check_finite(const float *values, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (!is_finite(values[i])) {
            return JL_PROJECTION_NOT_FINITE;
        }
    }
    return JL_PROJECTED;
}

/* Kg in units, cut to a limit. The grid is a power of two, so nothing is rounded. */
static float units(float kilograms, int32_t most) {
    const float value = kilograms * JL_UNITS_PER_KG;
    return value < (float)-most ? (float)-most : value > (float)most ? (float)most : value;
}

/* The nearest whole number, halves away from 0. */
static int32_t nearest(float value) {
    return (int32_t)(value + (value < 0.0f ? -0.5f : 0.5f));
}

static int32_t round_down(float value) {
    const int32_t whole = (int32_t)value;
    return whole - ((float)whole > value);
}

/* A box on the grid, rounded inwards; where no grid point is inside, the nearest. Returns by how
 * much, in kg, the box is upside down or beyond everything that the network can move; 0 for none.
 */
static float set_box(float low, float high, int32_t *low_units, int32_t *high_units) {
    const float span_kg = (float)JL_SPAN * JL_UNIT_KG;
    const float low_value = units(low, JL_SPAN);
    *low_units = -round_down(-low_value);
    *high_units = round_down(units(high, JL_SPAN));
    if (*low_units > *high_units) {
        *low_units = *high_units = nearest(low_value);
    }
    const float crossed = low - high, above = low - span_kg, below = -span_kg - high;
    const float beyond = above > below ? above : below;
    return crossed > 0.0f ? crossed : beyond > 0.0f ? beyond : 0.0f;
}

static int32_t set_boxes(struct jl_projection_scratch *scratch, const float *bounds) {
    struct jl_boxes *const boxes = &scratch->boxes;
    for (int32_t node = 0; node < JL_NODES; node++) {
        const float *const at = bounds + node;
        const float quality = at[4 * JL_NODES];
        const float storage =
            set_box(at[0], at[JL_NODES], &boxes->storage_min[node], &boxes->storage_max[node]);
        const float exchange = set_box(at[2 * JL_NODES], at[3 * JL_NODES],
                                       &boxes->exchange_min[node], &boxes->exchange_max[node]);
        float excess = storage > exchange ? storage : exchange;
        excess = excess > -quality ? excess : -quality;
        excess = excess > quality - 1.0f ? excess : quality - 1.0f;
        if (excess > 0.0f) {
            scratch->report.node = node;
            scratch->report.excess = excess;
            return JL_PROJECTION_BAD_BOUNDS;
        }
    }
    return JL_PROJECTED;
}

static void set_wanted(struct jl_projection_scratch *scratch, const float *plan) {
    for (int32_t i = 0; i < JL_COORDINATES; i++) {
        const float value = units(plan[i], CANDIDATE_LIMIT);
#if JL_PROJECTION_FIXED_POINT
        scratch->wanted[i] = nearest(value);
#else
        scratch->wanted[i] = value;
#endif
    }
    for (int32_t node = 0; node < JL_NODES; node++) {
        scratch->on[node] = plan[JL_EDGES + 3 * JL_NODES + node] >= JL_ON;
    }
}

static void open_edges(struct jl_projection_scratch *scratch) {
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        const int32_t is_open = scratch->on[jl_sources[edge]] && scratch->on[jl_targets[edge]];
        scratch->opened[edge] = is_open ? jl_flow_max[edge] : 0;
    }
}

/* Whether more is left than the rounding of bounds to the grid explains. */
static int32_t is_stuck(int64_t units_left) {
    return units_left > JL_NODES + JL_EDGES;
}

/* Switch on the nodes that carry flow once every edge is open. */
static int32_t switch_on(struct jl_projection_scratch *scratch) {
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        scratch->opened[edge] = jl_flow_max[edge];
    }
    if (is_stuck(jl_settle(scratch))) {
        return JL_PROJECTION_INFEASIBLE;
    }
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        if (scratch->flows[edge] > 0) {
            scratch->on[jl_sources[edge]] = 1;
            scratch->on[jl_targets[edge]] = 1;
        }
    }
    return JL_PROJECTED_SWITCHED_ON;
}

/* Given flows on the grid, within what the edges carry. */
static void take_flows(struct jl_projection_scratch *scratch, const float *near) {
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        const float value = units(near[edge], JL_SPAN);
        const int32_t whole = value > 0.0f ? (int32_t)value : 0;
        const int32_t most = scratch->opened[edge];
        scratch->flows[edge] = whole < most ? whole : most;
    }
}

/* Flows in units, from given ones or, without, by splitting. */
static int32_t find_flows(struct jl_projection_scratch *scratch, const float *near) {
    int32_t result = JL_PROJECTED;
    for (;;) {
        open_edges(scratch);
        if (near) {
            take_flows(scratch, near);
        } else {
            jl_split(scratch);
        }
        if (!is_stuck(jl_settle(scratch))) {
            return result;
        }
        result = switch_on(scratch);
        if (result < 0) {
            return result;
        }
        near = 0; /* it was for other nodes */
    }
}

static int32_t wanted_units(const struct jl_projection_scratch *scratch, int32_t i) {
#if JL_PROJECTION_FIXED_POINT
    return scratch->wanted[i];
#else
    return nearest(scratch->wanted[i]);
#endif
}

/* Storage and exchange nearest to the candidate's with s = A f + z; quality within its bounds. */
static void complete(const struct jl_projection_scratch *scratch, const float *bounds,
                     float *plan) {
    const struct jl_boxes *const boxes = &scratch->boxes;
    for (int32_t edge = 0; edge < JL_EDGES; edge++) {
        plan[edge] = (float)scratch->flows[edge] * JL_UNIT_KG;
    }
    for (int32_t node = 0; node < JL_NODES; node++) {
        const int32_t net = scratch->part.settling.net[node];
        const int32_t by_storage_min = boxes->storage_min[node] - net;
        const int32_t by_storage_max = boxes->storage_max[node] - net;
        const int32_t storage = wanted_units(scratch, JL_EDGES + node);
        int32_t exchange = wanted_units(scratch, JL_EDGES + JL_NODES + node);
        /* Halved downwards: a right shift of a negative number is arithmetic on every compiler
         * that this is built with. */
        exchange = (exchange + storage - net) >> 1;
        exchange = exchange > boxes->exchange_max[node] ? boxes->exchange_max[node] : exchange;
        exchange = exchange > by_storage_max ? by_storage_max : exchange;
        exchange = exchange < boxes->exchange_min[node] ? boxes->exchange_min[node] : exchange;
        exchange = exchange < by_storage_min ? by_storage_min : exchange;
        float *const at = plan + JL_EDGES + node;
        const float quality_max = bounds[4 * JL_NODES + node] * jl_quality_kept[node];
        const float quality = at[2 * JL_NODES] > 0.0f ? at[2 * JL_NODES] : 0.0f;
        at[0] = (float)(net + exchange) * JL_UNIT_KG;
        at[JL_NODES] = (float)exchange * JL_UNIT_KG;
        at[2 * JL_NODES] = quality < quality_max ? quality : quality_max;
        at[3 * JL_NODES] = scratch->on[node] ? 1.0f : 0.0f;
    }
}

static int32_t project(float *plan, const float *bounds, const float *near,
                       struct jl_projection_scratch *s) {
    const float *const given = bounds ? bounds : jl_plan_bounds;
    s->report.node = -1;
    s->report.excess = 0.0f;
    int32_t result = check_finite(plan, JL_PLAN_VALUES);
    result = result < 0 ? result : check_finite(given, JL_PLAN_BOUNDS);
    result = result < 0 || !near ? result : check_finite(near, JL_EDGES);
    result = result < 0 ? result : set_boxes(s, given);
    if (result < 0) {
        return result;
    }
    set_wanted(s, plan);
    result = find_flows(s, near);
    if (result >= 0) {
        complete(s, given, plan);
    }
    return result;
}

int32_t jl_project(float *plan, const float *bounds, void *scratch) {
    return project(plan, bounds, 0, scratch);
}

int32_t jl_project_near(float *plan, const float *bounds, const float *near, void *scratch) {
    return project(plan, bounds, near, scratch);
}
