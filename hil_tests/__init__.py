"""Benches: a target, a benchmark, a report; and the emulated board."""
