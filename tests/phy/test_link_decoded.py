"""What a decoder hands back is checked as what is sent is: finite, of the shape that was sent, in range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.phy.channels import AWGN
from semlink.phy.link import SLACK, Decoded, Frame, Link, Received, normalise_power

IMAGE = torch.full((2, 3, 8, 8), 0.5)


class Returning:
    """A codec that decodes to whatever it was given."""

    def __init__(self, returned: Any) -> None:  # noqa: ANN401
        self.returned = returned

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        return Frame(normalise_power(torch.ones(len(image), 96, dtype=torch.complex64)), {"payload": 96}, power="exact")

    def decode(self, received: Received) -> Any:  # noqa: ANN401
        return self.returned


def send(returned: object) -> Tensor:
    link = Link(Returning(returned), AWGN())
    return link(IMAGE, 10.0, rng=torch.Generator().manual_seed(0)).image


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (IMAGE + 0.6, r"decoded image spans \[1\.1, 1\.1\]; it must lie in \[0, 1\]"),
        (IMAGE - 0.6, r"spans \[-0\.1, -0\.1\]"),
        (255 * IMAGE, r"spans \[127\.5, 127\.5\]"),
        (IMAGE[:1], r"shape \(1, 3, 8, 8\); it must be \(2, 3, 8, 8\), as sent"),
        (IMAGE[:, :1], r"shape \(2, 1, 8, 8\)"),
        (IMAGE[..., :7], r"shape \(2, 3, 8, 7\)"),
        (torch.zeros(3, 10), r"shape \(3, 10\); .* or logits of 2 rows"),
        (torch.tensor(0.5), r"shape \(\)"),
        (IMAGE.numpy(), "decoded image is a ndarray"),
        (Decoded(IMAGE * torch.nan), "not finite"),
        (Decoded(IMAGE, torch.zeros(1, dtype=torch.bool)), r"decoded failed is \(1,\); it must be a tensor of 2"),
        (Decoded(IMAGE, torch.zeros(2)), r"decoded failed has dtype torch\.float32; it must be torch\.bool"),
        (Decoded(IMAGE, [False, False]), "decoded failed is list"),  # type: ignore[arg-type]
        (Decoded(IMAGE, None, torch.zeros(2, 2, dtype=torch.int64)), r"decoded block_errors is \(2, 2\)"),
    ],
)
def test_what_is_no_image_of_what_was_sent_is_refused(returned: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        send(Decoded(returned) if isinstance(returned, np.ndarray) else returned)  # type: ignore[arg-type]


def test_it_is_clipped_where_that_is_asked_for() -> None:
    link = Link(Returning(3 * IMAGE - 1), AWGN(), clips=True)
    assert torch.equal(link(IMAGE, 10.0, rng=torch.Generator().manual_seed(0)).image, torch.full_like(IMAGE, 0.5))
    link = Link(Returning(9 * IMAGE), AWGN(), clips=True)
    assert torch.equal(link(IMAGE, 10.0, rng=torch.Generator().manual_seed(0)).image, torch.ones_like(IMAGE))
    with pytest.raises(ValueError, match="not finite"):
        Link(Returning(IMAGE * torch.nan), AWGN(), clips=True)(IMAGE, 10.0, rng=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "returned",
    [
        IMAGE + 0.5 + 0.9 * SLACK,
        IMAGE - 0.5 - 0.9 * SLACK,
        torch.full((2, 10), -7.0),  # logits
        Decoded(IMAGE, torch.tensor([True, False]), torch.tensor([1, 0]), 4),
    ],
)
def test_what_is_one_is_handed_on(returned: Any) -> None:  # noqa: ANN401
    assert torch.equal(send(returned), returned if isinstance(returned, Tensor) else returned.image)
