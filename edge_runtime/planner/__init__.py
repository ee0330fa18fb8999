"""Plans of a material network: constraints, projection, sampling. NumPy alone; runs on any node."""
