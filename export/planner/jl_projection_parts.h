/* What the parts of the projection share. Quantities are in units of the grid; see projection.py.
 */
#ifndef JL_PROJECTION_PARTS_H
#define JL_PROJECTION_PARTS_H

#include "jl_projection.h"

/* Without this a compiler may fuse a product and a sum, which rounds once instead of twice. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#if JL_PROJECTION_FIXED_POINT
typedef int32_t jl_number;
#else
typedef float jl_number;
#endif

enum {
    JL_COORDINATES = JL_EDGES + 2 * JL_NODES, /* flows, storage, exchange */
    JL_SPAN = 1 << 24,
};

/** Constants of the network, made by export/planner/projection.py. */
extern const uint16_t jl_sources[JL_EDGES];
extern const uint16_t jl_targets[JL_EDGES];
extern const uint16_t jl_in_start[JL_NODES + 1]; /* where a node's edges start in jl_in_edges */
extern const uint16_t jl_in_edges[JL_EDGES];
extern const uint16_t jl_out_start[JL_NODES + 1];
extern const uint16_t jl_out_edges[JL_EDGES];
extern const int32_t jl_flow_max[JL_EDGES];
extern const int32_t jl_inflow_max[JL_NODES];
extern const jl_number jl_inverse[JL_NODES * JL_NODES];
extern const float jl_quality_kept[JL_NODES];

/** Boxes of a request on the grid. */
struct jl_boxes {
    int32_t storage_min[JL_NODES];
    int32_t storage_max[JL_NODES];
    int32_t exchange_min[JL_NODES];
    int32_t exchange_max[JL_NODES];
};

/** The iterations' own. */
struct jl_splitting {
    jl_number plan[JL_COORDINATES];
    jl_number duals[JL_COORDINATES];
    jl_number moved[JL_COORDINATES];
    jl_number low[JL_NODES]; /* of storage, after the margin */
    jl_number high[JL_NODES];
    jl_number missing[JL_NODES];
    jl_number force[JL_NODES];
};

/** The last units' own; places are nodes behind their limit of inflow, then before it. */
struct jl_settling {
    int32_t inflow[JL_NODES];
    int32_t net[JL_NODES];
    int32_t net_min[JL_NODES];
    int32_t net_max[JL_NODES];
    uint16_t via[2 * JL_NODES];
    uint16_t queue[2 * JL_NODES];
};

struct jl_projection_scratch {
    struct jl_projection_report report;
    struct jl_boxes boxes;
    jl_number wanted[JL_COORDINATES];
    int32_t opened[JL_EDGES]; /* largest flows; 0 where an end is off */
    int32_t flows[JL_EDGES];
    union {
        struct jl_splitting splitting;
        struct jl_settling settling;
    } part;
    uint8_t on[JL_NODES];
};

_Static_assert(sizeof(struct jl_projection_scratch) <= JL_PROJECTION_SCRATCH_BYTES,
               "the scratch is smaller than what the projection keeps there");

/** Flows near the nearest plan's: wanted, opened and boxes to flows. */
void jl_split(struct jl_projection_scratch *scratch);

/** Flows whose net inflows every node can take; returns the units that could not be settled. */
int64_t jl_settle(struct jl_projection_scratch *scratch);

#endif
