"""The shapes in the signatures, checked while both links run."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import torch
from jaxtyping import install_import_hook

PACKAGES = ["semlink.phy", "semlink.neural", "semlink.baselines"]
with install_import_hook(PACKAGES, "beartype.beartype"):
    from semlink.baselines.separate import SeparateCodec
    from semlink.neural.networks.deepjscc import DeepJSCC
    from semlink.neural.training.losses import batch_loss
    from semlink.neural.training.recipe import Settings
    from semlink.neural.networks.swin import ConvSwin
    from semlink.phy import metrics
    from semlink.phy.channels import AWGN, Rayleigh
    from semlink.phy.link import Link
    from semlink.phy.rng import image_rngs
    from semlink.phy.sources import sample_images

image = sample_images()[:2, :, :60, :50].contiguous()
model = DeepJSCC(8, (4, 6))
swin = ConvSwin(widths=(8, 8), depths=(1, 2), window=4)
for codec in (SeparateCodec(mcs="64qam-2/3"), model, swin):
    for channel in (AWGN(), Rayleigh(7, equaliser="mmse"), Rayleigh(csi="none")):
        got = Link(codec, channel)(image, 20.0, rng=image_rngs(0, image))
        metrics.psnr(got.image, image), metrics.ssim(got.image, image)
batch_loss(model, image, Settings("x", network={"cell_symbols": 8}), torch.Generator())
batch_loss(swin, image, Settings("x", "swin", rates=(8,), loss={"mse": 1.0, "ms-ssim": 1.0}), torch.Generator())
try:
    metrics.psnr_estimate(torch.zeros(3))
except Exception as error:
    print(type(error).__name__)
"""


def test_shapes_hold_while_both_links_run() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "TypeCheckError"  # the check is on: a wrong shape does not pass
