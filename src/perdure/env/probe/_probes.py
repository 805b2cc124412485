"""The probe environments, in the order in which a new learner should meet them."""

from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from perdure._core import Action, register
from perdure.space import Box, Discrete

from .._base import TimeStep
from ._base import AbstractProbe, ProbeState


def one() -> Float[Array, ""]:
    return jnp.ones((), jnp.float32)


def nearness(probe: AbstractProbe, action: Action, sign: Float[Array, ""] | float) -> Float[Array, ""]:
    """How well `action` answers `sign`; 1 is perfect.

    Discrete: 1 if action 1 answers sign 1 or action 0 answers sign -1, else -1. Continuous: `1 - (action - sign/2)^2`.
    """
    if probe.continuous:
        return 1 - (action[0] - 0.5 * sign) ** 2
    return jnp.where((action == 1) == (sign > 0), 1, -1).astype(jnp.float32)


def best_answer(probe: AbstractProbe, sign: Float[Array, ""]) -> Action:
    return 0.5 * sign[None] if probe.continuous else (sign > 0).astype(jnp.int32)


@register(name="probe.ConstantValue")
@final
class ConstantValue(AbstractProbe):
    """Skill: the critic's loss and optimiser. One step, always the observation 1, always the reward 1.

    The value is 1, whatever the discount.
    """

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return jnp.ones((1,), jnp.float32)

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return one()

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return one()


@register(name="probe.ValueFromObservation")
@final
class ValueFromObservation(AbstractProbe):
    """Skill: the critic looks at the observation. One step; observation and reward are the same random sign.

    The value is the observation: -1 or 1.
    """

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return state.sign[None]

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return state.sign

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return state.sign


@register(name="probe.Discount")
@final
class Discount(AbstractProbe):
    """Skill: values flow back through time, discounted. Two steps, observations 0 then 1, reward 1 with the second.

    The value is `discount` at the observation 0, and 1 at the observation 1.
    """

    length: ClassVar[int] = 2

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return (state.steps > 0).astype(jnp.float32)[None]

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return (state.steps > 0).astype(jnp.float32)

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return jnp.where(state.steps > 0, 1, discount).astype(jnp.float32)


@register(name="probe.Truncation")
@final
class Truncation(AbstractProbe):
    """Skill: a time limit is not an end. The reward is 1 for ever; every third step is truncated, none terminated.

    The value is `1 / (1 - discount)`: 2 at a discount of 0.5. A learner that takes the limit for an end finds a mean of
    `(1 + (1 + g) + (1 + g + g^2)) / 3`: 1.42 there.
    """

    length: ClassVar[int] = 3

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return jnp.ones((1,), jnp.float32)

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return one()

    def step(self, state: ProbeState, action: Action, *, key: Key[Array, ""]) -> TimeStep:
        step = super().step(state, action, key=key)
        return step._replace(terminated=step.truncated, truncated=step.terminated)

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return one() / (1 - discount)


@register(name="probe.Act")
@final
class Act(AbstractProbe):
    """Skill: the policy prefers what is rewarded. One step, always the observation 1.

    Discrete: action 1 earns 1, action 0 earns -1. Continuous: `1 - (action - 0.5)^2`. The best action is 1 (0.5), the
    value of the best policy is 1.
    """

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return jnp.ones((1,), jnp.float32)

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return nearness(self, action, one())

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return one()

    def expected_action(self, state: ProbeState) -> Action:
        return best_answer(self, one())


@register(name="probe.ActOnObservation")
@final
class ActOnObservation(AbstractProbe):
    """Skill: the policy looks at the observation. One step; the observation is a random sign.

    Discrete: action 1 at the observation 1 and action 0 at -1 earn 1, else -1. Continuous:
    `1 - (action - observation/2)^2`. The best action is 1 or 0 (half the observation), its value is 1.
    """

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return state.sign[None]

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return nearness(self, action, state.sign)

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return one()

    def expected_action(self, state: ProbeState) -> Action:
        return best_answer(self, state.sign)


@register(name="probe.ActOnMemory")
@final
class ActOnMemory(AbstractProbe):
    """Skill: the policy's state. A random sign is shown with the first of three observations and asked for at the last.

    The observation is (sign or 0, 1 if asked now else 0). At the last step the action earns what it does in
    `ActOnObservation`, before that nothing. The value is `discount` to the power of the steps left, 1 when asked.
    Without memory the best return is 0 on average (continuous: 0.75, by the action 0).
    """

    length: ClassVar[int] = 3

    @property
    def observation_space(self) -> Box:
        return Box([-1, 0], [1, 1])

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        shown = jnp.where(state.steps == 0, state.sign, 0)
        asked = (state.steps == self.length - 1).astype(jnp.float32)
        return jnp.stack([shown, asked])

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        return jnp.where(state.steps == self.length - 1, nearness(self, action, state.sign), 0)

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return one() * discount ** (self.length - 1 - state.steps)

    def expected_action(self, state: ProbeState) -> Action:
        """The answer; it only counts at the last step."""
        return best_answer(self, state.sign)


@register(name="probe.Masked")
@final
class Masked(AbstractProbe):
    """Skill: action masks, in acting and in bootstrapping. Two steps, observations 0 then 1, four actions.

    One step allows the actions 0 and 1, the other 2 and 3, in random order that no observation shows. Action 0 earns
    1, action 2 earns 3, 1 and 3 nothing; an illegal action earns -10. The best legal action is 0 or 2. With g the
    discount, the mean value is `2 + 2 g` at the observation 0 and 2 at the observation 1; the Q values are
    `(1 + 3 g, 3 g, 3 + g, g)` and `(1, 0, 3, 0)`. A target that is blind to masks finds `3 + 3 g` for action 2.
    """

    length: ClassVar[int] = 2

    def __check_init__(self) -> None:
        if self.continuous:
            raise ValueError("Masked.continuous = True, but only choices can be masked. Leave it False.")

    @property
    def action_space(self) -> Discrete:
        return Discrete(4)

    def action_mask(self, state: ProbeState) -> Bool[Array, " mask_size"]:
        upper_half = (state.sign > 0) ^ (state.steps == 1)
        return (jnp.arange(4) >= 2) == upper_half

    def observe(self, state: ProbeState) -> Float[Array, " size"]:
        return (state.steps > 0).astype(jnp.float32)[None]

    def reward(self, state: ProbeState, action: Action) -> Float[Array, ""]:
        worth = jnp.asarray([1, 0, 3, 0], jnp.float32)
        return jnp.where(self.action_mask(state), worth, -10)[action]

    def expected_value(self, state: ProbeState, discount: float) -> Float[Array, ""]:
        return jnp.where(state.steps == 0, 2 + 2 * discount, 2).astype(jnp.float32)

    def expected_q_values(self, state: ProbeState, discount: float) -> Float[Array, "4"]:
        """What a correct Q function says of the four actions, each in a state where it is legal."""
        worth = jnp.asarray([1, 0, 3, 0], jnp.float32)
        best_next = jnp.asarray([3, 3, 1, 1], jnp.float32)  # the other half is legal next
        return worth + jnp.where(state.steps == 0, discount, 0) * best_next

    def expected_action(self, state: ProbeState) -> Action:
        return jnp.where(self.action_mask(state)[0], 0, 2).astype(jnp.int32)
