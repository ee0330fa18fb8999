/*
 * The plan of a material network nearest to a candidate that keeps every constraint of the network.
 * Mirrors edge_runtime/planner/projection.py, step by step and bit by bit.
 *
 * A plan is one vector of JL_PLAN_VALUES floats: flows (JL_EDGES), storage, exchange, quality and
 * status (JL_NODES each), in kg and shares, as in edge_runtime/planner/state.py.
 */
#ifndef JL_PROJECTION_H
#define JL_PROJECTION_H

#include <stdint.h>

/* JL_NODES, JL_EDGES, JL_PROJECTION_SCRATCH_BYTES and the factors. */
#include "jl_projection_sizes.h"

#define JL_PLAN_VALUES (JL_EDGES + 4 * JL_NODES)
#define JL_PLAN_BOUNDS (5 * JL_NODES)

enum {
    /** Every constraint holds. */
    JL_PROJECTED = 0,
    /** Every constraint holds, and for it nodes had to be on that the candidate had switched off.
     */
    JL_PROJECTED_SWITCHED_ON = 1,
    /** The candidate or a bound is not a finite number; the plan is as it was. */
    JL_PROJECTION_NOT_FINITE = -1,
    /** A least bound is above its largest or a box beyond everything that the network can move, or
     * a quality outside 0..1; the plan is as it was. */
    JL_PROJECTION_BAD_BOUNDS = -2,
    /** No plan keeps the constraints; the plan is as it was. */
    JL_PROJECTION_INFEASIBLE = -3,
};

/** Where a projection failed, at the start of its scratch; undefined where it did not. */
struct jl_projection_report {
    int32_t node; /* the first node of the cause, or -1 where it is no node's */
    float excess; /* by how much, kg; of a quality, its share */
};

/** The network's own bounds, in the order of `bounds` below. */
extern const float jl_plan_bounds[JL_PLAN_BOUNDS];

/**
 * Project a plan in place.
 *
 * plan: JL_PLAN_VALUES floats.
 * bounds: of this request, JL_NODES floats each: storage_min, storage_max, exchange_min,
 *     exchange_max and quality_previous; or null for the network's own.
 * scratch: JL_PROJECTION_SCRATCH_BYTES, 8-byte aligned, contents undefined before.
 * Returns one of the values above; negative where there is no plan. Does not recurse.
 */
int32_t jl_project(float *plan, const float *bounds, void *scratch);

/**
 * As `jl_project`, from flows that something else found near the nearest plan's, such as a learned
 * projector: the iterations are left out. Every constraint holds all the same.
 *
 * near: JL_EDGES floats, kg.
 */
int32_t jl_project_near(float *plan, const float *bounds, const float *near, void *scratch);

#endif
