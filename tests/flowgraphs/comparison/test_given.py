"""What `compare` says of images and codecs that are not what it needs, and which numbers it takes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from semlink.flowgraphs.comparison import compare
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Decoded, Frame, Received, normalise_power

IMAGE = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Grey:
    """Sends ones and shows grey."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        return Frame(torch.ones(len(image), 16, dtype=torch.complex64), uses={"payload": 16})

    def decode(self, received: Received) -> Decoded:
        return Decoded(torch.full((len(received.symbols), 3, 16, 16), 0.5))


CODECS = {"grey": Grey()}


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ({"a": IMAGE.expand(3, -1, -1, -1)}, r"image 'a': holds 3; give each a name of its own, \(1, c, h, w\)"),
        (
            {"a": np.zeros((16, 16, 3), np.uint8)},
            r"image 'a': image is a numpy.ndarray; it must be a tensor of floats.*255",
        ),
        ({"a": [IMAGE, IMAGE]}, "image 'a': image is a list; it must be a tensor"),
        ({"a": IMAGE[0]}, r"image 'a': image has shape \(3, 16, 16\)"),
        ([IMAGE], "images is a list; it must map names to images"),
        (IMAGE, "images is a Tensor; it must map names to images"),
    ],
)
def test_images_that_are_none_are_told(images: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compare(images, CODECS, AWGN(), [0.0])  # type: ignore[arg-type]


def test_codecs_without_names_are_told() -> None:
    with pytest.raises(ValueError, match="codecs is a list; it must map names to codecs"):
        compare({"a": IMAGE}, [Grey()], AWGN(), [0.0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "levels", [np.arange(0, 4, 2), [Fraction(0), np.float32(2)], torch.tensor([0, 2]), range(0, 3, 2)]
)
def test_numpys_numbers_are_taken(levels: object) -> None:
    outcome = compare({"a": IMAGE}, CODECS, AWGN(), levels, realisations=np.int64(2), seed=np.int64(5), pictures=levels)  # type: ignore[arg-type]
    assert outcome.table["esno_db"].tolist() == [0, 2]
    assert {type(level) for _, _, level in outcome.pictures} <= {int, float}
    assert outcome.table["seed"].tolist() == [5, 5]
    assert compare({"a": IMAGE}, CODECS, AWGN(), 3.0).table["esno_db"].tolist() == [3.0]  # type: ignore[arg-type]


class Pixels:
    """Pixels as symbols: what the noise makes of them lies far beyond black and white, and is not clipped."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        pairs = torch.view_as_complex((image - 0.5).reshape(len(image), -1, 2).contiguous())
        self.scale = pairs.abs().square().mean(dim=1, keepdim=True).sqrt()
        return Frame(normalise_power(pairs), {"payload": pairs.shape[1]})

    def decode(self, received: Received) -> torch.Tensor:
        pairs = torch.view_as_real(received.symbols * self.scale)
        return pairs.reshape(-1, *received.image_shape) + 0.5


def test_a_decoder_that_does_not_clip_is_clipped() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    table = compare({"a": image}, {"pixels": Pixels()}, Rayleigh(16), [-10.0, 15.0], realisations=2).table
    assert table["psnr_db"].between(0, 40).all()
