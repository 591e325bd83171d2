#!/usr/bin/env bash
# Numba runs an old version of a function that a cached one calls, when the two are in different files.
#
# cache=True keeps machine code with the callee's inside, and looks at nothing but the date and size of the caller's
# own file. Change a kernel in another module, run again, and the caller goes on with the old one, while the same
# kernel called by itself, and the caller's py_func, give the new value: two answers in one process. A package that
# keeps its decoder's kernels in files of their own measures yesterday's decoder after an edit or an upgrade.
#
# numba 0.66.0, numpy 2.4.6. Seen:
#   before: apply 2.0, gain 2.0
#   after gain was changed to 5: apply 2.0, gain 5.0, apply without Numba 5.0, cache hits 1
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile numba==0.66.0 numpy==2.4.6
cd "$work"
cat > kernel.py <<'PYTHON'
from numba import njit


@njit
def gain(x):
    return 2.0 * x
PYTHON
cat > caller.py <<'PYTHON'
from kernel import gain
from numba import njit


@njit(cache=True)
def apply(x):
    return gain(x)
PYTHON
venv/bin/python -c 'import numba, numpy; print("numba", numba.__version__, "numpy", numpy.__version__)'
venv/bin/python - <<'PYTHON'
from caller import apply, gain

print(f"before: apply {apply(1.0)}, gain {gain(1.0)}")
assert apply(1.0) == gain(1.0) == 2.0
PYTHON
sleep 2 # a date of its own for the changed file
sed -i 's/2\.0 \* x/5.0 * x/' kernel.py
venv/bin/python - <<'PYTHON'
from caller import apply, gain

old, new, plain = apply(1.0), gain(1.0), apply.py_func(1.0)
hits = sum(apply.stats.cache_hits.values())
print(f"after gain was changed to 5: apply {old}, gain {new}, apply without Numba {plain}, cache hits {hits}")
assert (old, new, plain, hits) == (2.0, 5.0, 5.0, 1)
PYTHON
