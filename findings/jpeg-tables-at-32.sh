#!/usr/bin/env bash
# At 32×32 a JPEG's size says next to nothing about the image: tables are more than nine tenths of the file.
#
# An ordinary baseline file carries over 600 bytes of quantisation and Huffman tables. On pieces of CIFAR's size the
# coded image is 5 % of the file at quality 5 and 11 % at quality 30, so six times the quality costs 7 % more bytes, and
# the smallest JPEG is more than three times as large as a WebP that is 10 dB better. Rates on CIFAR in bits a pixel, and
# budgets of channel uses worked out from them, compare containers, unless the tables count as known to the receiver (the
# abbreviated format) and it is said.
#
# Pillow 13.0.0 (libjpeg-turbo 3.2.0), 256 pieces of 32×32 of `astronaut` of scikit-image 0.26.0, 4:2:0. Seen (means):
#   JPEG {'quality': 5}: 656 bytes, of which image 31 (5 %), 24.0 dB
#   JPEG {'quality': 30}: 705 bytes, of which image 80 (11 %), 30.5 dB
#   JPEG {'quality': 5, 'optimize': True}: 310 bytes, of which image 21 (7 %), 24.0 dB
#   WEBP {'quality': 75}: 180 bytes, 34.6 dB
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-deps pillow==13.0.0 scikit-image==0.26.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

print(f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
astronaut = Path(find_spec("skimage").origin).parent / "data" / "astronaut.png"
pieces = np.asarray(Image.open(astronaut)).reshape(16, 32, 16, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)


def scan_bytes(file):
    """Bytes of entropy-coded data: from behind the header of the scan to the marker of the end."""
    at = 2
    while file[at + 1] != 0xDA:
        at += 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return len(file) - 2 - (at + 2 + int.from_bytes(file[at + 2 : at + 4], "big"))


def measure(kind, **options):
    sizes, scans, errors = [], [], []
    for piece in pieces:
        stream = io.BytesIO()
        Image.fromarray(piece).save(stream, kind, **options)
        shown = np.asarray(Image.open(stream).convert("RGB"), np.float64)
        errors.append(np.mean((shown - piece) ** 2))
        sizes.append(len(stream.getvalue()))
        scans.append(scan_bytes(stream.getvalue()) if kind == "JPEG" else 0)
    size, scan, psnr = np.mean(sizes), np.mean(scans), 10 * np.log10(255**2 / np.mean(errors))
    share = f", of which image {scan:.0f} ({100 * scan / size:.0f} %)" if kind == "JPEG" else ""
    print(f"{kind} {options}: {size:.0f} bytes{share}, {psnr:.1f} dB")
    return size, scan, psnr


low, low_scan, low_psnr = measure("JPEG", quality=5)
high, high_scan, _ = measure("JPEG", quality=30)
optimised, _, _ = measure("JPEG", quality=5, optimize=True)
webp, _, webp_psnr = measure("WEBP", quality=75)
assert low_scan < 0.1 * low and high_scan > 2 * low_scan and high < 1.25 * low
assert optimised < 0.6 * low
assert webp < 0.4 * low and webp_psnr > low_psnr + 8
PYTHON
