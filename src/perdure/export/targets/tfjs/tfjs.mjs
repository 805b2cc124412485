// Opens a graph model in TF.js on its CPU backend, for `serve`.
import { typed } from "../../proof/messages.mjs";

const WIDE = { uint8: "int32", int8: "int32" }; // TF.js has no such numbers

// Arrays in, arrays out, in the policy's own kinds of number.
export function runner(tf, model, { inputs, outputs }) {
  return (arrays) =>
    tf.tidy(() => {
      const given = {};
      for (const { name } of inputs) {
        const { dtype, shape, data } = arrays[name];
        const wide = WIDE[dtype] ?? dtype;
        given[name] = tf.tensor(wide === dtype ? data : typed(wide, data), shape, wide);
      }
      const found = model.execute(given, outputs.map((port) => port.name));
      return Object.fromEntries(
        [found].flat().map((y, k) => {
          const { name, dtype } = outputs[k];
          return [name, { dtype, shape: y.shape, data: typed(dtype, y.dataSync()) }];
        }),
      );
    });
}

export async function open(path, load) {
  const [{ readFileSync }, { dirname, join }] = await Promise.all([import("node:fs"), import("node:path")]);
  const tf = load("@tensorflow/tfjs");
  tf.enableProdMode(); // no advertisement on standard error
  await tf.setBackend("cpu");
  const { weightsManifest, ...rest } = JSON.parse(readFileSync(path));
  const [{ paths, weights }] = weightsManifest;
  const data = new Uint8Array(readFileSync(join(dirname(path), paths[0]))).buffer;
  const model = await tf.loadGraphModel({ load: async () => ({ ...rest, weightSpecs: weights, weightData: data }) });
  const run = runner(tf, model, rest.userDefinedMetadata.signature);
  return { runtime: "TF.js on Node", version: tf.version.tfjs, run };
}
