"""What docs/exporting.md lists as refused is refused, by name, line and what to write instead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from perdure._core import ExportError
from tests.support.export.comparison import graph_of


def convolve(x, shape, kernel):
    return lax.conv_general_dilated(x.reshape(shape), kernel, (1,) * (len(shape) - 2), "SAME")


REFUSED = {
    "bits": (lambda x: x.astype(jnp.int32) & 3, "'and' works on the bits"),
    "shift": (lambda x: x.astype(jnp.int32) << 1, "'shift_left' works on the bits .* Multiply by a power of two"),
    "fft": (lambda x: jnp.fft.rfft(x).real, "'fft' .* Multiply by the constant matrix"),
    "several keys": (lambda x: lax.sort((jnp.round(x), x), num_keys=2)[1], "'sort' by several keys .*argsort"),
    "three axes": (lambda x: convolve(x, (1, 1, 1, 2, 3), jnp.ones((1, 1, 1, 1, 1))), "over 3 axes"),
    "own kernel": (lambda x: convolve(x, (1, 1, 6), x[:2].reshape(1, 1, 2)), "kernel depends on the observation"),
    "loop": (lambda x: lax.fori_loop(0, x[0].astype(jnp.int32), lambda i, c: c + 1, x), "'while' .* fixed length"),
    "cholesky": (lambda x: jnp.linalg.cholesky(jnp.outer(x, x))[0], "'cholesky' .* Factorise outside"),
    "svd": (lambda x: jnp.linalg.svd(jnp.outer(x, x))[1], "'svd' .* Decompose outside"),
    "eigh": (lambda x: jnp.linalg.eigh(jnp.outer(x, x))[0], "'eigh' .* Decompose outside"),
    "solve": (lambda x: jnp.linalg.solve(jnp.outer(x, x), x), "'lu' .* Solve or invert outside"),
    "digamma": (lambda x: jax.scipy.special.digamma(x), "'digamma' .* tabulate it"),
    "complex": (lambda x: jnp.abs(x + 1j * x), "complex64 cannot be exported. Cast to float32"),
    "float16": (lambda x: (x.astype(jnp.float16) * 2).astype(jnp.float32), "float16 cannot be exported"),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_docs_list_is_refused_with_the_line_and_the_mend(function, message):
    with pytest.raises(ExportError, match=rf"test_refused\.py:\d+ .*{message}"):
        graph_of(function, {"x": ((6,), np.float32)})


def test_the_line_is_the_users_where_a_network_of_ours_calls_his_function():
    from perdure.network import MLP

    network = MLP(3, 2, (4,), jax.scipy.special.gammaln, key=jax.random.key(0))
    with pytest.raises(ExportError, match=r"test_refused\.py:\d+ .*lgamma"):
        graph_of(lambda x: network(x), {"x": ((3,), np.float32)})
