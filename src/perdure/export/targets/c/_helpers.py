"""The C functions that a policy may call; a file gets those it uses.

The approximations have no branch and no table, so that a compiler vectorises loops over them without -ffast-math. With
-DPERDURE_LIBM the C library's functions take their place. Their errors, over every float32 (a test goes through them):

| function | error | at the ends |
|---|---|---|
| fast_exp | 2e-7 relative, where the result is a normal number | 0 below -104, infinite above 88.73 |
| fast_tanh | 4e-7 relative; never above 1 in magnitude | exactly 1 above 9.02 |
| fast_sigmoid | 4e-7 relative, above -87 | 0 below -89 |

NaN stays NaN in all of them. `fast_tanh` is x p(x^2) / q(x^2), fitted to the least largest relative error over [0, 9.02];
`fast_exp` is the usual reduction to 2^n exp(r) with the polynomial of Cephes' expf.
"""

import re

APPROXIMATIONS = {
    "fast_exp": """\
static inline float fast_exp(float x) {
    const float v = x < -104.0f ? -104.0f : (x > 89.0f ? 89.0f : x);
    const float t = v * 1.44269504f + 12583168.0f; /* the nearest n, plus 256, in the last bits */
    const float n = t - 12583168.0f;
    const float r = (v - n * 0.693359375f) - n * -2.12194440e-4f;
    const float p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r
                     + 1.6666665459e-1f) * r + 5.0000001201e-1f;
    const uint32_t m = bits_of(t) - 0x4B400000u, h = m >> 1; /* 2^n in two factors: it may be no normal number */
    return ((p * (r * r) + r) + 1.0f) * float_of((h - 1u) << 23) * float_of((m - h - 1u) << 23);
}""",
    "fast_tanh": """\
static inline float fast_tanh(float x) {
    const float v = x < -9.02f ? -9.02f : (x > 9.02f ? 9.02f : x), u = v * v;
    const float p = (((1.33191609e-8f * u + 2.05835525e-5f) * u + 3.49403918e-3f) * u + 1.33797219e-1f) * u + 1.0f;
    const float q = (((7.76205806e-7f * u + 3.28310008e-4f) * u + 2.58710906e-2f) * u + 4.67130363e-1f) * u + 1.0f;
    const float y = v * p / q;
    return y < -1.0f ? -1.0f : (y > 1.0f ? 1.0f : y);
}""",
    "fast_sigmoid": """\
static inline float fast_sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }""",
}
EXACT = {
    "fast_exp": "static inline float fast_exp(float x) { return expf(x); }",
    "fast_tanh": "static inline float fast_tanh(float x) { return tanhf(x); }",
    "fast_sigmoid": APPROXIMATIONS["fast_sigmoid"],
}
HELPERS = {
    "bits_of": """\
static inline uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}""",
    "float_of": """\
static inline float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}""",
    "relu_f": "static inline float relu_f(float x) { return x < 0.0f ? 0.0f : x; }",
    "clip_f": """\
static inline float clip_f(float x, float lo, float hi) {
    const float y = x < lo ? lo : x;
    return y > hi ? hi : y;
}""",
    "max_f": "static inline float max_f(float a, float b) { return a > b || a != a ? a : b; }",
    "min_f": "static inline float min_f(float a, float b) { return a < b || a != a ? a : b; }",
    "sign_f": "static inline float sign_f(float x) { return x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : x); }",
    "add_i": "static inline int32_t add_i(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }",
    "sub_i": "static inline int32_t sub_i(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }",
    "mul_i": "static inline int32_t mul_i(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }",
    "abs_i": "static inline int32_t abs_i(int32_t a) { return a < 0 ? sub_i(0, a) : a; }",
    "max_i": "static inline int32_t max_i(int32_t a, int32_t b) { return a > b ? a : b; }",
    "min_i": "static inline int32_t min_i(int32_t a, int32_t b) { return a < b ? a : b; }",
    "sign_i": "static inline int32_t sign_i(int32_t a) { return (a > 0) - (a < 0); }",
    "div_i": """\
static inline int32_t div_i(int32_t a, int32_t b) { return b == 0 ? -1 : (b == -1 ? sub_i(0, a) : a / b); }""",
    "rem_i": "static inline int32_t rem_i(int32_t a, int32_t b) { return b == 0 ? a : (b == -1 ? 0 : a % b); }",
    "to_int": """\
static inline int32_t to_int(float x, int32_t lo, int32_t hi) { /* saturates; NaN gives 0 */
    return x != x ? 0 : (x <= (float)lo ? lo : (x >= (float)hi ? hi : (int32_t)x));
}""",
    "to_byte": """\
static inline int8_t to_byte(float x, float lo, float hi, int32_t zero) { /* NaN gives the lowest */
    const float r = rintf(x);
    return (int8_t)((int32_t)(r >= lo ? (r <= hi ? r : hi) : lo) + zero);
}""",
    "is_lost": "static inline int is_lost(float x) { return !(x - x == 0.0f); }",
}


def calls(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\(", text) is not None


def closure(text: str, functions: dict[str, str]) -> list[str]:
    """The names of the functions that a text needs, in the order of the table."""
    needed = {name for name in functions if calls(name, text)}
    while more := {n for n in functions if n not in needed and any(calls(n, functions[m]) for m in needed)}:
        needed |= more
    return [name for name in functions if name in needed]


def helpers_for(text: str) -> str:
    """The definitions that a text needs."""
    fast = closure(text, APPROXIMATIONS)
    common = closure("\n".join([text, *(APPROXIMATIONS[name] for name in fast)]), HELPERS)
    bits = [name for name in common if name in ("bits_of", "float_of")]
    blocks = []
    if fast:
        inner = [*(HELPERS[name] for name in bits), *(APPROXIMATIONS[name] for name in fast)]
        blocks += ["#ifdef PERDURE_LIBM", *(EXACT[name] for name in fast), "#else", *inner, "#endif"]
    return "\n".join([*blocks, *(HELPERS[name] for name in common if name not in bits)])
