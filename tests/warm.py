"""`python tests/warm.py`: have on disk what each process of a run would else compile for itself, all at the same time.

That is, after an installation: Python's byte code of all that is imported, tests with their rewritten assertions among
it, and what Numba compiles for channel codes, SSIM and several antennas.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

KERNELS = "kernels"


def main() -> int:
    """Both at once; 0 if both could."""
    with subprocess.Popen([sys.executable, __file__, KERNELS]) as kernels:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", str(Path(__file__).parent)])
        return status or kernels.wait()


def compile_kernels() -> None:
    import torch

    from semlink.baselines.separate import SeparateCodec
    from semlink.phy import metrics
    from semlink.phy.channels import AWGN, parse_channel
    from semlink.phy.constellation import QAM
    from semlink.phy.fec import LDPC5G, Convolutional
    from semlink.phy.link import Link
    from semlink.phy.mimo import kbest_llr
    from semlink.phy.rng import image_rngs
    from semlink.phy.sources import sample_images

    image = sample_images()[:1, :, :48, :48].contiguous()
    shown = Link(SeparateCodec(mcs="16qam-1/2"), AWGN())(image, 20.0, rng=image_rngs(0, image)).image
    metrics.ssim(shown, image)
    for code in (LDPC5G(64, 128, precision="float32"), Convolutional(64, 128)):
        code.decode(1 - 2 * code.encode(torch.zeros(1, 64)))
    symbols, rng = QAM(4).map(torch.zeros(1, 64)), torch.Generator()
    for spec in ("mimo:2x2,mmse", "mimo:2x2,svd", "uplink:users=2,rx=2,sic"):
        parse_channel(spec)(symbols, 0.1, rng=rng)
    spatial = parse_channel("mimo:2x2,k-best,width=4")(symbols, 0.1, rng=rng).spatial
    assert spatial is not None
    kbest_llr(spatial, 4)


if __name__ == "__main__":
    if KERNELS not in sys.argv:
        sys.exit(main())
    compile_kernels()
