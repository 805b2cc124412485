"""What every room stands on."""

from ._counts import check_counts as check_counts
from ._debug import check as check, is_debug as is_debug, set_debug as set_debug
from ._description import (
    describe as describe,
    fields_of as fields_of,
    fingerprint as fingerprint,
    fingerprint_of as fingerprint_of,
    has_fields as has_fields,
)
from ._differences import differences as differences, listing as listing
from ._errors import (
    ExportError as ExportError,
    FileFormatError as FileFormatError,
    FingerprintError as FingerprintError,
    LaterFormatError as LaterFormatError,
    MissingExtraError as MissingExtraError,
    NonFiniteError as NonFiniteError,
    SaveError as SaveError,
    import_extra as import_extra,
    save_error as save_error,
)
from ._files import (
    atomic_write as atomic_write,
    fsync_directory as fsync_directory,
    make_directories as make_directories,
    open_regular as open_regular,
    read_bytes as read_bytes,
    sha256 as sha256,
    with_suffix as with_suffix,
    write_new as write_new,
)
from ._finite import (
    all_finite as all_finite,
    check_finite as check_finite,
    first_of as first_of,
    is_floating as is_floating,
    nonfinite as nonfinite,
)
from ._folders import put_in_place as put_in_place, steadily as steadily
from ._history import (
    NOBODY as NOBODY,
    leaf_nodes as leaf_nodes,
    packages_of as packages_of,
    to_date as to_date,
    upgraded as upgraded,
)
from ._json import (
    MAX_BYTES as MAX_BYTES,
    MAX_VALUES as MAX_VALUES,
    dumps_json as dumps_json,
    loads_json as loads_json,
    readable as readable,
)
from ._leaf_order import leaf_order as leaf_order, ravel as ravel, unravel as unravel
from ._leaves import (
    describe_leaf as describe_leaf,
    is_stored as is_stored,
    leaf_from_numpy as leaf_from_numpy,
    leaf_to_numpy as leaf_to_numpy,
    leaves_with_paths as leaves_with_paths,
)
from ._leftovers import (
    LEFTOVER as LEFTOVER,
    aside as aside,
    locked as locked,
    remove as remove,
    tidy as tidy,
)
from ._owner import OWNER as OWNER, owning as owning
from ._rebuild import describe_to_save as describe_to_save, make as make, rebuild as rebuild
from ._registry import (
    lookup as lookup,
    name_of as name_of,
    register as register,
    registered_classes as registered_classes,
    retired as retired,
    steps_of as steps_of,
    version_of as version_of,
)
from ._rules import (
    AbstractRule as AbstractRule,
    Finite as Finite,
    NameRule as NameRule,
    NonNegative as NonNegative,
    NonNegativeInt as NonNegativeInt,
    NumberRule as NumberRule,
    Positive as Positive,
    PositiveInt as PositiveInt,
    UnitInterval as UnitInterval,
    alternatives as alternatives,
    check_settings as check_settings,
    rule_in as rule_in,
)
from ._serializable import Serializable as Serializable, deserialize as deserialize
from ._steps import (
    Instance as Instance,
    Leaf as Leaf,
    added as added,
    became as became,
    changed as changed,
    leaf as leaf,
    learned as learned,
    removed as removed,
    renamed as renamed,
    reordered as reordered,
)
from ._tree import (
    AbstractConstant as AbstractConstant,
    owned as owned,
    select as select,
    split_trainable as split_trainable,
)
from ._types import Action as Action, Observation as Observation
