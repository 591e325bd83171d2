#!/usr/bin/env bash
# torchmetrics' visual information fidelity ranks noise and blur one way for images in [0, 1] and the other in [0, 255].
#
# Sheikh and Bovik's measure has the eye's noise of variance 2 on a scale of 255 grey levels. torchmetrics takes that 2
# whatever the images are in, has no data_range as its other measures have, and says nothing of a unit. For images in
# [0, 1], where torch's images live, the 2 is larger than any variance in them: both terms of the ratio become linear
# in the variances, no logarithm is left, and noise, of which VIF thinks little, is all but free.
#
# torchmetrics 1.9.0, torch 2.13.0, scikit-image 0.26.0 for the photograph (`astronaut`): noise of 5 % of the range, or
# a mean over 5×5 pixels. Seen:
#   [0, 1]: noise 0.9767, blur 0.6090
#   [0, 255]: noise 0.4049, blur 0.4450
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile torch==2.13.0 \
    torchmetrics==1.9.0 scikit-image==0.26.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from skimage import data
from torch.nn.functional import avg_pool2d, pad
from torchmetrics.functional.image import visual_information_fidelity

print(*(f"{name} {version(name)}" for name in ("torchmetrics", "torch", "scikit-image")))
picture = torch.tensor(data.astronaut() / 255).float().permute(2, 0, 1)[None]
noise = 0.05 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
noisy = (picture + noise).clamp(0, 1)
blurred = avg_pool2d(pad(picture, (2, 2, 2, 2), mode="reflect"), 5, 1)


def fidelities(scale):
    found = [float(visual_information_fidelity(scale * image, scale * picture)) for image in (noisy, blurred)]
    print(f"[0, {scale}]: noise {found[0]:.4f}, blur {found[1]:.4f}")
    return found


noise_unit, blur_unit = fidelities(1)
noise_bytes, blur_bytes = fidelities(255)
assert noise_unit > blur_unit + 0.3  # in [0, 1] the noisy image is by far the better one,
assert noise_bytes < blur_bytes  # in [0, 255] the worse
PYTHON
