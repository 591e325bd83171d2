"""One network in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def test_two_processes_train_one_network(
    tmp_path: Path, equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool]
) -> None:
    """Both end with the same weights, and those are of a batch in two halves."""
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert equal(first["weights"], second["weights"])
    assert not torch.equal(first["batch"], second["batch"])
    assert len(first["batch"]) == 4
    mean = (first["alone"] + second["alone"]) / 2
    torch.testing.assert_close(first["together"], mean, rtol=1e-5, atol=1e-7)
    assert (tmp_path / "run" / "tiny.safetensors").is_file()


TWO_PROCESSES = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed as dist

from semlink.neural.training.data import Data, draw_batch
from semlink.neural.training.losses import batch_loss
from semlink.neural.training.recipe import Settings
from semlink.neural.training import loop as training

out = Path(sys.argv[1])
network = {"cell_symbols": 8, "widths": [4, 6]}
settings = Settings("tiny", network=network, steps=3, batch=8, groups=2, warmup=2, checkpoint_every=2)
small = torch.randint(0, 256, (50, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
data = Data(small, torch.empty(0, 3, 128, 128, dtype=torch.uint8), small[:0])
kept = {}
average = training.average_over_processes

def watched(gradients):
    flat = lambda: torch.cat([g.flatten() for g in gradients])
    kept.setdefault("alone", flat())
    average(gradients)
    kept.setdefault("together", flat())

draw = training.draw_batch
def drawn(*arguments, **options):
    batch = draw(*arguments, **options)
    if "run" in kept:  # what is drawn before is for the look at memory, and the same in both
        kept.setdefault("batch", batch)
    return batch

advance = training.Run.advance
def advanced(run, data):
    kept["run"] = run
    return advance(run, data)

training.average_over_processes, training.draw_batch, training.Run.advance = watched, drawn, advanced
training.train(settings, out / "run", data=data)
run = kept.pop("run")
torch.save(kept | {"weights": dict(run.model.state_dict())}, out / f"rank{run.rank}.pt")
"""
