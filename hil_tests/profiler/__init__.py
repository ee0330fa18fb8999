"""Count executed instructions on QEMU and say where they went.

`plugin_arguments` loads our plugin into QEMU, `read_counts` reads what it wrote, `attribute` turns
that into a `Profile`, which `layer_table`, `class_table` and `flame_svg` show.
"""

from hil_tests.profiler.counts import Counts, InstructionCount, read_counts
from hil_tests.profiler.flame import flame_svg
from hil_tests.profiler.plugin import plugin_arguments
from hil_tests.profiler.profile import Cell, CodeMap, Profile, attribute
from hil_tests.profiler.symbols import Places, Symbol, read_symbols
from hil_tests.profiler.table import class_table, layer_table

__all__ = [
    "Cell",
    "CodeMap",
    "Counts",
    "InstructionCount",
    "Places",
    "Profile",
    "Symbol",
    "attribute",
    "class_table",
    "flame_svg",
    "layer_table",
    "plugin_arguments",
    "read_counts",
    "read_symbols",
]
