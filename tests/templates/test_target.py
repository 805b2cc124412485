"""A target from outside, as the contributor's page tells it: four files in a package of its own, one entry point.

The package is really installed, with pip and without a network, into a folder that a process of its own then has on its path.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from perdure.checkpoint import save_policy
from tests.support.policy_kinds import make

# One file each: what it takes to add a target.
FILES = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"

        [project]
        name = "perdure-npz"
        version = "1.2"

        [tool.setuptools]
        packages = ["perdure_npz"]

        [project.entry-points."perdure.targets"]
        npz = "perdure_npz.target:TARGET"
    """,
    "perdure_npz/__init__.py": '"""The target `npz`: layers in a file of numpy, run by a script of one screen."""\n',
    "perdure_npz/target.py": """
        from pathlib import Path

        import numpy as np

        from perdure.export.targets import Target, WriteRules, Written

        RULES = WriteRules("npz")


        @RULES.writes("Dense", "ArgMax", "Clip", "Reduce", "Where", "Lt", "Abs", "Add", "Sub", "Div")
        def kept(arrays, node):
            number = len(arrays["ops"])
            arrays["ops"].append([node.op, node.out.name, str(node.out.dtype), [t.name for t in node.inputs], plain(node.attrs)])
            return number


        def plain(attrs):
            return {k: np.asarray(v).tolist() for k, v in attrs.items()}


        def write(program, directory, name):
            made = {"ops": []}
            constants = {}
            for node in program.graph.nodes():
                RULES.write(made, node)
                constants |= {f"constant:{t.name}": t.value for t in node.inputs if t.is_constant}
            results = {output: t.name for output, t in program.graph.outputs}
            import json
            text = np.array(json.dumps([made["ops"], results]))
            np.savez(directory / f"{name}.npz", program=text, **constants)
            (directory / f"{name}_npz.txt").write_text("run by perdure_npz/runner.py\\n")
            return Written(f"{name}.npz", (f"{name}_npz.txt",))


        TARGET = Target("npz", write, Path(__file__).with_name("runner.py"), note=lambda file: "From outside.", runs_code=False)
    """,
    "perdure_npz/runner.py": """
        import json

        import numpy as np

        FUNCTIONS = {
            "Abs": np.abs, "Add": np.add, "Sub": np.subtract, "Div": np.divide, "Lt": np.less, "Where": np.where,
        }


        def run(op, x, a):
            if op == "Dense":
                y = x[0] @ x[1].T + (x[2] if len(x) > 2 else 0)
                return {"Relu": lambda: np.maximum(y, 0), "Tanh": lambda: np.tanh(y), None: lambda: y}[a["activation"]]()
            if op == "ArgMax":
                return x[0].argmax(a["axis"], keepdims=a["keep"])
            if op == "Clip":
                return np.clip(x[0], a["lo"], a["hi"])
            if op == "Reduce":
                return {"sum": np.sum, "max": np.max, "min": np.min}[a["kind"]](x[0], axis=tuple(a["axes"]), keepdims=a["keep"])
            return FUNCTIONS[op](*x)


        def open_model(path, folder):
            with np.load(path) as file:
                steps, results = json.loads(str(file["program"]))
                constants = {name[9:]: file[name] for name in file.files if name.startswith("constant:")}

            def prepare(inputs):
                def call():
                    values = {**constants, **inputs}
                    with np.errstate(all="ignore"):
                        for op, name, dtype, given, attrs in steps:
                            values[name] = np.asarray(run(op, [values[n] for n in given], attrs)).astype(dtype)
                    return {output: values[name] for output, name in results.items()}

                return call

            return {"prepare": prepare, "runtime": "numpy in a package", "version": np.__version__}
    """,
}
BROKEN = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "perdure-broken"
version = "3"

[tool.setuptools]
packages = ["perdure_broken"]

[project.entry-points."perdure.targets"]
broken = "perdure_broken:TARGET"
onnx = "perdure_broken:ONNX"
"""


def install(source, files, into):
    """What `pip install` makes of a package, in a folder; nothing is fetched."""
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile"]
    pip = [sys.executable, *command, "--disable-pip-version-check", "--target", str(into), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the package in it."""
    pytest.importorskip("setuptools", reason="what builds the package is not installed")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pip is not installed")
    folder = tmp_path_factory.mktemp("packages")
    install(folder / "source", FILES, folder / "installed")
    return folder / "installed"


def run(*command, packages, cwd, check=True):
    paths = os.pathsep.join([*(str(p) for p in packages), *sys.path])
    env = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "160", "XDG_CACHE_HOME": str(cwd)}
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=env, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


PROGRAM = """
from perdure.checkpoint import load_policy
from perdure.export import export, verify
policy = load_policy("policy.safetensors")
print(export(policy, "deploy", ["npz", "weights"], num_observations=50))
print(verify("deploy"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a policy in a file."""
    made = tmp_path_factory.mktemp("work")
    save_policy(made / "policy", make("mlp actor-critic"))
    return made


def test_at_most_four_files_make_a_target():
    assert len(FILES) <= 4


def test_it_is_exported_proven_and_verified_through_the_public_functions(packages, folder):
    (folder / "program.py").write_text(PROGRAM)
    done = run("program.py", packages=[packages], cwd=folder)
    exported, verified = done.stdout.split("policy -> deploy")[1:]
    for table in (exported, verified):
        assert "policy.npz" in table
        assert "numpy in a package" in table
        assert "From outside." in table
    manifest = json.loads((folder / "deploy" / "manifest.json").read_text())
    assert manifest["targets"]["npz"]["status"] == "proven"
    assert manifest["targets"]["npz"]["files"] == ["policy.npz", "policy_npz.txt"]
    assert {"policy.npz", "policy_npz.txt", "policy_numpy.py"} <= set(manifest["files"])


def test_it_is_there_on_the_command_line(packages, folder):
    perdure = ("-c", "from perdure.cli import main; main()")
    done = run(*perdure, "export", "policy.safetensors", "--to", "npz", "--out", "cli", packages=[packages], cwd=folder)
    assert "numpy in a package" in done.stdout
    done = run(*perdure, "verify", "cli", packages=[packages], cwd=folder)
    assert "numpy in a package" in done.stdout
    refused = (*perdure, "export", "policy.safetensors", "--to", "npx", "--out", "no")
    unknown = run(*refused, packages=[packages], cwd=folder, check=False)
    assert unknown.returncode == 1
    assert "Did you mean 'npz'?" in " ".join(unknown.stderr.split())


def test_where_its_package_is_not_installed_the_rest_is_proven_and_that_is_told(packages, folder):
    (folder / "export.py").write_text(PROGRAM.replace("print(verify", "#").replace('"deploy"', '"moved"'))
    run("export.py", packages=[packages], cwd=folder)
    code = "from perdure.export import verify; print([(r.target, r.is_proven, r.missing) for r in verify('moved').targets])"
    done = run("-c", code, packages=[], cwd=folder)
    told = "No target of that name is here. Install the package that it was exported with."
    assert done.stdout.strip() == repr([("npz", False, told), ("weights", True, None)])


def test_a_target_that_lies_is_not_written(packages, folder):
    code = """
from perdure.checkpoint import load_policy
from perdure.export import export
from perdure.export.targets import find_target
import dataclasses, numpy as np
target = find_target("npz")
def wrong(program, directory, name):
    written = target.write(program, directory, name)
    arrays = dict(np.load(directory / written.run))
    arrays = {k: x * np.float32(1.01) if k.endswith("weight") else x for k, x in arrays.items()}
    np.savez(directory / written.run, **arrays)
    return written
import perdure.export.targets._registry as registry
registry.TARGETS["npz"] = dataclasses.replace(target, write=wrong)
export(load_policy("policy.safetensors"), "lies", ["npz"], num_observations=50, outputs=["action", "logits"])
"""
    done = run("-c", code, packages=[packages], cwd=folder, check=False)
    assert done.returncode == 1
    assert "give another answer than the policy; nothing was written" in done.stderr
    assert not (folder / "lies").exists()


def test_a_broken_one_is_named_and_breaks_no_other_and_none_takes_a_name_of_ours(packages, folder, tmp_path):
    source = {"pyproject.toml": BROKEN, "perdure_broken/__init__.py": "import no_such_module\n"}
    install(tmp_path / "source", source, tmp_path / "installed")
    code = """
import warnings
from perdure.export.targets import find_targets, TARGETS
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    names = [target.name for target in find_targets("all")]
print(names[-1], "broken" in names)
print(*sorted({str(w.message) for w in told}), sep="\\n")
assert find_targets(["onnx"])[0] is TARGETS["onnx"]
try:
    find_targets(["broken"])
except Exception as error:
    print(type(error).__name__, error)
"""
    done = run("-c", code, packages=[packages, tmp_path / "installed"], cwd=folder)
    last, shadow, broken, asked = done.stdout.splitlines()
    assert last == "npz False"
    assert shadow == (
        "The target 'onnx' of perdure-broken 3 is left out: Perdure has one of that name. Its package has to choose another."
    )
    assert broken == (
        "the target 'broken' of perdure-broken 3 does not load: ModuleNotFoundError: No module named 'no_such_module'. "
        "Update or remove that package."
    )
    assert asked == f"ExportError {broken}"


def test_nobody_imports_a_package_that_is_not_asked_for(packages, folder):
    code = """
import sys
from perdure.export.targets import find_targets
find_targets(["onnx", "weights"])
print("perdure_npz" in sys.modules)
find_targets(["npz"])
print("perdure_npz" in sys.modules)
"""
    assert run("-c", code, packages=[packages], cwd=folder).stdout == "False\nTrue\n"
