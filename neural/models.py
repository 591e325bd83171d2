"""The networks by name: what a recipe and a card call them, and what training asks of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Complex, Float
from torch import Tensor, nn

from semlink.neural.networks import ADJSCC, ConvSwin, DeepJSCC, HybridPhoto, PlainDeepJSCC, SwinGSC, SwinPhoto
from semlink.phy.link import Decoded, Frame, Received
from semlink.phy.named import FORM, import_named

MODELS: dict[str, type[nn.Module]] = {
    "deepjscc": DeepJSCC,
    "swin": ConvSwin,
    "swin-gsc": SwinGSC,
    "swin-photo": SwinPhoto,
    "hybrid": HybridPhoto,
    "adjscc": ADJSCC,
    "deepjscc-plain": PlainDeepJSCC,
}


@runtime_checkable
class Network(Protocol):
    """A codec that can be trained: differentiable both ways, and a `torch.nn.Module`."""

    ratio: float

    def symbols(self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"]) -> Complex[Tensor, "b n"]:
        """What `encode` sends, with an average noise variance for each image."""
        ...

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows; `received` without bias."""
        ...

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """As a `Codec`."""
        ...

    def decode(self, received: Received) -> Decoded:
        """As a `Codec`."""
        ...

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train; Adam trains the rest."""
        ...


@runtime_checkable
class RateAdaptive(Protocol):
    """A network with one set of weights for any ratio in a range, which it may be asked for by `ratio=`."""

    ratio: float
    min_ratio: float
    max_ratio: float


@runtime_checkable
class Fitted(Protocol):
    """A network that takes something from images before its training begins, such as their principal components."""

    def fit(self, images: Float[Tensor, "b 3 h w"]) -> None:
        """Take it."""
        ...


OWN = frozenset(MODELS)
"""The names of this package's networks."""


def register(name: str, network: type[nn.Module]) -> None:
    """Let recipes, cards and `build` know a class of one's own, which meets `Network`; a later one takes its place.

    Raises:
        ValueError: the name of one of this package's networks.
    """
    if name in OWN:
        raise ValueError(f"name={name!r} must be none of: {', '.join(sorted(OWN))}")
    MODELS[name] = network


def build(model: str, network: Mapping[str, Any]) -> nn.Module:
    """The network `model` with random weights and the arguments `network`; lists count as tuples.

    MODULE:NAME is a class of one's own that meets `Network`; its module is imported, the working folder's included.

    Raises:
        ValueError: an unknown model, one that is no network, or an argument that it lacks or cannot take.
    """
    if isinstance(model, str) and model not in MODELS and (form := FORM.fullmatch(model)):
        made = build_of({model: _own(model, *form.groups())}, model, network)
        _check_own(model, made)
        return made
    return build_of(MODELS, model, network, more=("MODULE:NAME of a class of one's own",))


def _own(model: str, module: str, name: str) -> type[nn.Module]:
    found = import_named(module, name, said=f"model={model!r}")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"model={model!r} must be a class of torch.nn.Module; it is {_kind(found)}")
    return found


def _check_own(model: str, made: nn.Module) -> None:
    """Refuse what does not meet `Network`, whose methods `semlink.neural.networks.FixedRate` has."""
    needed = ("symbols", "reconstruct", "encode", "decode", "hidden_weights")
    if missing := [name for name in needed if not callable(getattr(made, name, None))]:
        raise ValueError(f"model={model!r} is no network: it lacks {', '.join(missing)}")
    ratio = getattr(made, "ratio", None)
    if not isinstance(ratio, float) or not 0 < ratio <= 1:  # as on a card
        raise ValueError(f"model={model!r}: ratio={ratio!r} must be a float above 0, at most 1")


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"


def build_of(
    known: Mapping[str, Callable[..., nn.Module]],
    model: str,
    network: Mapping[str, Any],
    *,
    more: tuple[str, ...] = (),
) -> nn.Module:
    """`build` from what is `known` by name; `more` is what an error says that there is beside it.

    Raises:
        ValueError: as `build`.
    """
    if not isinstance(model, str) or model not in known:
        raise ValueError(f"model={model!r} must be one of: {', '.join([*known, *more])}")
    parameters = inspect.signature(known[model]).parameters
    allowed = {name: one for name, one in parameters.items() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    if unknown := set(network) - set(allowed):
        raise ValueError(f"network: {', '.join(sorted(unknown))} must be, for {model}, among: {', '.join(allowed)}")
    needed = {name for name, parameter in allowed.items() if parameter.default is inspect.Parameter.empty}
    if missing := needed - set(network):
        raise ValueError(f"network: lacks {', '.join(sorted(missing))}, which {model} needs")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in network.items()}
    try:
        return known[model](**given)
    except Exception as error:  # of PyTorch's and of a network's own, whatever the arguments bring about
        raise ValueError(f"network={dict(network)}: {model} cannot be built of it ({error})") from error


def parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters())
