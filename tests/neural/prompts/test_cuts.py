from __future__ import annotations

import pytest

from semlink.neural.prompts import Prompt, PromptError, read_prompt, write_prompt
from semlink.neural.prompts.files import Thumbnail

FULL = Prompt(
    1, 48, 32, code=b"\x80\0\0\0abcd", thumbnail=Thumbnail("jpeg", 1, 0, 5, b"xyz"), noise=b"12345", text="a field"
)


def test_a_file_that_was_cut_is_never_taken_for_a_whole_one() -> None:
    """Between two parts too."""
    data = write_prompt(FULL)
    assert read_prompt(data) == FULL
    seen = 0
    for length in range(len(data)):
        try:
            found = read_prompt(data[:length])
        except PromptError:
            continue
        assert found.damage, length
        seen += 1
    assert seen > 40
    without_text = data[: -(len("a field") + 4)]
    assert read_prompt(without_text).damage == ("of the parts CTNX it has CTN",)


@pytest.mark.parametrize("bit", range(32))
def test_a_bit_of_the_start_is_not_turned_unseen(bit: int) -> None:
    data = bytearray(write_prompt(FULL))
    data[bit // 8] ^= 1 << bit % 8
    if bit < 28:
        with pytest.raises(PromptError):
            read_prompt(bytes(data))
    else:
        assert read_prompt(bytes(data)).damage
