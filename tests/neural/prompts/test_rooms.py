from __future__ import annotations

from dataclasses import replace

import pytest

from semlink.neural.prompts import Prompt, write_prompt
from semlink.neural.prompts.files import room_for_part


@pytest.mark.parametrize("budget", [100, 150, 151, 16_400, 16_410, 40_000])
@pytest.mark.parametrize("text", ["", "a field"])
def test_a_part_that_fills_its_room_fits_the_budget(budget: int, text: str) -> None:
    """From 128 and 16,384 bytes on the length of a part takes a byte more, which is of the budget too."""
    empty = Prompt(1, 768, 512, text=text)
    room = room_for_part(empty, budget)
    assert budget - 1 <= len(write_prompt(replace(empty, code=bytes(room)))) <= budget
