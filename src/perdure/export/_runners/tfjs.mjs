// Opens a graph model in TF.js on its CPU backend, for `serve`.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { typed } from "./messages.mjs";

const WIDE = { uint8: "int32", int8: "int32" }; // TF.js has no such numbers

export async function open(path, load) {
  const tf = load("@tensorflow/tfjs");
  await tf.setBackend("cpu");
  const { weightsManifest, userDefinedMetadata, ...rest } = JSON.parse(readFileSync(path));
  const [{ paths, weights }] = weightsManifest;
  const data = new Uint8Array(readFileSync(join(dirname(path), paths[0]))).buffer;
  const model = await tf.loadGraphModel({
    load: async () => ({ ...rest, userDefinedMetadata, weightSpecs: weights, weightData: data }),
  });
  const { inputs, outputs } = userDefinedMetadata.signature;

  function run(arrays) {
    return tf.tidy(() => {
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

  return { runtime: "TF.js on Node", version: tf.version.tfjs, run };
}
