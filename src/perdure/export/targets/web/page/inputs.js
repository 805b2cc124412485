// Controls for a policy's inputs: sliders for numbers and choices, check boxes for masks, an upload for images.
(() => {
  "use strict";
  const SPREAD = 3; // half the range of a slider without a bound

  function element(tag, settings = {}, ...children) {
    const made = Object.assign(document.createElement(tag), settings);
    made.append(...children);
    return made;
  }

  function labelOf(shape, k) { // the place of an entry, such as 2 or 1, 0
    const place = [];
    for (const d of [...shape].reverse()) {
      place.unshift(k % d);
      k = Math.floor(k / d);
    }
    return place.join(", ");
  }

  function range(port, k) {
    const [low, high] = [port.low?.[k] ?? null, port.high?.[k] ?? null];
    if (low !== null && high !== null) return [low, high];
    if (low !== null) return [low, low + 2 * SPREAD];
    return high !== null ? [high - 2 * SPREAD, high] : [-SPREAD, SPREAD];
  }

  // A slider for each entry. -> set(values), which also moves the sliders
  function sliders(port, array, changed, box) {
    const isWhole = port.dtype !== "float32";
    const rows = Array.from(array, (_, k) => {
      const [low, high] = range(port, k);
      const label = port.shape.length ? labelOf(port.shape, k) : port.name.split(".").pop();
      const id = `${port.name}-${k}`;
      const slider = element("input", { type: "range", id, min: low, max: high, step: isWhole ? 1 : (high - low) / 500 });
      const output = element("output", { htmlFor: id });
      const set = (value) => {
        array[k] = value;
        slider.value = value;
        output.textContent = isWhole ? array[k] : array[k].toFixed(3);
        slider.setAttribute("aria-valuetext", output.textContent);
      };
      slider.addEventListener("input", () => { set(Number(slider.value)); changed(); });
      box.append(element("div", { className: "control" }, element("label", { htmlFor: id }, label), slider, output));
      set(Math.min(Math.max(0, low), high));
      return { set, low, high };
    });
    return () => rows.forEach(({ set, low, high }) => {
      const value = low + Math.random() * (high - low + (isWhole ? 1 : 0));
      set(isWhole ? Math.min(Math.floor(value), high) : value);
    });
  }

  function checks(port, array, changed, box) {
    array.forEach((_, k) => {
      array[k] = 1;
      const input = element("input", { type: "checkbox", id: `${port.name}-${k}`, checked: true });
      input.addEventListener("change", () => { array[k] = input.checked ? 1 : 0; changed(); });
      box.append(element("label", {}, input, ` ${k} `));
    });
    return () => {};
  }

  // An upload, scaled to the policy's size: 3 channels are colours, any other number is the grey picture on each.
  function picture(port, array, changed, box) {
    const [height, width, channels] = port.shape;
    const canvas = element("canvas", { width, height, className: "picture" });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `What the policy sees of ${port.name}, ${width} by ${height}`);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const input = element("input", { type: "file", accept: "image/*", id: port.name });
    const note = element("p", { className: "hint", role: "status" });
    input.addEventListener("click", () => { input.value = ""; }); // so that the same file can be chosen again
    input.addEventListener("change", async () => {
      const [file] = input.files;
      if (!file) return;
      try {
        const image = await createImageBitmap(file);
        pen.drawImage(image, 0, 0, width, height);
        image.close();
      } catch {
        note.textContent = `${file.name} is no picture that this browser can read. Choose a PNG or JPEG file.`;
        return;
      }
      note.textContent = `${file.name}, scaled to ${width} by ${height}.`;
      readBack();
      changed();
    });
    function readBack() {
      const { data } = pen.getImageData(0, 0, width, height);
      for (let k = 0; k < width * height; k++) {
        const [r, g, b] = data.subarray(4 * k, 4 * k + 3);
        const gray = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
        for (let c = 0; c < channels; c++) array[k * channels + c] = channels === 3 ? data[4 * k + c] : gray;
      }
    }
    function show() {
      const image = pen.createImageData(width, height);
      for (let k = 0; k < width * height; k++) {
        for (let c = 0; c < 3; c++) image.data[4 * k + c] = array[k * channels + (channels === 3 ? c : 0)];
        image.data[4 * k + 3] = 255;
      }
      pen.putImageData(image, 0, 0);
    }
    box.append(element("label", { htmlFor: port.name }, "Choose a picture "), input, note, canvas);
    show();
    return () => {
      array.forEach((_, k) => { array[k] = Math.floor(Math.random() * 256); });
      note.textContent = "Random bytes.";
      show();
    };
  }

  // Controls for these ports; `values` has their arrays by name. -> a function that draws random values
  function buildInputs(ports, values, changed, parent) {
    const randoms = ports.map((port) => {
      const box = element("fieldset", {}, element("legend", {}, `${port.name} (${port.shape.join(" × ") || "one number"})`));
      parent.append(box);
      const build = { image: picture, mask: checks }[port.kind] ?? sliders;
      return build(port, values[port.name], changed, box);
    });
    return () => randoms.forEach((random) => random());
  }

  globalThis.Perdure = { ...globalThis.Perdure, buildInputs, element, labelOf, range };
})();
