"""Features as bits: the quantiser against its theory, the arithmetic code, and the link through a channel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.baselines.mcs import parse_mcs
from semlink.flowgraphs.specs import block_of, feature_link
from semlink.flowgraphs.specs.feature_code import PRECISION, train_quantiser
from semlink.flowgraphs.specs.feature_link import FeatureLink, make_feature_link
from semlink.flowgraphs.studies.engine import scheme_of
from semlink.neural.classifiers import Seen, Teacher
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received


@pytest.mark.parametrize(("bits", "distortion"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497)])
def test_the_quantiser_is_max_s_own_for_a_normal_distribution(bits: int, distortion: float) -> None:
    """Max 1960, table I: mean squared error by the number of levels; a uniform one of 16 has 0.0115."""
    values = np.random.default_rng(0).standard_normal((5000, 8)) * [1, 2, 3, 4, 5, 6, 7, 8] + 3
    quantiser = train_quantiser(values, bits)
    error = (values - quantiser.restore(quantiser.quantise(values))) / quantiser.std
    assert np.mean(error**2) == pytest.approx(distortion, rel=0.04)
    assert quantiser.counts.sum(axis=1).tolist() == [1 << PRECISION] * 8
    assert quantiser.order.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_the_code_words_take_the_entropy_and_are_read_again() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((2000, 12)) ** 3
    quantiser = train_quantiser(values, 3)
    index = quantiser.quantise(values)
    shares = quantiser.counts / (1 << PRECISION)
    entropy = -(shares * np.log2(shares)).sum()
    lengths = []
    for row in index[:300]:
        for count in (12, int(rng.integers(0, 12))):
            word = quantiser.encode(row, count)
            back = quantiser.decode([*word, *rng.integers(0, 1, 5).tolist()], count)  # zeros behind it
            sent = quantiser.order[:count]
            assert back[sent].tolist() == row[sent].tolist()
            assert set(np.delete(back, sent).tolist()) <= {-1}
            assert len(word) <= (np.ceil(quantiser.lengths(row)[count - 1]) + 1 if count else 0)
        lengths.append(len(quantiser.encode(row, 12)))
    assert np.mean(lengths) == pytest.approx(entropy, abs=1.2)


def test_features_that_are_all_alike_cost_no_bits() -> None:
    quantiser = train_quantiser(np.zeros((100, 3)), 2)
    index = quantiser.quantise(np.zeros((1, 3)))
    assert quantiser.restore(index)[0] == pytest.approx(np.zeros(3), abs=1e-3)
    assert len(quantiser.encode(index[0], 3)) <= 2


class Corners(nn.Module):
    """Means of eight places, and a head on them."""

    side = 32

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.head = nn.Linear(8, 5)

    def forward(self, image: Float[Tensor, "b 3 32 32"]) -> Seen:
        features = image.mean(dim=1).reshape(-1, 8, 4, 32).mean(dim=(2, 3))
        return Seen(features, self.head(features))


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher("corners", Corners(), side=32)


@pytest.fixture(scope="module")
def images() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return (torch.rand(24, 3, 8, 1, generator=rng).repeat_interleave(4, dim=2)).expand(-1, -1, -1, 32).contiguous()


def link_of(teacher: Teacher, images: Tensor, bits: int = 4, **given: object) -> FeatureLink:
    quantiser = train_quantiser(teacher(images).features.double().numpy(), bits)
    return FeatureLink(teacher, quantiser, **given)  # type: ignore[arg-type]


def test_logits_are_the_teachers_own_but_for_the_quantiser(teacher: Teacher, images: Tensor) -> None:
    link = link_of(teacher, images, uses=64)
    got = Link(link, AWGN())(images, 20.0, rng=torch.Generator().manual_seed(0))
    assert not got.failed.any()
    clean = link.quantiser
    kept = clean.restore(clean.quantise(teacher(images).features.double().numpy()))
    with torch.no_grad():
        expected = teacher.head(torch.from_numpy(kept).float())
    torch.testing.assert_close(got.image, expected, rtol=1e-4, atol=1e-4)
    assert dict(got.uses) == {"payload": 64}
    assert got.ratio == pytest.approx(64 / 3072)


def test_the_ledger_adds_up_and_the_scheme_follows_the_noise(teacher: Teacher, images: Tensor) -> None:
    link = link_of(teacher, images, uses=64)
    rates = []
    for n0 in (1.0, 0.1, 0.01):
        frame = link.encode(images, n0)
        total = sum(frame.bits[name] for name in ("source", "padding", "crc", "parity"))
        orders = torch.tensor([parse_mcs(mode).bits_per_symbol for mode in frame.modes])
        assert torch.equal(total, 64 * orders)  # type: ignore[arg-type]
        assert (frame.bits["header"] == 6).all()
        assert "Lloyd–Max quantiser of 16 levels" in frame.notes["source"]
        rates.append(float(frame.bits["source"].float().mean()))
    assert rates[0] < rates[1] <= rates[2]


def test_a_lost_block_leaves_the_mean(teacher: Teacher, images: Tensor) -> None:
    link = link_of(teacher, images, uses=64)
    frame = link.encode(images[:4], 0.1)
    lost = link.decode(Received(torch.zeros_like(frame.symbols), torch.full((4, 64), 1e3), header=frame.header))
    with torch.no_grad():
        guess = teacher.head(torch.from_numpy(link.quantiser.mean).float())
    assert lost.failed is not None
    assert lost.failed.all()
    torch.testing.assert_close(lost.image, guess.expand(4, -1))


def test_outage_takes_the_more_robust_scheme(teacher: Teacher, images: Tensor) -> None:
    bold, careful = (link_of(teacher, images, uses=64, fading=one) for one in (None, Rayleigh("block")))
    rates = [float(one.encode(images, 0.1).bits["source"].float().mean()) for one in (bold, careful)]
    assert rates[1] < rates[0]
    fixed = link_of(teacher, images, uses=64, scheme=parse_mcs("4qam-1/2"))
    assert fixed.ignores_n0
    assert torch.equal(fixed.encode(images, 1.0).symbols, fixed.encode(images, 0.01).symbols)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("features-ldpc-qam", "must be features-ldpc-qam:SCHEME,teacher=TEACHER"),
        ("features-ldpc-qam:adaptive", "must be features-ldpc-qam:SCHEME,teacher=TEACHER"),
        ("features-ldpc-qam:adaptive,teacher=tiniest,bit=3", "must be features-ldpc-qam:SCHEME,teacher=TEACHER"),
        ("features-ldpc-qam:adaptive,teacher=tiniest,bits=7", "bits=7 must be from 1 to 6"),
        ("features-ldpc-qam:adaptive,teacher=tiniest,uses=x", "uses=x must be a whole number"),
        ("features-ldpc-qam:adaptive,teacher=tiniest,uses=4", "uses=4 channel uses carry no code block"),
        ("features-ldpc-qam:best,teacher=tiniest", "best"),
        ("features-ldpc-qam:adaptive,teacher=resnet110", "teacher 'resnet110' must be one of"),
    ],
)
def test_what_is_asked_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    rng = torch.Generator().manual_seed(0)
    monkeypatch.setattr(feature_link, "TRAINED", 4)
    monkeypatch.setattr(
        feature_link, "cifar10_bytes", lambda split: torch.randint(256, (4, 3, 32, 32), generator=rng).byte()
    )
    feature_link.trained_quantiser.cache_clear()
    with pytest.raises(ValueError, match=r"\w") as error:
        make_feature_link(name, AWGN())
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert make_feature_link("label:tiniest", AWGN()) is None


def test_a_teacher_without_a_head_is_refused(images: Tensor) -> None:
    flat = Teacher("flat", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), side=32)
    with pytest.raises(ValueError, match="teacher flat: has no linear layer that makes its logits of its features"):
        link_of(flat, images)


def test_a_study_knows_its_scheme_and_its_teacher() -> None:
    assert scheme_of("features-ldpc-qam:outage,teacher=mine:Net,bits=2+sft") == "outage"
    assert scheme_of("jpeg-ldpc-qam:outage+sft") == "outage"
    assert scheme_of("label:tiniest:uses=8") == "uses=8"
    assert block_of("features-ldpc-qam:adaptive,bits=2,teacher=mine:Net,uses=64") == ("mine:Net", "classifiers")
    with pytest.raises(ValueError, match="nobody knows the fades with --csi none"):
        make_feature_link("features-ldpc-qam:outage,teacher=tiniest", Rayleigh(csi="none"))
