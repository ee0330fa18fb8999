"""The proof that no power cut matters: the firmware's C on simulated flash, cut at every operation.

`prove` builds the harness (`harness/*.c` and the firmware's own sources) and runs it; `mutants`
are single faults that the proof must find.
"""
