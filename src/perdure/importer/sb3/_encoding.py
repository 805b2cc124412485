"""Features extractors: what stands before the networks of a model, as the parts of a `Body`.

Source: stable_baselines3/common/torch_layers.py (FlattenExtractor, NatureCNN, CombinedExtractor) and preprocessing.py of
SB3 2.9. NatureCNN is the network of Mnih et al. 2015, doi:10.1038/nature14236, and the default of `perdure.network.CNN`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from perdure._core import FileFormatError, make
from perdure.network import CNN, MLP, AbstractCell, ChannelsFirst
from perdure.policy import Architecture, Body, Convolutions, FixedNormalizer, NormalizedImage
from perdure.space import AbstractSpace, Box

from .._layers import channels_last, convolution
from .._normalizer import UNBOUNDED, fixed_normalizer
from .._tensors import Layer
from .._values import mapping_of
from ._layout import Part, in_our_order, normalizer_of, parts_of, space_of
from ._source import Source

_LAYERS = "stable_baselines3.common.torch_layers."
FLATTEN, NATURE, COMBINED = (f"{_LAYERS}{name}" for name in ("FlattenExtractor", "NatureCNN", "CombinedExtractor"))
_NATURE = Convolutions()


class Encoding(NamedTuple):
    """Everything of a body but trunk and memory, and how the columns of the layer after it are to be rearranged."""

    observation_space: AbstractSpace  # ours
    normalizer: FixedNormalizer | None
    convolutions: Convolutions | None
    cnns: tuple[eqx.Module, ...]
    custom: eqx.Module | None  # the caller's own module in place of a trunk, or None
    columns: np.ndarray  # for each of our features its place among the file's; -1 for one that the file does not have
    factors: np.ndarray  # what the weights of each of our features are multiplied with

    def after(self, layer: Layer) -> Layer:
        """A layer on the file's features as one on ours.

        Raises: FileFormatError if it takes another number of features.
        """
        wanted = int((self.columns >= 0).sum())
        if layer.weight.shape[1] != wanted:
            raise FileFormatError(
                f"policy.pth: a first layer takes {layer.weight.shape[1]} features, but {self.observation_space} has {wanted}."
            )
        return Layer(np.where(self.columns >= 0, layer.weight[:, self.columns] * self.factors, 0), layer.bias)

    def rows(self, matrix: np.ndarray) -> np.ndarray:
        """A matrix with a row for each of the file's features as one with a row for each of ours."""
        return matrix[self.columns]

    def normalized(self, mean: np.ndarray, deviation: np.ndarray) -> "Encoding":
        """With statistics of the file's features, which all are flat numbers, before everything else."""
        columns, factors = self.columns, self.factors
        limit = np.full(len(columns), UNBOUNDED)
        normalizer = fixed_normalizer(mean[columns] / factors, deviation[columns] / factors, limit)
        return self._replace(normalizer=normalizer, factors=np.ones_like(factors))

    def body(
        self, *, architecture: Mapping[str, Any], trunk: MLP | None = None, cell: AbstractCell | None = None
    ) -> Body:
        """Raises: FileFormatError for shared layers behind an extractor of the caller's."""
        if trunk is not None and self.custom is not None:
            raise FileFormatError(
                "policy.pth: mlp_extractor.shared_net behind an extractor of your own is not read. Let custom= give a module "
                "that holds both."
            )
        normalized = self.normalizer is not None
        settings = {"convolutions": self.convolutions, "normalize_observation": normalized, **architecture}
        return make(
            Body,
            {
                "observation_space": self.observation_space,
                "architecture": Architecture(**settings),
                "normalizer": self.normalizer,
                "cnns": self.cnns,
                "trunk": self.custom if trunk is None else trunk,
                "cell": cell,
            },
        )


def _nature_cnn(source: Source, part: Part, prefix: str) -> CNN | ChannelsFirst:
    """The network below `prefix`.

    Raises: FileFormatError if its layers are not those of NatureCNN.
    """
    tensors = source.tensors
    if not (isinstance(part.saved, Box) and len(part.saved.shape) == 3):
        raise FileFormatError(f"policy.pth has convolutions at {prefix!r}, but the observation there is {part.saved}.")
    depth, height, width = part.saved.shape
    convs = []
    for i, (out, kernel, stride) in enumerate(zip(_NATURE.channels, _NATURE.kernels, _NATURE.strides, strict=True)):
        convs.append(convolution(tensors, f"{prefix}cnn.{2 * i}", (out, depth, kernel, kernel), stride))
        height, width, depth = (height - kernel) // stride + 1, (width - kernel) // stride + 1, out
    dense = tensors.layer(f"{prefix}linear.0")
    if dense.weight.shape[1] != depth * height * width:
        raise FileFormatError(
            f"policy.pth: {prefix}linear.0 takes {dense.weight.shape[1]} features, but its convolutions give "
            f"{depth} x {height} x {width} from an image of {part.saved}."
        )
    dense = channels_last(dense, depth, height, width)
    network = make(CNN, {"convs": tuple(convs), "dense": dense.linear(), "activation": jax.nn.relu})
    return network if part.is_transposed else ChannelsFirst(network)


def _image_encoder(source: Source, part: Part, prefix: str, scaled: bool) -> CNN | ChannelsFirst | NormalizedImage:
    """NatureCNN, and before it the statistics of its image if there are any."""
    network = _nature_cnn(source, part, prefix)
    if source.normalization is None or part.name not in source.normalization.statistics:
        return network
    normalizer = normalizer_of(source.normalization, [part], 255.0 if scaled else 1.0)
    assert normalizer is not None
    return NormalizedImage(normalizer, network)


def _are_scaled(source: Source, flat: list[Part], convolved: list[Part]) -> bool:
    """True if the pixels are divided by 255 before the convolutions, as SB3 does with all that look like pixels.

    Raises: FileFormatError for what is no pixel and of three dimensions beside them.
    """
    kinds = {part.is_image for part in convolved}
    wanted = source.settings.get("normalize_images", True) is not False
    scaled = wanted and kinds != {False}
    others = [part.name for part in flat if isinstance(part.space, Box) and len(part.space.shape) == 3]
    if (scaled and False in kinds) or (convolved and not scaled and others):
        names = ", ".join([part.name for part in convolved] + others)
        raise FileFormatError(
            f"of {names} some are images, or scaled ones, and some are not, which is not read. Map the extractor with custom=."
        )
    return scaled


def _custom(source: Source, parts: list[Part], prefix: str) -> Encoding:
    """With a module that the caller makes from the weights of an extractor class of their own.

    Raises: FileFormatError naming the class and how to map it, TypeError for a module without `out_size`.
    """
    path, function = source.extractor, source.custom.get(source.extractor)
    if not callable(function):
        raise FileFormatError(
            f"the features extractor {path[:120]!r} is not known. Known: FlattenExtractor, NatureCNN, CombinedExtractor. "
            f"Map it: custom={{{path[:120]!r}: function}}, where function(weights, observation_space, settings) gives a "
            "module that maps the flat observation, or one image scaled to [0, 1], to features, and has `out_size`."
        )
    space = space_of(parts, source.observation.is_dict)
    settings = mapping_of(source.settings.get("features_extractor_kwargs") or {})
    module = function(source.tensors.below(prefix), space, settings)
    size = getattr(module, "out_size", None)
    if not isinstance(size, int):
        raise TypeError(
            f"custom[{path!r}] gave a {type(module).__name__} without `out_size`, how many features it gives."
        )
    is_image = parts[0].is_image and not source.observation.is_dict
    if is_image and source.normalization is not None:
        raise FileFormatError("VecNormalize over an image before an extractor of your own is not read.")
    identity = np.arange(size)
    normalizer = None if is_image else normalizer_of(source.normalization, in_our_order(parts))
    convolutions = Convolutions(features=size) if is_image else None
    return Encoding(
        space,
        normalizer,
        convolutions,
        (module,) if is_image else (),
        None if is_image else module,
        identity,
        np.ones(size),
    )


def _convolved_prefixes(source: Source, parts: list[Part], prefix: str) -> dict[str, str]:
    """Where the tensors of each convolved part begin.

    Raises: FileFormatError if NatureCNN has none.
    """
    if source.extractor == NATURE:
        if not source.tensors.has(f"{prefix}cnn."):
            raise FileFormatError(f"policy.pth has no tensors of NatureCNN at {prefix!r}.")
        return {parts[0].name: prefix}
    every = {part.name: f"{prefix}extractors.{part.name}." for part in parts}
    return {name: begin for name, begin in every.items() if source.tensors.has(f"{begin}cnn.")}


def encode(source: Source, prefix: str) -> Encoding:
    """The features extractor whose tensors begin with `prefix`.

    Raises: FileFormatError for an unknown class, or tensors and observations that do not fit.
    """
    known = source.extractor in (FLATTEN, NATURE, COMBINED)
    convolve = source.extractor in (NATURE, COMBINED)
    parts = parts_of(source.observation, source.channels_first, convolve or not known)
    if not known:
        return _custom(source, parts, prefix)
    prefixes = _convolved_prefixes(source, parts, prefix) if convolve else {}
    ours = in_our_order(parts)
    flat, images = ([p for p in ours if (p.name in prefixes) == convolved] for convolved in (False, True))
    scaled = _are_scaled(source, flat, images)
    cnns = {part.name: _image_encoder(source, part, prefixes[part.name], scaled) for part in images}
    begins, at = {}, 0
    for part in parts:
        begins[part.name] = at
        if part.name not in source.unread:
            at += cnns[part.name].out_size if part.name in cnns else part.saved.flat_size
    columns = [np.full(len(p.order), -1) if p.name in source.unread else begins[p.name] + p.order for p in flat]
    columns += [begins[p.name] + np.arange(cnns[p.name].out_size) for p in images]
    unscaled = source.settings.get("normalize_images", True) is False
    factors = [np.full(p.space.flat_size, 255.0 if p.is_image and unscaled else 1.0) for p in flat]
    factors += [np.ones(cnns[p.name].out_size) for p in images]
    size = next(iter(cnns.values())).out_size if cnns else 0
    return Encoding(
        space_of(parts, source.observation.is_dict),
        normalizer_of(source.normalization, flat),
        Convolutions(features=size, scale_pixels=scaled) if cnns else None,
        tuple(cnns[part.name] for part in images),
        None,
        np.concatenate(columns),
        np.concatenate(factors).astype(np.float32),
    )
