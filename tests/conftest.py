"""Every test runs with the shapes and types of `perdure` checked at run time."""

from jaxtyping import install_import_hook

install_import_hook("perdure", "beartype.beartype")
