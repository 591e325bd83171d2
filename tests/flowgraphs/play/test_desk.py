"""What a page asks for and gets, without a server: pictures, figures, constellations, and refusals."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.comparison import COLOURS
from semlink.flowgraphs.play.desk import Desk
from semlink.flowgraphs.play.links import GoneError
from semlink.flowgraphs.play.opening import open_desk
from semlink.flowgraphs.play.wishes import names_channel, names_codec
from semlink.phy.channels import CHANNELS, STAGES

Ask = Callable[..., Any]


def png(levels: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(levels).save(packed, "png")
    return packed.getvalue()


def test_the_controls_are_of_the_catalogue(ask: Ask) -> None:
    about = ask("catalogue")
    for table, given in (("channels", CHANNELS), ("stages", STAGES)):
        assert list(about[table]) == list(given)
        for name, entry in given.items():
            told = about[table][name]["options"]
            assert list(told) == list(entry.options)
            assert [one["default"] for one in told.values()] == [one.default for one in entry.options.values()]
            assert [tuple(one["words"]) for one in told.values()] == [one.words for one in entry.options.values()]
    assert about["start"]["codecs"] == ["jpeg-ldpc-qam", "deepjscc"]
    assert {"swin", "swin+sft-swin-perceptual", "webp-ldpc-qam:adaptive", "jpeg-capacity"} <= set(about["codecs"])
    assert not [name for name in about["codecs"] if name.startswith(("label:", "published:", "task", "features"))]
    assert tuple(about["colours"]) == COLOURS


def test_a_digital_picture_comes_whole_or_not_at_all(ask: Ask) -> None:
    good, lost = (ask("send", codec="jpeg-ldpc-qam", esno_db=level) for level in (20, 0))
    assert (good["failed"], lost["failed"]) == (False, True)
    assert good["psnr_db"] > 29
    assert good["levels"].shape == lost["levels"].shape == (256, 256, 3)
    assert good["uses"] == {"payload": 32768}
    assert good["mode"] == "16qam-1/2"
    got, ideal = good["points"]
    assert len(ideal) == 16  # of QAM's points, known
    assert np.abs(np.mean(ideal**2) * 2 - 1) < 0.01
    # The noise on each axis has variance N0/2, and the nearest point of 16QAM at 20 dB is the one sent.
    error = got - ideal[np.argmin(np.abs(got[:, None] - ideal[None]).sum(axis=2), axis=1)]
    assert np.mean(error**2) == pytest.approx(10**-2 / 2, rel=0.1)


def test_a_neural_picture_has_no_constellation_and_says_what_is_known(ask: Ask) -> None:
    shown = ask("send", codec="deepjscc", esno_db=5, channel="rayleigh:csi=estimated")
    assert len(shown["points"][0]) > 1000
    assert len(shown["points"][1]) == 0
    assert shown["notes"]["receiver's CSI"] == "estimated"
    assert shown["uses"]["pilot"] > 0
    assert "Es/N0" in shown["notes"]["transmitter"]


def test_the_ssim_may_come_later(ask: Ask) -> None:
    first = ask("send", codec="deepjscc", esno_db=5.75, judged=False)
    assert "ssim" not in first
    later = ask("send", codec="deepjscc", esno_db=5.75)
    assert (later["levels"] == first["levels"]).all()
    assert 0.7 < later["ssim"] < 0.95
    with pytest.raises(ValueError, match="judged: must be true or false"):
        ask("send", codec="deepjscc", esno_db=5.75, judged=1)


def test_a_scheme_of_its_own_is_no_file(ask: Ask) -> None:
    assert ask("send", codec="jpeg-ldpc-qam:4qam-1/2", esno_db=10)["mode"] == "4qam-1/2"


def test_another_seed_is_another_noise(ask: Ask) -> None:
    first, same, other = (ask("send", codec="deepjscc", esno_db=5, seed=seed) for seed in (1, 1, 2))
    assert (first["levels"] == same["levels"]).all()
    assert (first["levels"] != other["levels"]).any()


def test_an_eavesdropper_sees_with_her_own_channel(ask: Ask) -> None:
    own, hers = (ask("send", codec=f"deepjscc{at}", esno_db=10) for at in ("", "@awgn:esno=-10"))
    assert hers["psnr_db"] < own["psnr_db"] - 3
    spread = [np.mean(one["points"][0] ** 2) * 2 for one in (own, hers)]
    assert spread[0] == pytest.approx(1.1, rel=0.1)  # signal and noise
    assert spread[1] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"channel": "nix"}, "none that shows pictures here"),
        ({"channel": "os:system"}, "files and modules are taken from the command line alone"),
        ({"channel": "rayleigh:nix=1"}, "is no option of it"),
        ({"channel": "awgn+rapp"}, "lacks ibo"),
        ({"codec": "os:path"}, "files and modules are taken from the command line alone"),
        ({"codec": "deepjscc+classify:os:path"}, "none that shows pictures"),
        ({"codec": "deepjscc+../x.safetensors"}, "files and modules"),
        ({"codec": "jpeg-ldpc-qam:adaptive,key=/etc/passwd"}, "files and modules"),
        ({"codec": "jpeg-ldpc-qam:adaptive,table=rates.csv"}, "files and modules"),
        ({"codec": "jpeg-ldpc-qam:x-os:path"}, "files and modules"),  # interleaver x of a module qam
        ({"codec": "jpeg-os:path-qam"}, "files and modules"),
        ({"codec": "swin:Mine"}, "files and modules"),
        ({"codec": "deepjscc@os:path"}, "files and modules"),
        ({"codec": "deepjscc@awgn+classify:os:path@awgn"}, "files and modules"),
        ({"codec": "label:tiniest"}, "none that shows pictures"),
        ({"codec": "features-ldpc-qam:adaptive,teacher=os:path"}, "none that shows pictures"),
        ({"codec": "jpeg-ldpc-qam:all"}, "give them one by one"),
        ({"codec": 7}, "codec: must be a text"),
        ({"codec": "x" * 400}, "codec: must be a text of 1 to 300"),
        ({"ratio": "2"}, "--ratio '2' must be a number above 0"),
        ({"ratio": None}, "ratio: must be a text"),
        ({"seed": -1}, "seed=-1 must be a whole number"),
        ({"seed": 0.5}, "seed=0.5 must be a whole number"),
        ({"seed": True}, "seed: must be a number"),
        ({"seed": 10**400}, "seed: must be a number"),
        ({"seed": float("inf")}, "seed: must be a number"),
        ({"esno_db": 400}, "esno_db=400 must be from -100 to 100"),
        ({"esno_db": "10"}, "esno_db: must be a number"),
        ({"picture": "../../etc/passwd"}, "is not kept any more"),
    ],
)
def test_what_is_refused_says_why(ask: Ask, said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask("send", **{"codec": "jpeg-ldpc-qam", "esno_db": 10, **said})


def test_what_is_no_request_is_refused(desk: Desk) -> None:
    for body in (b"", b"[]", b"\xff", b"[" * 1000, b'{"esno_db": 1e999}', b'{"seed": NaN}'):
        with pytest.raises(ValueError):
            desk.answer("send", body)
    with pytest.raises(ValueError, match="request 'nix' must be one of"):
        desk.answer("nix", b"{}")


def test_names_of_the_package_and_of_nobody_else() -> None:
    assert all(names_channel(name) for name in CHANNELS)
    assert names_channel("awgn+rapp:ibo=6")
    assert names_codec("swin+sft:steps=1")
    assert names_codec("swin@rayleigh:esno=-10+rapp:ibo=6")
    assert names_codec("jpeg-conv-random-8psk:2/3")
    assert names_codec("jpeg-capacity:ergodic")
    assert not names_codec("collections:OrderedDict")
    assert not names_channel("collections:OrderedDict")


def test_one_of_the_command_line_may_be_of_a_module(ask: Ask) -> None:
    told = "semlink.phy.channels:AWGN"
    with open_desk((), ["deepjscc"], channel=told, esno="10") as desk:
        body = json.dumps({"picture": "coffee", "channel": told, "ratio": "1/6", "seed": 3, "codec": "deepjscc",
                           "esno_db": 10}).encode()  # fmt: skip
        assert desk.answer("send", body)[1][-99:] == desk.answer("send", body.replace(told.encode(), b"awgn"))[1][-99:]
    with pytest.raises(ValueError, match="files and modules"):
        ask("send", channel=told, codec="deepjscc", esno_db=10)


def test_dropped_pictures_are_decoded_made_smaller_and_kept(desk: Desk, ask: Ask) -> None:
    ramp = np.add.outer(np.arange(300), np.arange(400))[:, :, None] % 256 * np.ones(3)
    _, body = desk.answer("drop", png(ramp.astype(np.uint8)), "name=..%2F%3Cb%3Ea+b.jpg&side=256")
    name = json.loads(body)["picture"]
    assert name.startswith("b-a-b-")
    assert name.endswith(".png")
    assert ask("pixels", picture=name)["levels"].shape == (192, 256, 3)
    saved = np.asarray(Image.open(io.BytesIO(ask("saved", picture=name))))
    assert (saved == ask("pixels", picture=name)["levels"]).all()
    assert ask("send", picture=name, codec="deepjscc", esno_db=10)["levels"].shape == (192, 256, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"no picture", "not a readable image"),
        (png(np.zeros((64, 64, 3), np.uint8))[:-60], "damaged or unreadable|not a readable"),
        (png(np.zeros((4, 64, 3), np.uint8)), "each side must have 8 pixels at least"),
        (png(np.zeros((4100, 4000), np.uint8)), "megapixels; at most 16 are allowed"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable image"),
    ],
    ids=["empty", "text", "cut", "flat", "large", "postscript", "svg"],
)
def test_odd_files_are_refused_in_a_line(desk: Desk, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        desk.answer("drop", data, "name=odd.png&side=256")
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="must be"):
        desk.answer("drop", data, "name=odd.png&side=999")


def test_of_dropped_pictures_the_oldest_goes(desk: Desk, monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.setattr("semlink.flowgraphs.play.pictures.MOST_DROPPED", 2)
    names = []
    for value in (1, 2, 3):
        _, body = desk.answer("drop", png(np.full((16, 16, 3), value, np.uint8)), "name=x&side=256")
        names.append(json.loads(body)["picture"])
    with pytest.raises(ValueError, match="is not kept any more: drop it again"):
        ask("pixels", picture=names[0])
    assert ask("pixels", picture=names[2])["levels"][0, 0, 0] == 3


def test_work_for_who_has_left_stops(desk: Desk, scene: dict[str, Any]) -> None:
    body = json.dumps({**scene, "codec": "deepjscc", "esno_db": 7.125}).encode()
    with pytest.raises(GoneError):
        desk.answer("send", body, gone=lambda: True)


def test_a_recording_is_what_was_shown() -> None:
    frames = np.zeros((3, 10, 20, 3), np.uint8)
    frames[1, :, :10] = 255
    frames[2, :, 10:, 0] = 200
    with open_desk((), ["deepjscc"], esno="10") as desk:
        kind, gif = desk.answer("gif", frames.tobytes(), "width=20&height=10&ms=120")
        assert kind == "image/gif"
        with Image.open(io.BytesIO(gif)) as image:
            assert (image.n_frames, image.size, image.info["duration"]) == (3, (20, 10), 120)  # type: ignore[attr-defined]
            image.seek(1)
            assert (np.asarray(image.convert("RGB")) == frames[1]).all()
        for query in ("width=20&height=10", "width=20&height=11&ms=9", "width=-2&height=1&ms=9", ""):
            with pytest.raises(ValueError, match="must be"):
                desk.answer("gif", frames.tobytes(), query)
