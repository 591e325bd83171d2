#!/usr/bin/env bash
# More quality, more bytes, a worse picture: the quality of AVIF and WebP is not monotone, and AVIF's has 64 steps.
#
# libavif maps qualities 0 to 100 to 64 quantisers, so that many neighbours give the same file. On small images both
# codecs' files shrink at some steps up, and at others grow while the PSNR falls, by up to 0.1 dB. A bisection for the
# largest quality that fits a byte budget, the usual way to meet one, can miss the best file or compare points that
# are not on the codec's curve; rate-distortion curves drawn over quality go backwards in places.
#
# Pillow 13.0.0 (libavif 1.4.2, libwebp 1.6.0), `astronaut` of scikit-image 0.26.0 resized to 32×32. Seen:
#   AVIF: 101 qualities, 64 files; smaller at 4 steps up; more bytes and over 0.03 dB worse at 2
#     quality 55 → 56: 608 → 612 bytes, 25.80 → 25.73 dB
#     quality 70 → 71: 767 → 778 bytes, 28.46 → 28.42 dB
#   WEBP: 101 qualities, 97 files; smaller at 3 steps up; more bytes and over 0.03 dB worse at 9
#     quality 34 → 35: 376 → 380 bytes, 25.12 → 25.08 dB
#     quality 44 → 45: 416 → 418 bytes, 26.00 → 25.90 dB
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --no-deps pillow==13.0.0 scikit-image==0.26.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

print(f"Pillow {PIL.__version__}, libavif {features.version('avif')}, libwebp {features.version('webp')}")
astronaut = Path(find_spec("skimage").origin).parent / "data" / "astronaut.png"
picture = Image.fromarray(np.asarray(Image.open(astronaut))).resize((32, 32))  # the pixels alone, no profile
sent = np.asarray(picture, np.float64)


def measure(kind, **options):
    files = []
    for quality in range(101):
        stream = io.BytesIO()
        picture.save(stream, kind, quality=quality, **options)
        files.append(stream.getvalue())
    sizes = np.array([len(file) for file in files])
    shown = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.float64) for file in files]
    psnr = np.array([10 * np.log10(255**2 / np.mean((image - sent) ** 2)) for image in shown])
    smaller = np.flatnonzero(np.diff(sizes) < 0)
    worse = np.flatnonzero((np.diff(sizes) > 0) & (np.diff(psnr) < -0.03))
    print(f"{kind}: 101 qualities, {len(set(files))} files; smaller at {smaller.size} steps up; more bytes and over "
          f"0.03 dB worse at {worse.size}")
    for quality in worse[:2]:
        print(f"  quality {quality} → {quality + 1}: {sizes[quality]} → {sizes[quality + 1]} bytes, "
              f"{psnr[quality]:.2f} → {psnr[quality + 1]:.2f} dB")
    return len(set(files)), smaller.size, worse.size


different, smaller, worse = measure("AVIF", max_threads=1)
assert different == 64 and smaller > 0 and worse > 0
different, smaller, worse = measure("WEBP")
assert different > 90 and smaller > 0 and worse > 0
PYTHON
