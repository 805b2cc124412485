"""A static page that runs the policy in the visitor's browser: the C export as WebAssembly, in a script of its own."""

from ._target import WEB as WEB
