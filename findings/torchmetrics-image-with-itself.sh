#!/usr/bin/env bash
# torchmetrics' measures of an image with itself: a universal quality index of -514530, where 1 is the most there is.
#
# Wang and Bovik's index, SSIM without its constants, is 1 for equal images and never leaves [-1, 1]. Where a window is
# flat, E[x²] - E[x]² in float32 is a rounding error of either sign, of 8-bit values a large one. torchmetrics clamps
# the two variances at 0 and the covariance not, and adds 10⁻⁷ to what it divides by: a few flat windows outweigh the
# rest of a photograph. In [0, 1] the 10⁻⁷ is the larger and they count as 0, so that the index depends on the unit.
# The spatial correlation coefficient counts its flat windows as 0 too.
#
# torchmetrics 1.9.0, torch 2.13.0, scikit-image 0.26.0 for the photograph (`astronaut`, 512×512). Seen, with itself:
#   universal_image_quality_index: 0.8587 of [0, 1], -514530.6250 of [0, 255]
#   spatial_correlation_coefficient: 0.9338 of [0, 1], 0.9338 of [0, 255]
#   structural_similarity_index_measure: 1.0000 of [0, 1], 1.0000 of [0, 255]
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
from torchmetrics.functional import image

print(*(f"{name} {version(name)}" for name in ("torchmetrics", "torch", "scikit-image")))
picture = torch.tensor(data.astronaut()).float().permute(2, 0, 1)[None]


def with_itself(name, **options):
    measure = getattr(image, name)
    unit, bytes_ = (float(measure(picture / scale, picture / scale, **options)) for scale in (255, 1))
    print(f"{name}: {unit:.4f} of [0, 1], {bytes_:.4f} of [0, 255]")
    return unit, bytes_


unit, bytes_ = with_itself("universal_image_quality_index")
assert 0.8 < unit < 0.9 and bytes_ < -1000
assert max(with_itself("spatial_correlation_coefficient")) < 0.95
assert min(with_itself("structural_similarity_index_measure")) > 0.9999
PYTHON
