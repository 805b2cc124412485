// Arrays between Python and JavaScript: a line of JSON, then the arrays' bytes one after the other (`_javascript.py`).

const ARRAYS = {
  float32: Float32Array, int32: Int32Array, uint32: Uint32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array,
};

export function typed(dtype, values) {
  return ARRAYS[dtype].from(values);
}

export function sizeOf({ dtype, shape }) {
  return shape.reduce((n, d) => n * d, ARRAYS[dtype].BYTES_PER_ELEMENT);
}

export function parseArrays(specs, bytes, at = 0) {
  const arrays = {};
  for (const spec of specs) {
    const data = new ARRAYS[spec.dtype](bytes.slice(at, (at += sizeOf(spec))).buffer);
    arrays[spec.name] = { dtype: spec.dtype, shape: spec.shape, data };
  }
  return arrays;
}

export function decode(bytes) {
  const end = bytes.indexOf(10);
  const message = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  return { ...message, arrays: parseArrays(message.arrays, bytes, end + 1) };
}

export function encode(message, arrays = {}) {
  const list = Object.entries(arrays);
  const specs = list.map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const head = new TextEncoder().encode(JSON.stringify({ ...message, arrays: specs }) + "\n");
  const parts = [head, ...list.map(([, { data }]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))];
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

// Seconds of a call: the mean of as many as the clock needs, which is coarse in browsers.
async function secondsOf(call) {
  for (let count = 1; ; count *= 2) {
    const start = performance.now();
    for (let k = 0; k < count; k++) await call();
    const passed = performance.now() - start;
    if (passed > 20) return passed / 1000 / count;
  }
}

// The answer to a message: `open` a model, `run` it on arrays, or `time` it. `models` keeps the one that is open.
export async function answer(message, open, models) {
  try {
    if (message.ask === "open") {
      models.current = await open(message.model, message);
      const { runtime, version } = models.current;
      return encode({ runtime, version });
    }
    if (message.ask === "run") return encode({}, await models.current.run(message.arrays));
    return encode({ seconds: await secondsOf(() => models.current.run(message.arrays)) });
  } catch (error) {
    return encode({ error: String(error?.stack ?? error) });
  }
}
