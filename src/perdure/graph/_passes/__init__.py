"""Passes: graph to graph, the same function."""

from .._graph import Graph
from . import _algebra, _fuse, _layout
from ._batch import absorb_first_reshape, at_batch_one as _at_batch_one, without_batch as _without_batch
from ._layout import channels_last as _channels_last
from ._names import name_tensors as name_tensors, safe as safe
from ._rewrite import rebuilt as rebuilt, rewrite as rewrite

RULES = (*_algebra.RULES, *_layout.RULES, *_fuse.RULES)


def simplify(graph: Graph) -> Graph:
    """The smallest form that the rules reach: what the writers expect."""
    return rewrite(graph, RULES)


def at_batch_one(graph: Graph) -> Graph:
    return simplify(_at_batch_one(graph))


def without_batch(graph: Graph) -> Graph:
    return absorb_first_reshape(simplify(_without_batch(graph)))


def channels_last(graph: Graph) -> Graph:
    return simplify(_channels_last(graph))
