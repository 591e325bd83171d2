"""Tables of TS 38.212 and check bits against Sionna's, which is not imported for them: that takes seconds.

Nor by this file when it is only collected, as each process of a run does.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from semlink.phy.fec import crc
from semlink.phy.fec.ldpc_graph import K_MAX, K_MAX_BG2, K_MIN, _base_matrix, _shifts


@pytest.mark.parametrize(("base_graph", "most"), [(1, K_MAX), (2, K_MAX_BG2)])
def test_every_size_has_its_lifting(base_graph: int, most: int) -> None:
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    for k in range(K_MIN, most + 1):
        z, set_index, _ = LDPC5GEncoder._sel_lifting(None, k, f"bg{base_graph}")
        shifts, ours = _base_matrix(k, base_graph)
        assert ours == z, k
        assert shifts is _shifts(set_index, base_graph), k


@pytest.mark.parametrize("base_graph", [1, 2])
def test_every_set_has_its_shifts(base_graph: int) -> None:
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    for set_index in range(8):
        theirs = LDPC5GEncoder._load_basegraph(None, set_index, f"bg{base_graph}")
        assert np.array_equal(_shifts(set_index, base_graph), theirs), set_index


@pytest.mark.parametrize(("length", "name"), [(24, "CRC24A"), (16, "CRC16")])
@pytest.mark.parametrize("k", [1, 63, 64, 65, 1000])
def test_parity_is_sionnas(k: int, length: int, name: str) -> None:
    from sionna.phy.fec.crc import CRCEncoder

    bits = torch.randint(0, 2, (5, k), generator=torch.Generator().manual_seed(k)).float()
    assert torch.equal(crc.append(bits, length), CRCEncoder(name, k=k)(bits))


def test_more_bits_than_one_sum_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = torch.randint(0, 2, (3, 1000), generator=torch.Generator().manual_seed(1))
    whole = crc.append(bits)
    monkeypatch.setattr(crc, "_AT_ONCE", 64)
    assert torch.equal(crc.append(bits), whole)
    assert crc.check(whole)[1].all()


def test_a_digital_link_needs_no_sionna() -> None:
    code = (
        "import sys, torch; from semlink.phy.fec import LDPC5G, crc; bits = torch.zeros(2, 76);"
        "code = LDPC5G(100, 200); sent = code.encode(crc.append(bits));"
        "assert crc.check(code.decode(1 - 2 * sent))[1].all();"
        "print([name for name in ('sionna.phy', 'torch._dynamo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
