"""What policies were before, and what their records were called."""

import pytest

import perdure.policy
from perdure.policy import Convolutions


def test_unscaled_convolutions_are_made_by_their_former_name():
    assert perdure.policy.UnscaledConvolutions(features=3) == Convolutions(features=3, scale_pixels=False)
    with pytest.raises(AttributeError, match=r"'perdure\.policy' has no attribute 'Nothing'"):
        _ = perdure.policy.Nothing
