"""The shapes in the signatures, checked while links, receivers and codes run: one program, for it imports all anew."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import torch
from jaxtyping import install_import_hook

PACKAGES = ["semlink.phy", "semlink.neural", "semlink.baselines"]
with install_import_hook(PACKAGES, "beartype.beartype"):
    from semlink.baselines.harq import Harq
    from semlink.baselines.harq_link import HarqCodec
    from semlink.baselines.separate import SeparateCodec
    from semlink.neural.diffusion.cddm import SymbolDenoiser
    from semlink.neural.diffusion.control import ResidualCNN
    from semlink.neural.diffusion.receivers import Denoised, Refined
    from semlink.neural.diffusion.sft import SFT
    from semlink.neural.networks.deepjscc import DeepJSCC
    from semlink.neural.networks.swin import ConvSwin
    from semlink.neural.training.losses import batch_loss
    from semlink.neural.training.receivers import receive_by, receiver_loss
    from semlink.neural.training.recipe import Settings
    from semlink.phy import metrics
    from semlink.phy.channels import AWGN, Rayleigh
    from semlink.phy.fec.code import Uncoded
    from semlink.phy.fec.convolutional import Convolutional
    from semlink.phy.link import Link, Received
    from semlink.phy.rng import image_rngs
    from semlink.phy.sources import sample_images


def refused(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__


def both_links():
    image = sample_images()[:2, :, :60, :50].contiguous()
    model, swin = DeepJSCC(8, (4, 6)), ConvSwin(widths=(8, 8), depths=(1, 2), window=4)
    for codec in (SeparateCodec(mcs="64qam-2/3"), HarqCodec(mcs="adaptive", harq=Harq(2)), model, swin):
        for channel in (AWGN(), Rayleigh(7, equaliser="mmse"), Rayleigh(csi="none")):
            got = Link(codec, channel)(image, 20.0, rng=image_rngs(0, image))
            metrics.psnr(got.image, image), metrics.ssim(got.image, image)
    batch_loss(model, image, Settings("x", network={"cell_symbols": 8}), torch.Generator())
    batch_loss(swin, image, Settings("x", "swin", rates=(8,), loss={"mse": 1.0, "ms-ssim": 1.0}), torch.Generator())
    return refused(lambda: metrics.psnr_estimate(torch.zeros(3)))


def receivers():
    torch.manual_seed(0)
    image = torch.rand(2, 3, 17, 40)
    codec = DeepJSCC(8, (4, 6)).eval().requires_grad_(False)
    sft = SFT(width=4, dim=8, blocks=(1, 1, 1, 1), refinement=0, extractor_blocks=1, sampler="ddim", sampling_steps=2)
    denoiser, control = SymbolDenoiser(symbols=8, width=8, blocks=1), ResidualCNN(width=8, blocks=1)
    for receiver in (Refined(codec, sft), Refined(Denoised(codec, denoiser, steps=2), control)):
        for channel in (AWGN(), Rayleigh("fast", equaliser="mmse")):
            Link(receiver, channel)(image, 5.0, rng=torch.Generator())
    symbols = codec.encode(image, 0.1).symbols
    Refined(codec, sft).samples(Received(symbols, torch.full(symbols.shape, 0.1), image_shape=(3, 17, 40)), 2)
    networks = {"sft-1": sft, "sft-2": sft, "cddm": denoiser, "control": control}
    models = {"cddm": "cddm", "control": "residual-cnn"}
    for task, network in networks.items():
        settings = Settings(
            "x", models.get(task, "sft"), task=task, codec="x", groups=2, loss={"l1": 1.0, "mse": 1.0}
        )
        receiver_loss(network, codec, image, settings, torch.Generator())
        receive_by(network, codec, settings, AWGN())(image, 5.0)
    return refused(lambda: sft.restore(image, torch.zeros(3, 16), torch.zeros(2, 1)))


def codes():
    for code in (Uncoded(20), Convolutional(20, 40)):
        bits = torch.ones(3, 20)
        assert torch.equal(code.decode(1 - 2 * code.encode(bits)), bits)
    return refused(lambda: code.encode(torch.ones(20)))


for part in (both_links, receivers, codes):
    print(part.__name__, part())
"""


def test_shapes_hold_while_everything_runs() -> None:
    """And the check is on: a wrong shape does not pass. It leaves alone what is compiled."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = ("both_links", "receivers", "codes")
    assert done.stdout.split("\n")[:3] == [f"{part} TypeCheckError" for part in parts]
