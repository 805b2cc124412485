// Puts the page together: the task or the controls, the action's bars, the latency and the proof.
(async () => {
  "use strict";
  const { arrayOf, buildInputs, element, labelOf, openPolicy, play, range } = Perdure;
  const about = PERDURE_POLICY;
  const byId = (id) => document.getElementById(id);

  byId("title").textContent = document.title = about.name;
  byId("subtitle").textContent = [about.policy, about.task].filter(Boolean).join(" on ");
  byId("about").textContent = `Made by Perdure ${about.version}${about.fingerprint ? `. Fingerprint ${about.fingerprint}` : ""}.`;

  let policy;
  try {
    policy = await openPolicy(about);
  } catch (error) {
    byId("proof").textContent = `The policy does not start in this browser: ${error.message}`;
    byId("proof").className = "bad";
    return;
  }
  const actions = about.outputs.filter((port) => /^action(\.|$)/.test(port.name));
  const values = Object.fromEntries(about.inputs.map((port) => [port.name, arrayOf(port)]));
  for (const port of about.inputs) if (port.kind === "mask") values[port.name].fill(1);
  const forget = () => Object.assign(values, policy.first());

  // The policy on `values`; its memory goes on.
  function act() {
    const found = policy.run(values);
    for (const port of about.inputs) if (port.kind === "state") values[port.name] = found[`next_${port.name}`];
    return found;
  }

  const bars = actions.map((port) => {
    const count = Math.max(1, port.shape.reduce((n, d) => n * d, 1));
    const rows = Array.from({ length: count }, (_, k) => {
      const fill = element("div", { className: "fill" }), number = element("div", { className: "number" });
      const name = actions.length > 1 ? port.name.slice(7) : "";
      const label = [name, port.shape.length ? labelOf(port.shape, k) : ""].filter(Boolean).join(" ") || "action";
      const track = element("div", { className: "track" }, fill);
      track.setAttribute("role", "meter");
      track.setAttribute("aria-label", label);
      const [low, high] = range(port, k);
      track.setAttribute("aria-valuemin", low);
      track.setAttribute("aria-valuemax", high);
      byId("action").append(element("div", { className: "bar" }, element("div", {}, label), track, number));
      return { fill, number, track, low, high };
    });
    return { port, rows };
  });

  function showAction(found) {
    for (const { port, rows } of bars) {
      rows.forEach(({ fill, number, track, low, high }, k) => {
        const value = found[port.name][k], isWhole = port.dtype !== "float32";
        const isLost = isWhole ? value < low : Number.isNaN(value);
        const share = (x) => Math.min(Math.max((x - low) / (high - low || 1), 0), 1) * 100;
        // A choice is a cell of its own; a number grows from zero, or from its lowest value.
        const cell = 100 / (high - low + 1);
        const [from, to] = isWhole ? [(value - low) * cell, (value - low + 1) * cell] : [share(Math.max(0, low)), share(value)];
        fill.style.left = `${Math.min(from, to)}%`;
        fill.style.width = isLost ? "0" : `${Math.max(Math.abs(to - from), 0.5)}%`;
        number.textContent = isLost ? "lost" : isWhole ? value : value.toFixed(3).replace(/^-(0\.0+)$/, "$1");
        track.setAttribute("aria-valuenow", isLost ? low : value);
        track.setAttribute("aria-valuetext", number.textContent);
      });
    }
  }

  function prove() {
    const result = byId("proof"), golden = PERDURE_GOLDEN;
    const given = Object.fromEntries(about.inputs.map((port) => [port.name, arrayOf(port, golden.inputs[port.name])]));
    const found = policy.run(given, golden.count);
    let worst = 0, wrong = 0;
    for (let row = 0; row < golden.count; row++) {
      let isRight = true;
      for (const port of about.outputs) {
        const want = arrayOf(port, golden.outputs[port.name]), size = want.length / golden.count;
        const scale = golden.scales[port.name] && arrayOf({ ...port, dtype: "float32" }, golden.scales[port.name]);
        for (let k = row * size; k < (row + 1) * size; k++) {
          const [a, b] = [found[port.name][k], want[k]];
          const error = Object.is(a, b) || a === b ? 0 : scale ? Math.abs(a - b) / scale[k] : Infinity;
          if (!(error <= golden.tolerance)) isRight = false;
          else worst = Math.max(worst, error);
        }
      }
      if (!isRight) wrong++;
    }
    const rows = `${golden.count} golden observations (${golden.broken} of them broken, with NaN or infinities)`;
    result.className = wrong ? "bad" : "good";
    result.textContent = wrong
      ? `Fail: ${wrong} of ${rows} give another action than the policy. Do not use this page.`
      : `Pass: ${rows} give the policy's answers. Largest relative error ${worst.toExponential(1)}.`;
  }

  function measure() {
    const micros = policy.seconds(values) * 1e6;
    byId("latency").textContent = `${micros.toFixed(micros < 10 ? 1 : 0)} µs per action in this browser.`;
  }

  function check() {
    try {
      prove();
    } catch (error) {
      byId("proof").className = "bad";
      byId("proof").textContent = `Fail: the golden answers cannot be read (${error.message}). Do not use this page.`;
    }
    measure();
  }

  byId("prove").addEventListener("click", check);
  forget();
  check();
  if (about.task) {
    Perdure.episode = play(
      about.task,
      (observation, isFirst) => {
        if (isFirst) forget();
        values.observation = observation;
        const found = act();
        Perdure.found = found;
        return found.action;
      },
      () => showAction(Perdure.found),
    );
    return;
  }
  const ports = about.inputs.filter((port) => port.kind !== "state");
  const hasMemory = ports.length < about.inputs.length;
  const changed = () => {
    if (hasMemory) forget(); // what is shown is the answer at the start of an episode, unless steps are taken
    showAction(act());
  };
  byId("observe").hidden = false;
  const random = buildInputs(ports, values, changed, byId("controls"));
  byId("random").addEventListener("click", () => { random(); changed(); });
  byId("forget").hidden = byId("step").hidden = !hasMemory;
  byId("forget").addEventListener("click", changed);
  byId("step").addEventListener("click", () => showAction(act()));
  changed();
})();
