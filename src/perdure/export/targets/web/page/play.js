// Plays a task on a canvas: the policy's actions, the visitor's pushes.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);

  // Draws in the task's own lengths, in the colours of the style sheet.
  function penOn(canvas) {
    const context = canvas.getContext("2d");
    const colors = () => getComputedStyle(document.documentElement);
    let unit = 1, middle = [0, 0], style = colors();
    const at = ([x, y]) => [canvas.width / 2 + (x - middle[0]) * unit, canvas.height / 2 - (y - middle[1]) * unit];
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const pixel = canvas.width / 960;
    return {
      clear() {
        style = colors();
        context.clearRect(0, 0, canvas.width, canvas.height);
      },
      scale(width, x, y) { // how wide the picture is, and what its middle shows
        unit = canvas.width / width;
        middle = [x, y];
      },
      line(points, name, width) {
        context.beginPath();
        points.forEach((point, k) => context[k ? "lineTo" : "moveTo"](...at(point)));
        Object.assign(context, { strokeStyle: color(name), lineWidth: width * pixel, lineCap: "round", lineJoin: "round" });
        context.stroke();
      },
      box(x, y, width, height, name) {
        const [left, top] = at([x, y + height]);
        context.fillStyle = color(name);
        context.fillRect(left, top, width * unit, height * unit);
      },
      dot(x, y, radius, name) {
        context.beginPath();
        context.arc(...at([x, y]), radius * pixel, 0, 2 * Math.PI);
        context.fillStyle = color(name);
        context.fill();
      },
      arc(x, y, radius, start, stop, name, width) {
        context.beginPath();
        context.arc(...at([x, y]), radius * unit, -start, -stop, stop > start);
        Object.assign(context, { strokeStyle: color(name), lineWidth: width * pixel });
        context.stroke();
      },
    };
  }

  // `act(observation, isFirst)` gives the action as an array; `show(observation, action)` is told each.
  function play(name, act, show) {
    const task = Perdure.TASKS[name], pen = penOn(byId("canvas"));
    let state, action, steps, total, isRunning = true, ended = "", due = 0, then = performance.now();

    function say(text) {
      byId("announce").textContent = text;
    }
    function describe() {
      const about = ended || (isRunning ? "running" : "paused");
      byId("episode").textContent = `Step ${steps} of ${task.limit}, return ${total.toFixed(1)}, ${about}.`;
    }
    function choose(isFirst) {
      const observation = Float32Array.from(task.observe(state));
      action = act(observation, isFirst);
      show(observation, action);
    }
    function reset(text) {
      [state, steps, total, ended] = [task.reset(), 0, 0, ""];
      choose(true);
      if (text) say(text);
    }
    function step() {
      const next = task.step(state, action);
      [state, steps, total] = [next.state, steps + 1, total + next.reward];
      if (next.terminated || steps >= task.limit) {
        ended = next.terminated ? "the episode ended" : "time is up";
        say(`Episode over after ${steps} steps, return ${total.toFixed(1)}.`);
        due = -1; // a second of rest
      } else choose(false);
    }
    function pause() {
      isRunning = !isRunning;
      byId("pause").textContent = isRunning ? "Pause" : "Go on";
      say(isRunning ? "Going on." : `Paused at step ${steps}, return ${total.toFixed(1)}.`);
    }
    function push(direction) {
      state = task.push(state, direction);
      say(direction < 0 ? "Pushed left." : "Pushed right.");
    }
    function frame(now) {
      const passed = Math.min((now - then) / 1000, 0.25) * Number(byId("speed").value);
      then = now;
      if (isRunning) due += passed;
      if (ended && due >= 0) reset();
      while (!ended && due >= task.seconds) {
        due -= task.seconds;
        step();
      }
      pen.clear();
      task.draw(pen, state, action);
      describe();
      requestAnimationFrame(frame);
    }

    byId("play").hidden = false;
    byId("play-title").textContent = name;
    byId("canvas").setAttribute("aria-label", `${name}, played by the policy`);
    byId("push-left").textContent = `← ${task.pushName}`;
    byId("push-right").textContent = `${task.pushName} →`;
    const actions = {
      pause, reset: () => reset("Reset."), "push-left": () => push(-1), "push-right": () => push(1),
    };
    for (const [id, run] of Object.entries(actions)) byId(id).addEventListener("click", run);
    const keys = { " ": "pause", r: "reset", R: "reset", ArrowLeft: "push-left", ArrowRight: "push-right" };
    document.addEventListener("keydown", (event) => {
      const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      const isButton = event.target.tagName === "BUTTON" && event.key === " ";
      if (isTyping || isButton || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      actions[keys[event.key]]();
    });
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) pause();
    reset();
    requestAnimationFrame(frame);
    return { get state() { return state; }, get steps() { return steps; }, get isRunning() { return isRunning; } };
  }

  globalThis.Perdure = { ...globalThis.Perdure, play };
})();
