"""Modulation-and-coding schemes: the tables of NR and the names."""

from __future__ import annotations

from fractions import Fraction

import pytest

from semlink.baselines.mcs import MCS, MCS_TABLE, NR_SCHEMES, NR_TABLE_1, NR_TABLE_2, NR_TABLE_4, parse_mcs

# The spectral efficiency column of TS 38.214, which is Qm·R to four places: an independent print of the same rows.
EFFICIENCY_1 = (
    "0.2344 0.3066 0.3770 0.4902 0.6016 0.7402 0.8770 1.0273 1.1758 1.3262 1.3281 1.4766 1.6953 1.9141 2.1602 2.4063 "
    "2.5703 2.5664 2.7305 3.0293 3.3223 3.6094 3.9023 4.2129 4.5234 4.8164 5.1152 5.3320 5.5547"
)
EFFICIENCY_2 = (
    "0.2344 0.3770 0.6016 0.8770 1.1758 1.4766 1.6953 1.9141 2.1602 2.4063 2.5703 2.7305 3.0293 3.3223 3.6094 3.9023 "
    "4.2129 4.5234 4.8164 5.1152 5.3320 5.5547 5.8906 6.2266 6.5703 6.9141 7.1602 7.4063"
)
EFFICIENCY_4 = (
    "0.2344 0.3770 0.8770 1.4766 1.9141 2.4063 2.7305 3.0293 3.3223 3.6094 3.9023 4.2129 4.5234 4.8164 5.1152 5.3320 "
    "5.5547 5.8906 6.2266 6.5703 6.9141 7.1602 7.4063 7.8662 8.3301 8.7939 9.2578"
)


@pytest.mark.parametrize(
    ("table", "efficiency"), [(NR_TABLE_1, EFFICIENCY_1), (NR_TABLE_2, EFFICIENCY_2), (NR_TABLE_4, EFFICIENCY_4)]
)
def test_rows_have_the_efficiency_that_the_standard_prints(table: tuple[MCS, ...], efficiency: str) -> None:
    printed = [float(value) for value in efficiency.split()]
    assert [row.efficiency for row in table] == pytest.approx(printed, abs=6e-5)


def test_schemes_are_all_tables_once_in_order_of_efficiency() -> None:
    assert {*NR_SCHEMES} == {*NR_TABLE_1, *NR_TABLE_2, *NR_TABLE_4}
    assert len(NR_SCHEMES) == len(set(NR_SCHEMES)) == 41
    assert [mcs.efficiency for mcs in NR_SCHEMES] == sorted(mcs.efficiency for mcs in NR_SCHEMES)


def test_names_lead_back() -> None:
    for mcs in (*NR_SCHEMES, *MCS_TABLE.values()):
        assert parse_mcs(str(mcs)) == mcs
        assert parse_mcs(str(mcs).upper()) == mcs
    for i, mcs in enumerate(NR_TABLE_1):
        assert parse_mcs(f"nr1-{i}") == mcs
    for i, mcs in enumerate(NR_TABLE_2):
        assert parse_mcs(f"NR2-{i}") == mcs
    for i, mcs in enumerate(NR_TABLE_4):
        assert parse_mcs(f"nr4-{i}") == mcs
    assert str(parse_mcs("nr2-20")) == "256qam-682.5/1024"
    assert parse_mcs("16-QAM 1/2") == MCS(16, Fraction(1, 2))


@pytest.mark.parametrize(
    "name",
    ["nr1-29", "nr2-28", "nr3-0", "nr4-27", "nr1-", "nr113", "nr11-3", "nr-113", "16qam", "8psk-1/2", "", "16qam-7/8"],
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of: 4qam-1/2, .*nr1-0 … nr1-28; nr2-0 … nr2-27; nr4-0 … nr4-26"):
        parse_mcs(name)
