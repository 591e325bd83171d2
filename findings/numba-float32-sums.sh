#!/usr/bin/env bash
# Numba's np.sum, np.mean and np.var of long float32 arrays stand still at 2²⁴, and np.var is off by a factor of 37.
#
# NumPy adds by pairs, and its error grows with log n. Numba compiles the same call to one running sum in the array's
# own type: once that is 2²⁴ times its summands, adding one more changes nothing. At 20 Msample/s that is 0.8 s of a
# recording: the mean of ones is 0.5 after 1.7 s, and after 3.4 s the power of noise, which averages to 2, is read as
# 1.5. The variance is taken about such a mean. With parallel=True each thread has a sum of its own, and the result
# depends on how many there are. Sums of ints are right, since they are widened to 64 bits; those of float32 are not.
#
# numba 0.66.0, numpy 2.4.6. Seen (2²⁶ samples):
#   mean of ones: NumPy 1.0000, Numba 0.2500
#   power of complex noise of power 2: NumPy 1.9996, Numba 1.4963
#   variance of 10 + noise of variance 1: NumPy 0.9997, Numba 36.9991
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile numba==0.66.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import numba
import numpy as np

print(*(f"{name} {version(name)}" for name in ("numba", "numpy")))
mean = numba.njit(lambda x: np.mean(x))
variance = numba.njit(lambda x: np.var(x))
total = numba.njit(lambda x: np.sum(x))


def both(name, by_numpy, by_numba):
    print(f"{name}: NumPy {by_numpy:.4f}, Numba {by_numba:.4f}")
    return float(by_numpy), float(by_numba)


size = 2**26
ones = np.ones(size, np.float32)
assert both("mean of ones", ones.mean(), mean(ones)) == (1.0, 0.25)
assert total(ones) == 2**24 and total(ones.astype(np.int8)) == size
noise = np.random.default_rng(0).standard_normal((size, 2), dtype=np.float32)
right, wrong = both("power of complex noise of power 2", *(f((noise**2).sum(axis=1)) for f in (np.mean, mean)))
assert abs(right - 2) < 0.002 and wrong < 1.6
right, wrong = both("variance of 10 + noise of variance 1", *(f(noise[:, 0] + 10) for f in (np.var, variance)))
assert abs(right - 1) < 0.002 and wrong > 30
PYTHON
