"""Kernels in plain C11 for cores without packed arithmetic, and for what other classes refuse."""
