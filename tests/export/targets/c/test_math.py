"""tanh, exp and sigmoid of the C target, against the C library's in double precision, float by float."""

from pathlib import Path

import pytest

from perdure.export.targets.c._helpers import helpers_for
from tests.support.export.c_compilers import compiler, run
from tests.support.export.comparison import FULL

PROGRAM = r"""
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
%(helpers)s
static float at(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
static double exact(double x) { return %(exact)s; }
int main(int argc, char **argv) {
    const uint32_t step = argc > 1 ? (uint32_t)atol(argv[1]) : 1;
    double worst = 0.0, largest = 0.0;
    for (int sign = 0; sign < 2; sign++) {
        for (uint32_t u = 0; u < 0x7F800000u - step; u += step) {
            const float x = at(u | (uint32_t)sign << 31), y = %(name)s(x);
            if (fabsf(y) > largest) largest = fabsf(y);
            if (%(beyond)s) continue;
            const double want = exact(x), error = fabs(y - want) / fabs(want);
            if (!(error <= worst)) worst = error;
        }
    }
    printf("%%.9g %%.9g", worst, largest);
    const float ends[] = {NAN, INFINITY, -INFINITY, 0.0f, 100.0f, -104.5f};
    for (int i = 0; i < 6; i++) printf(" %%g", %(name)s(ends[i]));
    return 0;
}
"""
# exact value, where it is beyond normal numbers, bound of the relative error, at NaN, inf, -inf, 0, 100, -104.5
FUNCTIONS = {
    "fast_tanh": ("tanh(x)", "fabsf(x) < 1.2e-38f", 4e-7, "nan 1 -1 0 1 -1"),
    "fast_exp": ("exp(x)", "x > 88.72f || x < -87.3f", 2e-7, "nan inf 0 1 inf 0"),
    "fast_sigmoid": ("1 / (1 + exp(-x))", "x < -87.3f", 4e-7, "nan 1 0 0.5 1 0"),
}


def measure(name, tmp_path, step, *flags):
    exact, beyond, bound, ends = FUNCTIONS[name]
    values = {"helpers": helpers_for(f"{name}(x)"), "exact": exact, "name": name, "beyond": beyond}
    (tmp_path / "math.c").write_text(PROGRAM % values)
    strict = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2")
    run(*compiler("gcc"), *strict, *flags, tmp_path / "math.c", "-o", tmp_path / "math", "-lm")
    worst, largest, *got = run(tmp_path / "math", step).split()
    assert [x.lstrip("-") if x.endswith("nan") else x for x in got] == ends.split()
    assert float(worst) <= bound
    return float(largest)


@pytest.mark.parametrize(
    "flags", [(), ("-mfma", "-ffp-contract=fast"), ("-DPERDURE_LIBM",)], ids=["plain", "fused", "libm"]
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_errors_are_as_stated_on_one_float_in_a_thousand(name, flags, tmp_path):
    if "-mfma" in flags and "fma" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no fused multiply-add")
    largest = measure(name, tmp_path, 997, *flags)
    assert largest <= 1 or name == "fast_exp"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_errors_are_as_stated_on_every_float(name, tmp_path):
    """On all of them with PERDURE_FUZZ=full, which takes minutes; on every 61st otherwise."""
    largest = measure(name, tmp_path, 1 if FULL else 61)
    assert largest <= 1 or name == "fast_exp"
