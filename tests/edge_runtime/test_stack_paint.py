"""How deep a painted stack has been, at its ends and in between, under sanitizers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_runtime.firmware.build import FOLDER, WARNINGS
from jouleloop.programs import require_program
from tests.edge_runtime.host_board import SANITIZERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.host_c

PROGRAM = """
#include "jl_stack.h"
#include <stdio.h>
enum { WORDS = 8 };
int main(void) {
    uint32_t stack[WORDS] = {0};
    const struct jl_port port = {.stack = stack, .stack_end = stack + WORDS};
    printf("%u ", jl_stack_used_bytes(&port)); /* never painted */
    jl_stack_paint(stack, stack + WORDS - 2);  /* two words are in use already */
    printf("%u ", jl_stack_used_bytes(&port));
    stack[WORDS - 4] = 1; /* and what lies above it counts, painted or not */
    printf("%u ", jl_stack_used_bytes(&port));
    stack[0] = JL_STACK_PAINT - 1;
    printf("%u ", jl_stack_used_bytes(&port));
    jl_stack_paint(stack, stack + WORDS);
    printf("%u\\n", jl_stack_used_bytes(&port));
    return 0;
}
"""


def test_the_deepest_word_that_is_not_painted_counts(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(PROGRAM, encoding="utf-8")
    gcc = [require_program("gcc"), "-std=c11", "-O1", "-g", *SANITIZERS, *WARNINGS]
    sources = ("main.c", str(FOLDER / "src/stack.c"), f"-I{FOLDER}/include", "-o", "main")
    subprocess.run([*gcc, *sources], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["32", "8", "16", "32", "0"]
