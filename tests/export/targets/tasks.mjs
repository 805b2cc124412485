// Steps the tasks of the web page from given states, for `serve`: arrays of rows in, arrays of rows out.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

export async function open(path) {
  const [file, name] = path.split("#");
  runInThisContext(readFileSync(file, "utf8"));
  const task = globalThis.Perdure.TASKS[name];
  const rows = ({ shape, data }) => Array.from({ length: shape[0] }, (_, k) => [...data.slice(k * shape[1], (k + 1) * shape[1])]);
  const table = (list) => ({ dtype: "float32", shape: [list.length, list[0].length], data: Float32Array.from(list.flat()) });

  function run({ state, action }) {
    const actions = rows(action);
    const found = rows(state).map((x, k) => task.step(x, actions[k]));
    return {
      state: table(found.map((next) => next.state)),
      observation: table(found.map((next) => task.observe(next.state))),
      reward: table(found.map((next) => [next.reward])),
      terminated: table(found.map((next) => [Number(next.terminated)])),
      first: table(found.map(() => task.reset())),
      pushed: table(rows(state).map((x, k) => task.push(x, k % 2 ? 1 : -1))),
    };
  }
  return { runtime: name, version: String(task.limit), run };
}
