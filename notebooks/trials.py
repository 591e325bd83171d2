"""The trials behind the choice of network for `swin`: which one learns most in equal time on one core.

    python notebooks/trials.py NAME SECONDS    one row of the table in neural/recipes/README.md, in seconds of CPU time
    python notebooks/trials.py speed           images/s, forward and back, of all
    python notebooks/trials.py operators       GFLOP/s of single layers in float32 and bf16

Networks of a trial, not codecs: 32×32 images, AWGN, ratio 1/6. They begin from the same linear path, the principal
components of CIFAR-10's own 4×4 blocks, and Swin blocks see the whole 8×8 grid or, at 16×16, windows of 4.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.networks import DeepJSCC
from semlink.neural.training import Muon
from semlink.phy.link import Received, normalise_power
from semlink.phy.sources import cifar10_bytes

SYMBOLS = 8  # of a 4×4 block: ratio 1/6
KEPT = 1000  # images kept from training
BATCH = 64


class Film(nn.Module):
    """Scale and shift by the condition and, if asked, by the means of features."""

    def __init__(self, width: int, means_of: int) -> None:
        super().__init__()
        self.means_of = means_of
        self.hidden, self.out = nn.Linear(3 + means_of, 32), nn.Linear(32, 2 * width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, condition: Tensor, x: Tensor) -> Tensor:
        if self.means_of:
            condition = torch.cat([condition, x.mean((2, 3))], 1)
        scale, shift = self.out(F.gelu(self.hidden(condition)))[:, :, None, None].chunk(2, 1)
        return h * (1 + scale) + shift


class Convolutions(nn.Module):
    """Two dense 3×3 convolutions."""

    def __init__(self, d: int, *, means: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(d, d, 3, padding=1), nn.Conv2d(d, d, 3, padding=1)
        self.film = Film(d, d if means else 0)
        nn.init.normal_(self.first.weight, std=math.sqrt(2 / (9 * d)))
        nn.init.normal_(self.second.weight, std=0.2 * math.sqrt(1 / (9 * d)))
        for conv in (self.first, self.second):
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x + self.second(F.gelu(self.film(self.first(x), condition, x)))


class ConvNeXt(nn.Module):
    """5×5 depthwise, normalisation, an MLP of three times the width."""

    def __init__(self, d: int, *, means: bool) -> None:
        super().__init__()
        self.spatial, self.norm = nn.Conv2d(d, d, 5, padding=2, groups=d), nn.GroupNorm(1, d)
        self.expand, self.contract = nn.Conv2d(d, 3 * d, 1), nn.Conv2d(3 * d, d, 1)
        self.film = Film(3 * d, d if means else 0)
        nn.init.normal_(self.contract.weight, std=0.2 * math.sqrt(1 / (3 * d)))
        nn.init.zeros_(self.contract.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x + self.contract(F.gelu(self.film(self.expand(self.norm(self.spatial(x))), condition, x)))


class Swin(nn.Module):
    """Attention in windows, with a bias for relative positions, and an MLP of twice the width; four heads."""

    def __init__(self, d: int, *, means: bool, window: int = 8, shift: int = 0) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norms = nn.ModuleList([nn.LayerNorm(d), nn.LayerNorm(d)])
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.expand, self.contract = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.film = Film(2 * d, d if means else 0)
        self.bias = nn.Parameter(torch.zeros(4, (2 * window - 1) ** 2))
        apart = torch.arange(window)[:, None] - torch.arange(window) + window - 1
        offsets = apart[:, None, :, None] * (2 * window - 1) + apart[None, :, None, :]
        self.register_buffer("offsets", offsets.reshape(window**2, window**2))
        for linear in (self.out, self.contract):
            nn.init.normal_(linear.weight, std=0.2 / math.sqrt(linear.in_features))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        tokens = tokens + self.attend(self.norms[0](tokens))
        h = self.expand(self.norms[1](tokens)).permute(0, 3, 1, 2)
        h = F.gelu(self.film(h, condition, x)).permute(0, 2, 3, 1)
        return (tokens + self.contract(h)).permute(0, 3, 1, 2)

    def attend(self, u: Tensor) -> Tensor:
        (b, h, w, d), k = u.shape, self.window
        u = u.roll((-self.shift, -self.shift), (1, 2)).reshape(b, h // k, k, w // k, k, d)
        u = u.transpose(2, 3).reshape(-1, k * k, d)
        query, key, value = self.qkv(u).reshape(-1, k * k, 3, 4, d // 4).permute(2, 0, 3, 1, 4)
        u = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias[:, self.offsets][None])
        u = self.out(u.transpose(1, 2).reshape(-1, k * k, d)).reshape(b, h // k, w // k, k, k, d)
        return u.transpose(2, 3).reshape(b, h, w, d).roll((self.shift, self.shift), (1, 2))


BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "c": Convolutions,
    "n": ConvNeXt,
    "s": Swin,
    "4": lambda d, *, means: Swin(d, means=means, window=4),
    "5": lambda d, *, means: Swin(d, means=means, window=4, shift=2),
}


class Net(nn.Module):
    """Blocks at 16×16 (none where `fine` is 0) and at 8×8, each a letter of `BLOCKS`, and the linear path."""

    def __init__(self, fine: int, fine_blocks: str, coarse: int, coarse_blocks: str, *, means: bool = True) -> None:
        super().__init__()

        def stack(width: int, letters: str) -> nn.ModuleList:
            return nn.ModuleList([BLOCKS[letter](width, means=means) for letter in letters])

        self.fine = fine
        if fine:
            self.stem, self.down = nn.Conv2d(12, fine, 3, padding=1), nn.Conv2d(fine, coarse, 2, stride=2)
            self.up, self.out = nn.Conv2d(coarse, 4 * fine, 1), nn.Conv2d(fine, 12, 3, padding=1)
        else:
            self.down, self.out = nn.Conv2d(48, coarse, 3, padding=1), nn.Conv2d(coarse, 48, 3, padding=1)
        self.fine_in, self.coarse_in = stack(fine, fine_blocks), stack(coarse, coarse_blocks)
        self.head = nn.Conv2d(coarse, 2 * SYMBOLS, 3, padding=1)
        self.tail = nn.Conv2d(3 * SYMBOLS, coarse, 3, padding=1)
        self.coarse_out, self.fine_out = stack(coarse, coarse_blocks), stack(fine, fine_blocks)
        self.analysis = nn.Conv2d(48, 2 * SYMBOLS, 1, bias=False)
        self.synthesis, self.gain = nn.Conv2d(3 * SYMBOLS, 48, 1), nn.Linear(3, 2 * SYMBOLS)
        with torch.no_grad():
            self._begin()

    def _begin(self) -> None:
        """The linear path: principal components, amplitudes in proportion to λ^(−1/4). It leads at first."""
        blocks = F.pixel_unshuffle(cifar10_bytes("train")[:4000].float() / 127.5 - 1, 4)
        blocks = blocks.permute(0, 2, 3, 1).reshape(-1, 48)
        basis = torch.linalg.eigh(blocks.T @ blocks).eigenvectors.flip(1)[:, : 2 * SYMBOLS]
        amplitude = (blocks @ basis).std(0) ** -0.5
        energy = (blocks @ (basis * amplitude)).square().sum(1).mean() / SYMBOLS
        self.analysis.weight.copy_((basis * amplitude).T[:, :, None, None])
        nn.init.zeros_(self.synthesis.weight)
        self.synthesis.weight[:, : 2 * SYMBOLS] = (basis / amplitude * energy.sqrt())[:, :, None, None]
        for tensor in (self.synthesis.bias, self.gain.weight, self.gain.bias):
            nn.init.zeros_(tensor)
        self.head.weight *= 0.1
        self.out.weight *= 0.1

    def symbols(self, image: Tensor, n0: Tensor) -> Tensor:
        condition, pixels = _condition(n0[:, None]), image * 2 - 1
        x = F.pixel_unshuffle(pixels, 2 if self.fine else 4)
        if self.fine:
            x = self.stem(x)
            for block in self.fine_in:
                x = block(x, condition)
        x = self.down(x)
        for block in self.coarse_in:
            x = block(x, condition)
        linear = self.analysis(F.pixel_unshuffle(pixels, 4)) * torch.exp(self.gain(condition))[:, :, None, None]
        real, imag = (self.head(x) + linear).flatten(2).chunk(2, 1)
        return normalise_power(torch.complex(real, imag).flatten(1))

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Tensor:
        weight, side = 1 / (1 + received.n0), shape[1] // 4
        seen = torch.stack([received.symbols.real * weight, received.symbols.imag * weight, weight], 1)
        seen, condition = seen.reshape(-1, 3 * SYMBOLS, side, side), _condition(received.n0)
        x = self.tail(seen)
        for block in self.coarse_out:
            x = block(x, condition)
        if self.fine:
            x = F.pixel_shuffle(self.up(x), 2)
            for block in self.fine_out:
                x = block(x, condition)
        x = F.pixel_shuffle(self.out(x), 2 if self.fine else 4)
        return (x + F.pixel_shuffle(self.synthesis(seen), 4)) * 0.5 + 0.5


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "deepjscc": lambda: DeepJSCC(SYMBOLS, (32, 64)),
    "conv8": lambda: Net(0, "", 128, "ccc"),
    "conv16": lambda: Net(48, "cc", 96, "ccc"),
    "none16": lambda: Net(48, "cc", 96, "ccc", means=False),
    "swin8": lambda: Net(0, "", 128, "sss"),
    "noneswin": lambda: Net(0, "", 128, "sss", means=False),
    "hyb": lambda: Net(48, "c", 128, "ss"),
    "convnext": lambda: Net(48, "nn", 128, "nnnn"),
    "swin16": lambda: Net(64, "45", 128, "45"),
}


def trial(name: str, seconds: float) -> None:
    """Train for so many seconds of CPU time; print steps, images/s and PSNR at 0, 5, 10, 15 and 20 dB."""
    torch.manual_seed(0)
    net, images = NETWORKS[name](), cifar10_bytes("train")
    left, rng, start, step, used = images[:-KEPT], torch.Generator().manual_seed(0), time.process_time(), 0, 0.0
    optimisers = _optimisers(net)
    while used < 1:
        image = left[torch.randint(len(left), (BATCH,), generator=rng)].float() / 255
        image = image.flip(3) if torch.rand((), generator=rng) < 0.5 else image
        esno_db = torch.rand(BATCH, generator=rng) * 22 - 1
        error = (_through(net, image, 10 ** (-esno_db / 10), rng) - image).square().flatten(1).mean(1)
        net.zero_grad()
        (error * 10 ** (2.2 + 0.065 * esno_db)).mean().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimiser in optimisers:
            share = min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * used))
            optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * share
            optimiser.step()
        step, used = step + 1, (time.process_time() - start) / seconds
    rate = f"{step * BATCH / seconds:.0f} images/s"
    print(name, f"{_size(net):,} parameters", step, rate, *_psnr_db(net, images[-KEPT:]))


def _optimisers(net: nn.Module) -> list[torch.optim.Optimizer]:
    named = [(name, p) for name, p in net.named_parameters() if p.ndim >= 2 and p.numel() > 1000]
    hidden = [p for name, p in named if "gain" not in name and "synthesis" not in name]
    rest = [p for p in net.parameters() if all(p is not other for other in hidden)]
    return [Muon(hidden, lr=4e-3), torch.optim.Adam(rest, lr=1e-3)]


def _through(net: nn.Module, image: Tensor, n0: Tensor, rng: torch.Generator) -> Tensor:
    sent = net.symbols(image, n0)
    variance = n0[:, None].expand(sent.shape)
    noise = torch.view_as_complex(torch.randn(*sent.shape, 2, generator=rng)) * (variance / 2).sqrt()
    return net.reconstruct(Received(sent + noise, variance), (3, 32, 32))


def _psnr_db(net: nn.Module, images: Tensor) -> list[str]:
    values = []
    for esno_db in (0, 5, 10, 15, 20):
        rng, total = torch.Generator().manual_seed(1), 0.0
        for part in images.float().split(250):
            with torch.no_grad():
                got = _through(net, part / 255, torch.full((len(part),), 10 ** (-esno_db / 10)), rng)
            total += (got.clamp(0, 1).mul(255).round() - part).square().flatten(1).mean(1).sum().item()
        values.append(f"{10 * math.log10(255**2 / (total / len(images))):.2f}")
    return values


def _size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _condition(n0: Tensor) -> Tensor:
    level = -torch.log10(n0.clamp(1e-3, 1e2)).mean(1, keepdim=True)
    return torch.cat([level - 1, (level - 1) ** 2, torch.ones_like(level)], 1)


def speed() -> None:
    """Images/s of each network, forward and back."""
    for name, make in NETWORKS.items():
        net, image, n0 = make(), torch.rand(BATCH, 3, 32, 32), torch.full((BATCH,), 0.1)

        def step(net: nn.Module = net, image: Tensor = image, n0: Tensor = n0) -> None:
            (_through(net, image, n0, torch.Generator()) - image).square().mean().backward()

        print(name, f"{_size(net):,} parameters, {BATCH / _seconds(step, 3):.0f} images/s")


def operators() -> None:
    """GFLOP/s of single layers, forward and back, on batches of 64 at 8×8."""
    linear, dense = nn.Linear(128, 512), nn.Conv2d(128, 128, 3, padding=1)
    narrow, depthwise = nn.Linear(192, 384), nn.Conv2d(128, 128, 7, padding=3, groups=128)
    tokens, grid, heads = torch.rand(4096, 128), torch.rand(BATCH, 128, 8, 8), torch.rand(BATCH, 4, 64, 32)
    wide = torch.rand(4096, 192)
    layers: dict[str, tuple[Callable[[Tensor], Tensor], Tensor, int]] = {
        "linear 128 to 512": (linear, tokens, 6 * 4096 * 128 * 512),
        "linear 192 to 384": (narrow, wide, 6 * 4096 * 192 * 384),
        "3x3 convolution of 128": (dense, grid, 6 * 4096 * 9 * 128**2),
        "the same, channels last": (dense, grid.to(memory_format=torch.channels_last), 6 * 4096 * 9 * 128**2),
        "7x7 depthwise of 128": (depthwise, grid, 6 * 4096 * 49 * 128),
        "attention, 4 heads": (lambda x: F.scaled_dot_product_attention(x, x, x), heads, 12 * BATCH * 4 * 64 * 64 * 32),
    }
    for name, (layer, x, flops) in layers.items():
        for bf16 in (False, True):
            x = x.detach().requires_grad_()

            def step(layer: Callable[[Tensor], Tensor] = layer, x: Tensor = x, bf16: bool = bf16) -> None:
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    y = layer(x)
                y.float().sum().backward()

            print(name, "bf16" if bf16 else "float32", f"{flops / _seconds(step, 8) / 1e9:.0f} GFLOP/s")


def _seconds(step: Callable[[], None], count: int) -> float:
    step()
    start = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - start) / count


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] in (["speed"], ["operators"]):
        {"speed": speed, "operators": operators}[sys.argv[1]]()
    elif len(sys.argv) == 3 and sys.argv[1] in NETWORKS:
        trial(sys.argv[1], float(sys.argv[2]))
    else:
        sys.exit(f"{__doc__}\nNAME: {', '.join(NETWORKS)}")
