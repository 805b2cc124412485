// Opens a TFLite file in LiteRT.js in a browser, one observation at a time, for `Browser`.
import * as litert from "/modules/@litertjs/core/dist/index.js";

const ready = litert.loadLiteRt("/modules/@litertjs/core/wasm/");

export async function open(path) {
  await ready;
  const model = await litert.loadAndCompile(path, { accelerator: "wasm" });
  const inputs = model.getInputDetails(), outputs = model.getOutputDetails();

  async function one(arrays, row) {
    const given = {};
    for (const { name } of inputs) {
      const { shape, data } = arrays[name];
      const size = data.length / shape[0];
      given[name] = new litert.Tensor(data.slice(row * size, (row + 1) * size), [1, ...shape.slice(1)]);
    }
    const found = await model.run(given);
    const read = outputs.map(({ name }) => found[name].toTypedArray().slice());
    for (const tensor of [...Object.values(given), ...Object.values(found)]) tensor.delete();
    return read;
  }

  async function run(arrays) {
    const count = Object.values(arrays)[0].shape[0], rows = [];
    for (let row = 0; row < count; row++) rows.push(await one(arrays, row));
    return Object.fromEntries(
      outputs.map(({ name, dtype, shape }, k) => {
        const data = new rows[0][k].constructor(count * rows[0][k].length);
        rows.forEach((parts, row) => data.set(parts[k], row * parts[k].length));
        return [name, { dtype, shape: [count, ...Array.from(shape).slice(1)], data }];
      }),
    );
  }
  return { runtime: "LiteRT.js in Chromium", version: "", run };
}
