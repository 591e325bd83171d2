#!/usr/bin/env bash
# torchmetrics' relative average spectral error is too large by the window's area: 64 times at its default of 8.
#
# RASE is 100 / M times the root of the bands' mean squared errors, M being their mean; in a sliding window, both are
# the window's. torchmetrics' filter gives the mean over a window, and it divides that by the window's area once more.
# An image of 0.5 that is received as 0.6 has an error of 20 % in every window of whatever size; its answer goes from
# 80 to 5120. The sliding window's RMSE, from which it is made, is right. The example in its documentation, of uniform
# noise against uniform noise, has 5326 for 83.
#
# torchmetrics 1.9.0, torch 2.13.0. Seen, of 0.6 for 0.5 in 3 bands of 64×64:
#   window 2: RMSE 0.1000, RASE 80.0 (20 * 2 * 2 = 80)
#   window 4: RMSE 0.1000, RASE 320.0 (20 * 4 * 4 = 320)
#   window 8: RMSE 0.1000, RASE 1280.0 (20 * 8 * 8 = 1280)
#   window 16: RMSE 0.1000, RASE 5120.0 (20 * 16 * 16 = 5120)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from torchmetrics.functional.image import (
    relative_average_spectral_error,
    root_mean_squared_error_using_sliding_window,
)

print(*(f"{name} {version(name)}" for name in ("torchmetrics", "torch")))
target = torch.full((1, 3, 64, 64), 0.5)
received = target + 0.1
for window in (2, 4, 8, 16):
    rmse = float(root_mean_squared_error_using_sliding_window(received, target, window_size=window))
    rase = float(relative_average_spectral_error(received, target, window_size=window))
    print(f"window {window}: RMSE {rmse:.4f}, RASE {rase:.1f} (20 * {window} * {window} = {20 * window**2})")
    assert abs(rmse - 0.1) < 1e-5
    assert abs(rase / (20 * window**2) - 1) < 1e-4
PYTHON
