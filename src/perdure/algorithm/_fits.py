"""Whether a policy fits an algorithm and an environment. Errors name the mend."""

from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy, check_same_spaces
from perdure.space import Box

from ._base import AbstractAlgorithm
from ._training import State


def check_fits(algorithm: AbstractAlgorithm[State], env: AbstractEnv, policy: AbstractPolicy) -> None:
    """Check that the policy is of the role that the algorithm trains, and made for these spaces.

    Bounds of observations may differ, those of actions not: a policy squashes, scales and clips to its own.

    Raises: TypeError for another role, ValueError for other spaces or bounds of actions.
    """
    role = algorithm.role
    if not isinstance(policy, role.policy_class):
        raise TypeError(
            f"{type(algorithm).__name__} needs {role.words} (perdure.policy.{role.policy_class.__name__}), "
            f"but policy is {type(policy).__name__}."
        )
    check_same_spaces(policy, env)
    ours, theirs = policy.action_space, env.action_space
    if isinstance(ours, Box) and ours != theirs:
        raise ValueError(
            f"policy.action_space is {ours}, but env.action_space is {theirs}: the policy would act beyond these bounds, or "
            "never reach them. Make a policy with env=env; or let the environment take the policy's actions, such as by "
            "perdure.env.wrapper.RescaleAction(env, low, high) or gymnasium.wrappers.RescaleAction(env, low, high)."
        )
