"""The shapes in the signatures of the diffusion receivers, checked while they receive and train."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import torch
from jaxtyping import install_import_hook

with install_import_hook(["semlink.phy", "semlink.neural"], "beartype.beartype"):
    from semlink.neural.networks.deepjscc import DeepJSCC
    from semlink.neural.diffusion.cddm import SymbolDenoiser
    from semlink.neural.diffusion.control import ResidualCNN
    from semlink.neural.diffusion.ddpm import Schedule
    from semlink.neural.training.receivers import receive_by, receiver_loss
    from semlink.neural.diffusion.receivers import Denoised, Refined
    from semlink.neural.diffusion.sft import SFT
    from semlink.neural.training.recipe import Settings
    from semlink.phy.channels import AWGN, Rayleigh
    from semlink.phy.link import Link, Received

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
tasks = {"sft-1": ("sft", sft), "sft-2": ("sft", sft), "cddm": ("cddm", denoiser), "control": ("residual-cnn", control)}
for task, (model, network) in tasks.items():
    settings = Settings("x", model, task=task, codec="x", groups=2, loss={"l1": 1.0, "mse": 1.0})
    receiver_loss(network, codec, image, settings, torch.Generator())
    receive_by(network, codec, settings)(image, 5.0)
try:
    sft.restore(image, torch.zeros(3, 16), torch.zeros(2, 1))
except Exception as error:
    print(type(error).__name__)
"""


def test_shapes_hold_while_they_receive_and_train() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "TypeCheckError"  # the check is on: a wrong shape does not pass
