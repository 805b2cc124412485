// Opens an ONNX file in onnxruntime: in Node for `serve`, in a browser for `Browser`.
const isNode = typeof process !== "undefined";

export async function open(path, load) {
  let ort, model;
  if (isNode) {
    ort = load("onnxruntime-node");
    model = path;
  } else {
    ort = await import("/modules/onnxruntime-web/dist/ort.wasm.min.mjs");
    ort.env.wasm.wasmPaths = "/modules/onnxruntime-web/dist/";
    ort.env.wasm.numThreads = 1;
    model = new Uint8Array(await (await fetch(path)).arrayBuffer());
  }
  const session = await ort.InferenceSession.create(model, { executionProviders: [isNode ? "cpu" : "wasm"] });

  async function run(arrays) {
    const given = session.inputNames.map((name) => {
      const { dtype, shape, data } = arrays[name];
      return [name, new ort.Tensor(dtype, data, shape)];
    });
    const found = await session.run(Object.fromEntries(given));
    return Object.fromEntries(
      session.outputNames.map((name) => [name, { dtype: found[name].type, shape: found[name].dims, data: found[name].data }]),
    );
  }
  const version = ort.env.versions[isNode ? "node" : "web"] ?? ort.env.versions.common;
  return { runtime: isNode ? "onnxruntime-node" : "onnxruntime-web in Chromium", version, run };
}
