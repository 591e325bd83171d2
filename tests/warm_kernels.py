"""`python tests/warm_kernels.py`: have on disk what Numba compiles for most digital links, and for SSIM.

A run's processes start together: with nothing on disk each would compile the same, and so would the programs that their
tests start. `conftest.py` starts this one beside them, and they wait for it.
"""

from __future__ import annotations

import torch

from semlink.baselines.separate import SeparateCodec
from semlink.phy import metrics
from semlink.phy.channels import AWGN
from semlink.phy.fec import LDPC5G
from semlink.phy.link import Link
from semlink.phy.rng import image_rngs
from semlink.phy.sources import sample_images


def main() -> None:
    torch.set_num_threads(1)
    image = sample_images()[:1, :, :48, :48].contiguous()
    codec = SeparateCodec(mcs="16qam-1/2")
    shown = Link(codec, AWGN())(image, 20.0, rng=image_rngs(0, image)).image
    metrics.ssim(shown, image)
    code = LDPC5G(64, 128, precision="float32")
    code.decode(1 - 2 * code.encode(torch.zeros(1, 64)))


if __name__ == "__main__":
    main()
