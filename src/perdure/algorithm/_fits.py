"""Whether a policy fits an algorithm and an environment. Errors name the mend."""

from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy, check_same_spaces

from ._base import AbstractAlgorithm
from ._training import State


def check_fits(algorithm: AbstractAlgorithm[State], env: AbstractEnv, policy: AbstractPolicy) -> None:
    """Check that the policy is of the role that the algorithm trains, and made for spaces of this shape.

    Raises: TypeError for another role, ValueError for other spaces.
    """
    role = algorithm.role
    if not isinstance(policy, role.policy_class):
        raise TypeError(
            f"{type(algorithm).__name__} needs {role.words} (perdure.policy.{role.policy_class.__name__}), "
            f"but policy is {type(policy).__name__}."
        )
    check_same_spaces(policy, env)
