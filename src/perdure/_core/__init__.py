"""What every room stands on."""

from ._errors import (
    ExportError as ExportError,
    FileFormatError as FileFormatError,
    FingerprintError as FingerprintError,
    MissingExtraError as MissingExtraError,
    import_extra as import_extra,
)
from ._registry import register as register
from ._tree import AbstractConstant as AbstractConstant, select as select, split_trainable as split_trainable
