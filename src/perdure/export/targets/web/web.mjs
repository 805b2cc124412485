// Opens an exported page's policy in the browser, by the page's own scripts: for `Browser` in `_chromium.py`.

export async function open(page) {
  const folder = page.slice(0, page.lastIndexOf("/") + 1);
  for (const file of ["engine.js", "policy.js"]) {
    await new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement("script"), { src: folder + file });
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${file} cannot be loaded`));
      document.head.append(script);
    });
  }
  const policy = await Perdure.openPolicy(PERDURE_POLICY);
  const outputs = PERDURE_POLICY.outputs;

  function run(arrays) {
    const count = Object.values(arrays)[0].shape[0];
    const given = Object.fromEntries(Object.entries(arrays).map(([name, x]) => [name, x.data]));
    const found = policy.run(given, count);
    return Object.fromEntries(
      outputs.map(({ name, dtype, shape }) => [name, { dtype, shape: [count, ...shape], data: found[name] }]),
    );
  }

  const { fullVersionList } = await navigator.userAgentData.getHighEntropyValues(["fullVersionList"]);
  const { version } = fullVersionList.find(({ brand }) => brand === "Chromium");
  return { runtime: "Chromium", version, run };
}
