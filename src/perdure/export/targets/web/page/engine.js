// Runs a policy compiled to WebAssembly. `Perdure.openPolicy(about)` gives { run(inputs, count), first(), seconds(inputs) }.
// The entries of the module are those of -DPERDURE_LIBRARY in the C export.
(() => {
  "use strict";
  const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };
  const PAGE_BYTES = 65536;

  const countOf = (shape) => shape.reduce((n, d) => n * d, 1);

  function bytesOf(text) {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  }

  // An array of a port's numbers from base64, from a list, or of zeros.
  function arrayOf({ dtype, shape }, source) {
    if (typeof source === "string") return new ARRAYS[dtype](bytesOf(source).buffer);
    return source ? ARRAYS[dtype].from(source) : new ARRAYS[dtype](countOf(shape));
  }

  function readPorts(memory, at) {
    const text = (start) => {
      const bytes = new Uint8Array(memory.buffer, start);
      return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
    };
    const list = new Uint32Array(memory.buffer, at);
    const ports = [];
    for (let k = 0; list[k] !== 0; k++) {
      const [, kind, dtype, dims, name] = /^(\S+) (\S+) (\S+) (.*)$/s.exec(text(list[k]));
      ports.push({ kind, dtype, name, shape: dims === "-" ? [] : dims.split("x").map(Number) });
    }
    return ports;
  }

  async function openPolicy({ wasm }) {
    const { instance } = await WebAssembly.instantiate(bytesOf(wasm), {});
    const { memory, perdure_ports, perdure_workspace_bytes, perdure_reset, perdure_run, __heap_base, _initialize } =
      instance.exports;
    _initialize?.();
    const ports = readPorts(memory, perdure_ports());
    const states = ports.filter((p) => p.kind === "state");
    const given = [...ports.filter((p) => p.kind === "input"), ...states];
    const made = [
      ...ports.filter((p) => p.kind === "output"),
      ...states.map((p) => ({ ...p, name: `next_${p.name}` })),
    ];

    let end = __heap_base.value;
    const place = (bytes) => {
      const at = (end = Math.ceil(end / 64) * 64);
      end += bytes;
      return at;
    };
    const sizeOf = (p) => countOf(p.shape) * ARRAYS[p.dtype].BYTES_PER_ELEMENT;
    const work = place(perdure_workspace_bytes());
    const inputsAt = place(4 * given.length);
    const outputsAt = place(4 * made.length);
    const from = given.map((p) => place(sizeOf(p)));
    const to = made.map((p) => place(sizeOf(p)));
    memory.grow(Math.max(0, Math.ceil((end - memory.buffer.byteLength) / PAGE_BYTES)));
    new Uint32Array(memory.buffer, inputsAt, from.length).set(from);
    new Uint32Array(memory.buffer, outputsAt, to.length).set(to);

    // Views stay valid: the memory grows no more.
    const view = (p, at) => new ARRAYS[p.dtype](memory.buffer, at, countOf(p.shape));
    const read = given.map((p, k) => ({ name: p.name, array: view(p, from[k]) }));
    const write = made.map((p, k) => ({ name: p.name, array: view(p, to[k]) }));

    // Arrays of `count` observations by name -> arrays of answers by name.
    function run(inputs, count = 1) {
      const blank = ({ name, array }) => [name, new array.constructor(count * array.length)];
      const found = Object.fromEntries(write.map(blank));
      for (let row = 0; row < count; row++) {
        for (const { name, array } of read) array.set(inputs[name].subarray(row * array.length, (row + 1) * array.length));
        perdure_run(1, inputsAt, outputsAt, work);
        for (const { name, array } of write) found[name].set(array, row * array.length);
      }
      return found;
    }

    // The memory at the start of an episode, by input name.
    function first() {
      perdure_reset(inputsAt + 4 * (given.length - states.length));
      return Object.fromEntries(read.slice(given.length - states.length).map(({ name, array }) => [name, array.slice()]));
    }

    // Seconds of one action: the mean of as many as the clock needs, which is coarse in browsers.
    function seconds(inputs) {
      for (let count = 16; ; count *= 2) {
        const start = performance.now();
        for (let k = 0; k < count; k++) run(inputs);
        const passed = performance.now() - start;
        if (passed > 10) return passed / 1000 / count;
      }
    }

    return { run, first, seconds };
  }

  globalThis.Perdure = { ...globalThis.Perdure, openPolicy, arrayOf, countOf };
})();
