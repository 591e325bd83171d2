"""Transport blocks that cannot be."""

from __future__ import annotations

import pytest

from semlink.phy.fec import TransportBlock


@pytest.mark.parametrize(("bits_per_symbol", "layers"), [(0, 1), (2, 0), (-2, 1)])
def test_no_symbol_and_no_layer(bits_per_symbol: int, layers: int) -> None:
    with pytest.raises(ValueError, match=rf"bits_per_symbol={bits_per_symbol} and layers={layers} must be at least 1"):
        TransportBlock(120, 400, 0.5, bits_per_symbol, layers)
