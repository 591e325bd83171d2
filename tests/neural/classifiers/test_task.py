"""The task codec: power, tokens in order, no look at other images, noise that is told or not; its card and weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.flowgraphs.comparison import check_codec
from semlink.neural.classifiers import TaskCard, TaskCodec, build_task, load_task, write_task_card
from semlink.neural.zoo import sha256, write_weights
from semlink.phy.channels import AWGN
from semlink.phy.link import Link, Received, check_frame

SMALL = {"tokens": 4, "width": 8, "seen_width": 8, "heads": 2, "widths": [4, 6], "blocks": [1, 1]}


def small(**changed: object) -> TaskCodec:
    torch.manual_seed(0)
    codec = build_task("task", {**SMALL, **changed}).eval().requires_grad_(False)
    for block in codec.encoder:  # that it makes a difference is to be seen
        torch.nn.init.normal_(block.attention.leave.weight)
    return codec


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_every_image_has_power_one_whatever_is_sent(image: Tensor) -> None:
    codec = small()
    for uses in (2, 4, 6, 8):
        frame = codec.send(uses).encode(image * torch.tensor([0.01, 0.1, 1, 1, 1])[:, None, None, None], 0.1)
        assert frame.symbols.shape == (5, uses)
        assert dict(frame.uses) == {"payload": uses}
        assert codec.ratio == pytest.approx(uses / 3072)
        check_frame(frame, 5)


def test_the_first_tokens_are_the_same_whatever_follows(image: Tensor) -> None:
    codec = small()
    whole, part = codec.encode(image, 0.1).symbols, codec.send(4).encode(image, 0.1).symbols
    scale = part.abs().square().mean(dim=1).div(whole[:, :4].abs().square().mean(dim=1)).sqrt()
    torch.testing.assert_close(part, whole[:, :4] * scale[:, None])


def test_batch_mates_change_no_prediction(image: Tensor) -> None:
    """Attention across the batch, as in the public code of the paper, would fail here."""
    codec = small()
    rngs = [torch.Generator().manual_seed(i) for i in range(5)]
    together = Link(codec, AWGN())(image, 3.0, rng=rngs).image
    alone = [Link(codec, AWGN())(image[i : i + 1], 3.0, rng=torch.Generator().manual_seed(i)).image for i in range(5)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_tokens_are_told_their_own_noise(image: Tensor) -> None:
    """A codec that is not told knows no level of noise, only which symbols of an image are the better ones."""
    symbols = small().encode(image, 0.1).symbols
    even, other = torch.full((5, 8), 0.1), torch.full((5, 8), 0.4)
    faded = even.clone()
    faded[:, 2:4] = 10
    for told in (True, False):
        codec = small(told=told)
        seen = [codec.decode(Received(symbols, n0)).image for n0 in (even, other, faded)]
        assert bool((seen[0] - seen[1]).abs().max() > 1e-4) is told
        assert (seen[0] - seen[2]).abs().max() > 1e-4
        sent = [codec.encode(image, n0).symbols for n0 in (0.1, 1.0)]
        assert bool((sent[0] - sent[1]).abs().max() > 1e-4) is told
        assert codec.ignores_n0 is not told


def test_without_csi_nothing_is_known_of_the_noise_and_no_symbol_drowns_the_others(image: Tensor) -> None:
    codec = small(told=False, csi=False)
    symbols = codec.encode(image, 0.1).symbols
    even, faded = torch.full((5, 8), 0.1), torch.full((5, 8), 0.1)
    faded[:, 2:4] = 10
    seen = [codec.decode(Received(symbols, n0)).image for n0 in (even, faded)]
    torch.testing.assert_close(seen[0], seen[1])
    drowning = symbols.clone()
    drowning[:, 2] *= 1e6  # zero-forced in a deep fade
    assert codec.decode(Received(drowning, even)).image.isfinite().all()
    assert (codec.decode(Received(drowning, even)).image - seen[0]).abs().max() < 100 * seen[0].abs().max()
    with pytest.raises(ValueError, match="csi=False must be True where told=True"):
        small(csi=False)


def test_it_keeps_the_contract() -> None:
    found = {one.what: one for one in check_codec(small())}
    assert all(one.good is not False for one in found.values()), found
    assert found["decode"].words == "logits (4, 10), finite: True"
    assert found["decoded batch"].good
    assert found["gradients"].good is None  # as of every trained codec: for use


def test_the_default_is_within_a_twenty_fifth_of_resnet56() -> None:
    cost = TaskCodec().multiply_adds
    assert cost["student"] <= 125_485_696 / 25
    assert cost["student"] < cost["transmitter"] < 1.2 * cost["student"]
    assert TaskCodec().uses == 32


@pytest.mark.parametrize(
    ("uses", "said"),
    [
        (1, "uses=1 must be, for a task codec of 4 tokens, a multiple of 2, its token, from 2 to 8"),
        (0, "uses=0 must be"),
        (10, "uses=10 must be"),
    ],
)
def test_less_than_a_quarter_of_the_tokens_is_refused(uses: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small().send(uses)


def test_other_images_and_receptions_are_refused() -> None:
    codec = small()
    with pytest.raises(ValueError, match="image of 48x32 with 3 channels: a task codec takes RGB of 32x32 pixels"):
        codec.encode(torch.zeros(1, 3, 32, 48), 0.1)
    for n in (3, 10):
        with pytest.raises(ValueError, match=f"{n} symbols received: they must be 1 to 4 tokens of 2"):
            codec.decode(Received(torch.zeros(1, n, dtype=torch.complex64), torch.ones(1, n)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tokens": 6}, "tokens=6 must be a multiple of 4"),
        ({"token_symbols": 0}, "token_symbols=0 must be at least 1"),
        ({"width": 9}, "width=9 must be a multiple of heads=2"),
        ({"blocks": [1]}, r"widths=\(4, 6\), blocks=\(1,\) must be 1 to 4 stages"),
        ({"snr": 1}, "network: snr must be, for task, among: classes"),
    ],
)
def test_sizes_that_make_no_network_are_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_task("task", {**SMALL, **changed})


def test_an_image_codec_is_no_task_codec() -> None:
    with pytest.raises(ValueError, match="model='deepjscc' must be one of: task"):
        build_task("deepjscc", {"cell_symbols": 8})


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    codec, path = small(), tmp_path / "mine.safetensors"
    write_weights(codec, path)
    card = TaskCard("mine", "task", SMALL, 1, {"student": 1}, "none", "none", "awgn", "nothing", sha256(path))
    write_task_card(card, tmp_path)
    return path


def test_weights_are_read_with_their_card(kept: Path, image: Tensor) -> None:
    frame, was = (codec.encode(image, 0.1).symbols for codec in (load_task(kept), small()))
    torch.testing.assert_close(frame, was, atol=2e-2, rtol=2e-2)  # float16
    with pytest.raises(
        ValueError, match=r"task codec 'other' must be .* a weights file NAME\.safetensors with its card"
    ):
        load_task("other")
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(ValueError, match="SHA-256 differs from the card's"):
        load_task(kept)
    kept.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match="not the card of a task codec"):
        load_task(kept)
