// The physics of the classic tasks, step by step as `perdure.env.classic_control` computes them, and how each is drawn.
//
// A task: reset() -> state; step(state, action) -> { state, reward, terminated }; observe(state); push(state, direction),
// what a visitor does to it; draw(pen, state, action); limit, the steps of an episode; seconds, from one to the next.
(() => {
  "use strict";
  const { PI, sin, cos, abs } = Math;
  const clip = (x, low, high) => (x < low ? low : x > high ? high : x);
  const uniform = (low, high) => low + (high - low) * Math.random();
  const wrap = (angle) => angle - 2 * PI * Math.floor((angle + PI) / (2 * PI));

  const cartPole = {
    limit: 500, seconds: 0.02, pushName: "Push the pole",
    reset: () => [0, 0, 0, 0].map(() => uniform(-0.05, 0.05)),
    observe: (state) => state,
    push: ([x, v, angle, speed], direction) => [x, v, angle, speed + 0.8 * direction],
    step([x, velocity, angle, angular], [action]) {
      const force = action === 1 ? 10 : -10;
      const push = (force + 0.05 * angular ** 2 * sin(angle)) / 1.1;
      const turn = (9.8 * sin(angle) - cos(angle) * push) / (0.5 * (4 / 3 - (0.1 * cos(angle) ** 2) / 1.1));
      const acceleration = push - (0.05 * turn * cos(angle)) / 1.1;
      const next = [x + 0.02 * velocity, velocity + 0.02 * acceleration, angle + 0.02 * angular, angular + 0.02 * turn];
      return { state: next, reward: 1, terminated: abs(next[0]) > 2.4 || abs(next[2]) > (12 * 2 * PI) / 360 };
    },
    draw(pen, [x, , angle]) {
      pen.scale(5.2, 0, 0.5);
      pen.line([[-2.6, 0], [2.6, 0]], "muted", 2);
      pen.line([[-2.4, -0.05], [-2.4, 0.05]], "muted", 2);
      pen.line([[2.4, -0.05], [2.4, 0.05]], "muted", 2);
      pen.box(x - 0.25, -0.15, 0.5, 0.3, "body");
      pen.line([[x, 0], [x + sin(angle), cos(angle)]], "accent", 9);
      pen.dot(x, 0, 4, "back");
    },
  };

  const pendulum = {
    limit: 200, seconds: 0.05, pushName: "Push the pendulum",
    reset: () => [uniform(-PI, PI), uniform(-1, 1)],
    observe: ([angle, velocity]) => [cos(angle), sin(angle), velocity],
    push: ([angle, velocity], direction) => [angle, clip(velocity - 3 * direction, -8, 8)], // it turns to the left
    step([angle, velocity], [action]) {
      const torque = clip(action, -2, 2);
      const cost = wrap(angle) ** 2 + 0.1 * velocity ** 2 + 0.001 * torque ** 2;
      const next = clip(velocity + 0.05 * (15 * sin(angle) + 3 * torque), -8, 8);
      return { state: [wrap(angle + 0.05 * next), next], reward: -cost, terminated: false };
    },
    draw(pen, [angle], [action]) {
      pen.scale(3.8, 0, 0);
      pen.line([[0, 0], [-sin(angle), cos(angle)]], "accent", 12);
      pen.dot(0, 0, 6, "body");
      pen.arc(0, 0, 0.35, PI / 2, PI / 2 + (clip(action, -2, 2) * PI) / 2, "body", 4);
    },
  };

  function mountainCar(goal, drive, price) {
    const height = (x) => 0.45 * sin(3 * x) + 0.55;
    return {
      limit: 200, seconds: 1 / 30, pushName: "Push the car",
      reset: () => [uniform(-0.6, -0.4), 0],
      observe: (state) => state,
      push: ([x, velocity], direction) => [x, clip(velocity + 0.02 * direction, -0.07, 0.07)],
      step([x, velocity], [action]) {
        let speed = clip(velocity + drive(action) - 0.0025 * cos(3 * x), -0.07, 0.07);
        const next = clip(x + speed, -1.2, 0.6);
        if (next <= -1.2 && speed < 0) speed = 0;
        const terminated = next >= goal && speed >= 0;
        return { state: [next, speed], reward: price(terminated, action), terminated };
      },
      draw(pen, [x]) {
        pen.scale(2.3, -0.3, 0.62);
        const hill = Array.from({ length: 91 }, (_, k) => -1.2 + 0.02 * k);
        pen.line(hill.map((at) => [at, height(at)]), "muted", 2);
        pen.line([[goal, height(goal)], [goal, height(goal) + 0.2], [goal + 0.1, height(goal) + 0.16]], "accent", 3);
        pen.dot(x, height(x) + 0.04, 10, "body");
      },
    };
  }

  const inertia2 = 1.25; // mass 1, centre at 0.5, inertia 1
  function swing([angle1, angle2, speed1, speed2], torque) {
    const d1 = 2.25 + inertia2 + cos(angle2);
    const d2 = inertia2 + 0.5 * cos(angle2);
    const phi2 = 4.9 * sin(angle1 + angle2);
    const phi1 = -0.5 * speed2 * (speed2 + 2 * speed1) * sin(angle2) + 14.7 * sin(angle1) + phi2;
    const drive = torque + (d2 / d1) * phi1 - 0.5 * speed1 ** 2 * sin(angle2) - phi2;
    const turn2 = drive / (inertia2 - d2 ** 2 / d1);
    return [speed1, speed2, -(d2 * turn2 + phi1) / d1, turn2];
  }
  const ahead = (state, slope, seconds) => state.map((x, k) => x + seconds * slope[k]);

  const acrobot = {
    limit: 500, seconds: 0.2, pushName: "Push the lower link",
    reset: () => [0, 0, 0, 0].map(() => uniform(-0.1, 0.1)),
    observe: ([a, b, v, w]) => [cos(a), sin(a), cos(b), sin(b), v, w],
    push: ([a, b, v, w], direction) => [a, b, v, clip(w + 2 * direction, -9 * PI, 9 * PI)],
    step(state, [action]) {
      const torque = action - 1;
      const k1 = swing(state, torque);
      const k2 = swing(ahead(state, k1, 0.1), torque);
      const k3 = swing(ahead(state, k2, 0.1), torque);
      const k4 = swing(ahead(state, k3, 0.2), torque);
      const [a, b, v, w] = state.map((x, k) => x + (0.2 / 6) * (k1[k] + 2 * k2[k] + 2 * k3[k] + k4[k]));
      const next = [wrap(a), wrap(b), clip(v, -4 * PI, 4 * PI), clip(w, -9 * PI, 9 * PI)];
      const terminated = -cos(next[0]) - cos(next[0] + next[1]) > 1;
      return { state: next, reward: terminated ? 0 : -1, terminated };
    },
    draw(pen, [a, b]) {
      pen.scale(7.8, 0, 0);
      const joint = [sin(a), -cos(a)];
      pen.line([[-2.2, 1], [2.2, 1]], "muted", 2);
      pen.line([[0, 0], joint], "body", 9);
      pen.line([joint, [joint[0] + sin(a + b), joint[1] - cos(a + b)]], "accent", 9);
      pen.dot(0, 0, 5, "muted");
      pen.dot(...joint, 5, "muted");
    },
  };

  const TASKS = {
    "CartPole-v1": cartPole,
    "Pendulum-v1": pendulum,
    "MountainCar-v0": mountainCar(0.5, (action) => 0.001 * (action - 1), () => -1),
    "MountainCarContinuous-v0": {
      ...mountainCar(0.45, (action) => 0.0015 * clip(action, -1, 1), (isThere, action) => (isThere ? 100 : 0) - 0.1 * action ** 2),
      limit: 999,
    },
    "Acrobot-v1": acrobot,
  };
  globalThis.Perdure = { ...globalThis.Perdure, TASKS };
})();
