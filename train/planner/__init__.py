"""The planner: a conditional diffusion model of plans of a material network."""
