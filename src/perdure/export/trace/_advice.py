"""What to write instead of a JAX primitive that no export can carry."""

ADVICE = {
    "while": "A loop whose length depends on the observation has no counterpart; use lax.fori_loop or lax.scan with a "
    "fixed length of at most 64.",
    "scan": "Use a shorter loop, or one vectorised expression over the whole axis.",
    "random_bits": "Export the deterministic policy: call it without a key, so that it draws nothing.",
    "threefry2x32": "Export the deterministic policy: call it without a key, so that it draws nothing.",
    "pure_callback": "Nothing outside JAX can be exported; write it with jax.numpy, or keep it outside of the policy.",
    "io_callback": "Nothing outside JAX can be exported; write it with jax.numpy, or keep it outside of the policy.",
    "debug_callback": "Remove jax.debug.print / jax.debug.callback from the policy before exporting it.",
    "debug_print": "Remove jax.debug.print / jax.debug.callback from the policy before exporting it.",
    "sort": "Sort one float32 or int32 array; use jnp.argsort and indexing for several keys.",
    "erf_inv": "Sampling a normal is not part of a deterministic policy; call it without a key.",
    "lu": "Solve or invert outside of the policy and keep the result as an array.",
    "cholesky": "Factorise outside of the policy and keep the result as an array.",
    "triangular_solve": "Solve outside of the policy and keep the result as an array.",
    "eigh": "Decompose outside of the policy and keep the result as an array.",
    "svd": "Decompose outside of the policy and keep the result as an array.",
    "qr": "Decompose outside of the policy and keep the result as an array.",
    "fft": "Multiply by the constant matrix jnp.fft.fft(jnp.eye(n)), real and imaginary part apart.",
    "cond": "Branch on one observation with jnp.where or lax.cond, not on all observations at once.",
    "dot_general": "Cast both factors to float32.",
    "conv_general_dilated": "Use a 1-D or 2-D float32 convolution with constant weights.",
    "gather": "Index with arrays of int32, or use jnp.where with a mask.",
    "scatter": "Use jnp.where with a mask.",
    "scatter-add": "Multiply by jax.nn.one_hot and sum.",
    "shift_left": "Multiply by a power of two.",
    "shift_right_logical": "Divide by a power of two.",
    "shift_right_arithmetic": "Divide by a power of two.",
    "and": "Use jnp.logical_and on conditions.",
    "or": "Use jnp.logical_or on conditions.",
    "xor": "Use != on conditions.",
    "not": "Use jnp.logical_not on conditions.",
    "cumlogsumexp": "Use jnp.log(jnp.cumsum(jnp.exp(x))).",
    "lgamma": "It has no counterpart in the runtimes; tabulate it, or keep it outside of the policy.",
    "digamma": "It has no counterpart in the runtimes; tabulate it, or keep it outside of the policy.",
    "bitcast_convert_type": "Use astype, which converts values.",
}
DEFAULT = "Write it with jax.numpy arithmetic, jnp.where, indexing, reductions, products or convolutions."


def advice(primitive: str) -> str:
    return ADVICE.get(primitive, DEFAULT)
