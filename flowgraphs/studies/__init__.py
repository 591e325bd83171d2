"""Studies: grids of transmissions that stop and resume, on one machine or several."""
