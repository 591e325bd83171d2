#!/usr/bin/env bash
# torchmetrics' SSIM averages over mirrored borders, and so can turn round which of two images is the better one.
#
# It mirrors images at their edges by half a window before filtering, as scikit-image does, but does not leave the positions
# whose window reaches into the mirror out of the mean. At 32×32 they are 53 % of all. (Its contrast term does leave them
# out, so the last scale of its MS-SSIM is of one kind and the others are of another.) Of noise in the middle of images of
# CIFAR's size it sees half, and noise at the edge, where codecs with zero padding err most, it counts twice.
#
# torchmetrics 1.9.0, pytorch-msssim 1.0.0, scikit-image 0.26.0, torch 2.13.0; 256 pieces of 32×32 of `astronaut`, noise
# of 0.2 in the middle 12×12 or in the outer 5 pixels. Seen (11-pixel Gaussian window in all):
#   middle: pytorch-msssim 0.5857, scikit-image 0.5857, torchmetrics 0.8042
#   edge: pytorch-msssim 0.7279, scikit-image 0.7279, torchmetrics 0.4335
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 torchmetrics==1.9.0 pytorch-msssim==1.0.0 scikit-image==0.26.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import torch
from pytorch_msssim import ssim
from skimage import data
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

print(*(f"{name} {version(name)}" for name in ("torchmetrics", "pytorch-msssim", "scikit-image", "torch")))
picture = torch.tensor(data.astronaut() / 255).float()
pieces = picture.reshape(16, 32, 16, 32, 3).permute(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)
noise = 0.2 * torch.randn(pieces.shape, generator=torch.Generator().manual_seed(0))
middle, inner = torch.zeros(32, 32), torch.zeros(32, 32)
middle[10:22, 10:22] = 1
inner[5:-5, 5:-5] = 1


def by_scikit(one, other):
    return structural_similarity(one.numpy(), other.numpy(), channel_axis=0, data_range=1.0, gaussian_weights=True,
                                 sigma=1.5, use_sample_covariance=False)


def three(where, mask):
    noisy = (pieces + noise * mask).clamp(0, 1)
    first = float(ssim(noisy, pieces, data_range=1.0))
    second = float(np.mean([by_scikit(*pair) for pair in zip(noisy, pieces)]))
    third = float(structural_similarity_index_measure(noisy, pieces, data_range=1.0))
    print(f"{where}: pytorch-msssim {first:.4f}, scikit-image {second:.4f}, torchmetrics {third:.4f}")
    assert abs(first - second) < 1e-3
    return first, third


centre, centre_here = three("middle", middle)
edge, edge_here = three("edge", 1 - inner)
assert centre < edge - 0.1  # by two of them the edge's images are the better ones,
assert centre_here > edge_here + 0.3  # and by the third the others
PYTHON
