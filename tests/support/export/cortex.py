"""Runs an exported C policy on an emulated Cortex-M4."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.export.c_compilers import STRICT, run

HERE = Path(__file__).parent
CORTEX = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
MACHINE = ["-M", "mps2-an386", "-cpu", "cortex-m4", "-nographic", "-semihosting-config", "enable=on,target=native"]


def needs(*programs):
    for name in programs:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed: apt-get install gcc-arm-none-eabi qemu-system-arm nodejs")


def run_on_cortex(folder, tmp_path, name="policy"):
    """The self-test on an emulated Cortex-M4; stuck programs are stopped."""
    start = run("arm-none-eabi-gcc", *CORTEX, "-print-file-name=rdimon-crt0.o").strip()
    layout = ["--specs=rdimon.specs", "-nostartfiles", "-T", HERE / "cortex_m4.ld"]
    sources = [HERE / "cortex_m4.c", folder / f"{name}.c", folder / f"{name}_test.c", start]
    made = tmp_path / "policy.elf"
    run("arm-none-eabi-gcc", "-std=c99", *STRICT, "-O2", *CORTEX, *layout, *sources, "-lm", "-o", made)
    command = ["qemu-system-arm", *MACHINE, "-kernel", made]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
