// Opens a graph model in TF.js from its address in a browser, on the CPU backend, for `Browser`.
import { runner } from "/export/targets/tfjs/tfjs.mjs";

await new Promise((resolve, reject) => {
  const src = "/modules/@tensorflow/tfjs/dist/tf.min.js";
  document.head.append(Object.assign(document.createElement("script"), { src, onload: resolve, onerror: reject }));
});
await tf.setBackend("cpu");

export async function open(path) {
  const model = await tf.loadGraphModel(path);
  const { userDefinedMetadata } = await (await fetch(path)).json();
  const run = runner(tf, model, userDefinedMetadata.signature);
  return { runtime: "TF.js in Chromium", version: tf.version.tfjs, run };
}
