"""A linear code for cells of photographs, and the places and powers of its symbols.

Cells of 16×16 pixels are taken apart into principal components of photographs, which are sent with the amplitudes of
Lee and Petersen ("Optimal Linear Coding for Vector Channels", IEEE Trans. Commun. 24(12), 1976, at high Es/N0), in
proportion to λ^(−1/4), and estimated with least squared error. The energies λ are those of a cell's level
(`semlink.neural.networks.photo_plan`); of the base, whose amplitudes must be known without a plan, those of all cells.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.networks.fixed_rate import as_pairs, as_symbols
from semlink.neural.networks.level_code import simplified
from semlink.neural.networks.photo_plan import BASE, CELL, LATENTS, LEVELS, MAX_SYMBOLS, UNKNOWN, Layout, Plan, choose
from semlink.phy.link import Received, channel_uses

PIXELS = 3 * CELL**2
NODES = tuple(1 / k for k in (48, 24, 16, 12, 8, 6))  # ratios at which the energies are known
FIRST = 2 * BASE  # coefficients of the base


class Amplitudes(nn.Module):
    """How loud coefficients of cells are sent, and what is made of what arrives; nothing of it is trained.

    Attributes:
        energies: log2 of the energy of each coefficient at each ratio of `NODES` by level, relative to the step of the
            plan; at an unknown level as it is.
        gains: log2 of the amplitudes of base and extra symbols as they should be on average.
    """

    def __init__(self) -> None:
        super().__init__()
        self.energies = _fixed(torch.zeros(len(NODES), LEVELS + 1, LATENTS))
        self.gains = _fixed(torch.zeros(len(NODES), 2))

    def amplitudes(
        self, plan: Plan, layout: Layout
    ) -> tuple[Float[Tensor, "b latents cells"], Float[Tensor, "b latents cells"]]:
        """The gain of each coefficient of each cell, and log2 of its energy."""
        energies = between(self.energies, layout)
        log_energy = energies[plan.levels].transpose(1, 2) + plan.numbers[:, 0, None, None]  # (b, latents, cells)
        base, extra = between(self.gains, layout)
        common = (base - energies[UNKNOWN, :FIRST] / 4)[:, None].expand(len(log_energy), -1, layout.cells)
        return torch.cat([common, extra - log_energy[:, FIRST:] / 4], dim=1).exp2(), log_energy

    def frame(
        self, sent: Float[Tensor, "b n 2"], plan: Plan, layout: Layout, *, budget: float | None = None
    ) -> Complex[Tensor, "b n"]:
        """Base, side and extra, which together have unit mean energy; the plan is given their scales.

        With a `budget` base and extra have so much energy, and the side as always one for each symbol.
        """
        base, extra = sent[:, : layout.base], sent[:, layout.base :]
        energy, more = (part.square().sum(dim=(1, 2)).clamp_min(1e-9) for part in (base, extra))
        budget = layout.n - layout.side if budget is None else budget
        if layout.bits:
            wanted = self._base_share(plan, layout) * budget / energy.detach()
            plan.base = ((2 * wanted.log2()).round() / 4).clamp(-2, 1.75)
        scale = (budget / energy).sqrt()
        scale = torch.minimum(plan.base.exp2(), 0.95 * scale) if layout.extra else scale
        extra_scale = ((budget - energy * scale.square()).clamp_min(0) / more).sqrt()
        plan.numbers[:, 1] = extra_scale.detach().log2().clamp(-30, 30)
        told = [plan.send(layout).to(sent.device)] if layout.bits else []
        scaled = [as_symbols(part * by[:, None, None]) for part, by in ((base, scale), (extra, extra_scale))]
        return torch.cat([scaled[0], *told, scaled[1]], dim=1)

    def _base_share(self, plan: Plan, layout: Layout) -> Float[Tensor, " b"]:
        """The share of an image's energy that its base is worth: amplitudes of coefficients as a share of all sent."""
        _, log_energy = self.amplitudes(plan, layout)
        amplitudes = gather(log_energy.div(2).exp2(), layout.places(plan.levels)).sum(dim=2)
        return amplitudes[:, : layout.base].sum(dim=1) / amplitudes.sum(dim=1)

    def estimate(
        self, received: Received, plan: Plan, layout: Layout
    ) -> tuple[Float[Tensor, "b latents cells"], Float[Tensor, "b seen cells"]]:
        """The coefficients by least squared error; and the same of unit energy, with the Wiener factor of each symbol.

        Without a plan the extra symbols are left out, for they might be those of any cell.
        """
        gain, log_energy = self.amplitudes(plan, layout)
        scale = torch.stack([plan.base, plan.numbers[:, 1]], dim=1).exp2()[:, :, None]
        gain = torch.cat([gain[:, :FIRST] * scale[:, :1], gain[:, FIRST:] * scale[:, 1:]], dim=1)
        pairs = layout.without_side(as_pairs(received.symbols))
        noise = layout.without_side(received.n0)[:, :, None] / 2
        amplitude = log_energy.div(2).exp2()
        places = layout.places(plan.levels)
        power = gather((gain * amplitude).square(), places)
        weight = power / (power + noise)
        if layout.bits:
            first = torch.arange(weight.shape[1], device=weight.device) < layout.base
            weight = weight * (plan.known[:, None] | first)[:, :, None]
        unit = scatter(pairs * weight * power.clamp_min(1e-12).rsqrt(), places, layout)
        return unit * amplitude, torch.cat([unit, scatter(weight, places, layout)[:, ::2]], dim=1)

    def fit_energies(
        self, coefficients: Float[Tensor, "b latents cells"], levels: Int[Tensor, "b cells"], step: Tensor, node: int
    ) -> None:
        """The energies at a node of coefficients of cells whose levels and step were chosen."""
        energy = coefficients.square().transpose(1, 2)  # (b, cells, latents)
        self.energies[node, UNKNOWN] = energy.mean(dim=(0, 1)).clamp_min(1e-9).log2()
        relative = alike = energy.mul((-step.float()).exp2()[:, None, None])
        for level in range(LEVELS):
            alike = relative[levels == level] if bool((levels == level).any()) else alike  # of the level below
            self.energies[node, level] = alike.reshape(-1, LATENTS).mean(dim=0).clamp_min(1e-6).log2()

    def fit_gains(self, coefficients: Tensor, plan: Plan, layout: Layout, node: int) -> None:
        """Unit energy on average, divided between base and extra as if the base knew the levels."""
        self.gains[node] = 0
        gain, log_energy = self.amplitudes(plan, layout)
        best = coefficients * log_energy.div(-4).exp2()
        sent = gather(best, layout.places(plan.levels)).square().sum(dim=(1, 2))
        scale = (layout.n - layout.side) / sent
        wanted, common = ((x[:, :FIRST]).square().sum(dim=(1, 2)) for x in (best, coefficients * gain))
        self.gains[node] = torch.stack([(wanted * scale).mean() / common.mean(), scale.mean()]).log2() / 2


class LinearCode(Amplitudes):
    """Principal components of cells of photographs, with what `fit` takes from those.

    Attributes:
        basis: of the transform.
        mean: of the cells.
    """

    def __init__(self) -> None:
        super().__init__()
        self.basis = _fixed(torch.eye(LATENTS, PIXELS))
        self.mean = _fixed(torch.zeros(PIXELS))

    @property
    def blank(self) -> bool:
        """Whether nothing was taken from photographs yet."""
        return bool((self.basis == torch.eye(LATENTS, PIXELS, device=self.basis.device)).all())

    def analyse(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b latents cells"]:
        """Coefficients of cells of pixels in −1 … 1."""
        pixels = F.pixel_unshuffle(image, CELL).flatten(2)
        return torch.einsum("kp,bpc->bkc", self.basis, pixels - self.mean[:, None])

    def synthesise(
        self, coefficients: Float[Tensor, "b latents cells"], rows: int, columns: int
    ) -> Float[Tensor, "b 3 h w"]:
        """Pixels of cells of coefficients."""
        pixels = torch.einsum("kp,bkc->bpc", self.basis, coefficients) + self.mean[:, None]
        return F.pixel_shuffle(pixels.reshape(len(pixels), PIXELS, rows, columns), CELL)

    def plan(self, coefficients: Tensor, layout: Layout) -> Plan:
        """The plan of images, without scales."""
        plan = Plan.unknown(len(coefficients), layout.cells, coefficients.device)
        if layout.bits:
            levels, plan.numbers[:, 0] = choose(coefficients.detach().double(), layout.n / layout.cells)
            plan.levels = levels.new_tensor([simplified(row, layout.columns) for row in levels.tolist()])
        return plan

    @torch.no_grad()
    def fit(self, images: Float[Tensor, "b 3 h w"]) -> None:
        """Take the transform and the energies of coefficients from photographs, as training does before it begins."""
        images, (h, w) = images * 2 - 1, images.shape[-2:]
        pixels = F.pixel_unshuffle(images, CELL).flatten(2)
        self.mean.copy_(pixels.mean(dim=(0, 2)))
        centred = (pixels - self.mean[:, None]).transpose(1, 2).flatten(0, 1)
        _, vectors = torch.linalg.eigh((centred.T @ centred / len(centred)).double())
        basis = vectors.flip(1)[:, :LATENTS].T
        self.basis.copy_(basis * basis.gather(1, basis.abs().argmax(dim=1, keepdim=True)).sign())
        coefficients = self.analyse(images)
        for node, ratio in enumerate(NODES):
            layout = Layout(h, w, channel_uses((3, h, w), ratio))
            levels, step = choose(coefficients.double(), layout.n / layout.cells)
            self.fit_energies(coefficients, levels, step, node)
            plan = Plan(levels, torch.stack([step.float(), 0 * step], dim=1), 0 * step)
            self.fit_gains(coefficients, plan, layout, node)


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def gather(latents: Float[Tensor, "b latents cells"], places: Int[Tensor, "b n"]) -> Float[Tensor, "b n 2"]:
    """The pairs of latents at places of (symbol, cell)."""
    b, _, count = latents.shape
    pairs = latents.reshape(b, MAX_SYMBOLS, 2, count).transpose(2, 3).flatten(1, 2)  # (b, symbols · cells, 2)
    return pairs.gather(1, places[:, :, None].expand(-1, -1, 2))


def scatter(
    pairs: Float[Tensor, "b n 2"], places: Int[Tensor, "b n"], layout: Layout
) -> Float[Tensor, "b latents cells"]:
    """What `gather` took, in its places; 0 elsewhere."""
    grid = pairs.new_zeros(len(pairs), MAX_SYMBOLS * layout.cells, 2)
    grid = grid.scatter(1, places[:, :, None].expand(-1, -1, 2), pairs)
    return grid.reshape(len(pairs), MAX_SYMBOLS, layout.cells, 2).transpose(2, 3).flatten(1, 2)


def between(table: Float[Tensor, " nodes ..."], layout: Layout) -> Tensor:
    """A table over `NODES` at the ratio of a layout: linear in octaves."""
    ratio = math.log2(min(max(layout.n / (3 * layout.h * layout.w), NODES[0]), NODES[-1]))
    places = [math.log2(node) for node in NODES]
    upper = next((i for i, place in enumerate(places) if place >= ratio and i), len(NODES) - 1)
    share = (ratio - places[upper - 1]) / (places[upper] - places[upper - 1])
    return torch.lerp(table[upper - 1], table[upper], share)
