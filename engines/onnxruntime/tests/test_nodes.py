"""Every combination of attributes as a model of a single node: stock ONNX Runtime and lanepool give the same.

Maxima and indices have the same bits. Sums are taken in another order, so that averages and norms may differ by what rounding can make of
it: an average of n taps by n·eps·mean|x|, a norm by (n + 8)·eps of itself; after which each is rounded to its element, bytes to whole numbers.
Where ONNX Runtime has no kernel for an element, its float kernel judges, on values that both elements have.
"""

import itertools
import math

import numpy as np
import pytest
from conftest import TYPES, same_bits, session, single_node

EPS = float(np.finfo(np.float32).eps)
# What half a unit in the last place is of a value, and half the distance of two numbers where that does not depend on the value.
ROUNDING = {"f32": (0, 0), "f64": (0, 0), "f16": (2**-11, 2**-25), "bf16": (2**-8, 0), "u8": (0, 0.5), "i8": (0, 0.5)}
# No kernel in ONNX Runtime (its f16 kernels convert to float and back).
JUDGED_BY_FLOAT = {
    "MaxPool": {"bf16"},
    "GlobalMaxPool": {"f64", "bf16", "u8", "i8"},
    "AveragePool": {"f64", "bf16", "u8", "i8"},
    "GlobalAveragePool": {"f64", "bf16", "u8", "i8"},
    "LpPool": {"f64", "bf16"},
    "GlobalLpPool": {"f64", "bf16"},
}

WINDOWS = {
    1: ((2, 3, 13), [[1], [2], [4]], [[1], [3]], [[2]], [[1, 1], [0, 1]]),
    2: ((2, 3, 11, 14), [[1, 1], [2, 3], [3, 3]], [[1, 1], [2, 3]], [[2, 2], [1, 3]], [[1, 1, 1, 1], [0, 1, 1, 0]]),
    3: ((1, 2, 7, 8, 9), [[2, 2, 2], [1, 3, 2]], [[1, 1, 1], [2, 1, 3]], [[1, 2, 1]], [[0, 1, 1, 0, 1, 0]]),
}


def windows(rank):
    """The shape of the input, and every combination of what all windows have."""
    shape, kernels, strides, dilations, pads = WINDOWS[rank]
    axes = itertools.product(
        kernels,
        [None, *strides],
        [None, *dilations],
        [{}, *({"pads": each} for each in pads), *({"auto_pad": each} for each in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"))],
        [None, 0, 1],
    )
    for kernel, stride, dilation, padding, ceil in axes:
        # Padding as long as the window is refused by both.
        if any(pad >= taps for pad, taps in zip(padding.get("pads", []), kernel * 2)):
            continue
        given = {"kernel_shape": kernel, "strides": stride, "dilations": dilation, "ceil_mode": ceil, **padding}
        yield shape, {name: value for name, value in given.items() if value is not None}


def cases(op, rank):
    """The shape, the attributes and the number of outputs of every case."""
    if op.startswith("Global"):
        own = [{"p": 1}, {"p": 2}, {"p": 3}, {}] if op == "GlobalLpPool" else [{}]
        return [(WINDOWS[rank][0], each, 1) for each in own]
    own = {
        "MaxPool": [({}, 1), ({}, 2), ({"storage_order": 0}, 2), ({"storage_order": 1}, 2)],
        "AveragePool": [({}, 1), ({"count_include_pad": 0}, 1), ({"count_include_pad": 1}, 1)],
        "LpPool": [({}, 1), ({"p": 1}, 1), ({"p": 2}, 1), ({"p": 3}, 1)],
    }[op]
    return [(shape, {**window, **more}, outputs) for shape, window in windows(rank) for more, outputs in own]


def steps_over(attributes):
    """Whether windows leave gaps, and the padding is SAME."""
    strides = attributes.get("strides", [])
    return "SAME" in attributes.get("auto_pad", "") and any(a > b for a, b in zip(strides, attributes["kernel_shape"]))


def values(element, shape, rng):
    """Floats that the element has too, none of them zero: a maximum of lanepool's has no negative zero, one of ONNX Runtime's may."""
    if element in ("u8", "i8"):
        low = 0 if element == "u8" else -128
        return rng.integers(low, low + 256, shape).astype(np.float32)
    # Eight bits of mantissa, so that bf16 has them.
    drawn = rng.integers(128, 256, shape) * rng.choice([-1, 1], shape) / 64.0
    if element in ("f32", "f64"):
        drawn = rng.standard_normal(shape) + 4 * rng.choice([-1, 1], shape)
    return drawn.astype(np.float32)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("element", TYPES)
@pytest.mark.parametrize("op", JUDGED_BY_FLOAT)
def test_every_attribute(op, element, rank, rng):
    if op.endswith("LpPool") and element in ("u8", "i8"):
        pytest.skip("norms are for floats")
    for shape, attributes, outputs in cases(op, rank):
        x = values(element, shape, rng)
        judge = "f32" if element in JUDGED_BY_FLOAT[op] else element
        told = f"{op} {element} {attributes}"
        got = session(single_node(op, element, shape, attributes, outputs), lanepool=True).run(None, {"x": x})
        try:
            want = session(single_node(op, judge, shape, attributes, outputs), lanepool=False).run(None, {"x": x})
        except Exception as refused:
            # ONNX Runtime makes a negative padding of SAME where a stride is longer than the window, and some of its kernels mind.
            assert "padding values must be non-negative" in str(refused) and steps_over(attributes), told
            continue
        if "Max" in op:
            assert all(same_bits(a, b) for a, b in zip(got, want, strict=True)), told
            continue
        assert got[0].shape == want[0].shape, told
        taps = math.prod(attributes.get("kernel_shape", shape[2:]))
        if op.endswith("LpPool"):
            bound = (taps + 8) * EPS * np.abs(want[0])
        else:
            bound = taps * EPS * session(single_node(op, "f32", shape, attributes), lanepool=False).run(None, {"x": np.abs(x)})[0]
        relative, absolute = ROUNDING[element]
        # Each side is rounded by half a unit; the judge in float is not.
        rounded = (1 if judge != element else 2) * (relative * np.abs(want[0]) + absolute)
        assert np.all(np.abs(got[0] - want[0]) <= bound + rounded), told


def test_the_combinations_are_many():
    """A generator that yields nothing would make every test pass."""
    assert sum(len(cases(op, rank)) for op in JUDGED_BY_FLOAT for rank in (1, 2, 3)) > 5000


@pytest.mark.parametrize("op", JUDGED_BY_FLOAT)
@pytest.mark.parametrize("shape", [(1, 64, 112, 112), (8, 512, 7, 7), (1, 4, 20, 90, 90), (3, 5, 100_000), (0, 4, 9, 9)])
def test_threads_do_not_change_the_bits(op, shape, rng):
    x = values("f32", shape, rng)
    attributes = {} if op.startswith("Global") else {"kernel_shape": [3] * (len(shape) - 2)}
    outputs = 2 if op == "MaxPool" else 1
    model = single_node(op, "f32", shape, attributes, outputs)
    one, two = (session(model, lanepool=True, threads=threads).run(None, {"x": x}) for threads in (1, 2))
    assert all(same_bits(a, b) for a, b in zip(one, two, strict=True))
    if "Max" in op:
        stock = session(model, lanepool=False, threads=2).run(None, {"x": x})
        assert all(same_bits(a, b) for a, b in zip(one, stock, strict=True))


def test_indices_that_nobody_reads(rng):
    """An optional output may have no name."""
    model = single_node("MaxPool", "f32", (1, 2, 9), {"kernel_shape": [3]}, outputs=2)
    model.graph.node[1].output[1] = ""
    del model.graph.output[1]
    x = values("f32", (1, 2, 9), rng)
    ours, stock = (session(model, lanepool=lanepool).run(None, {"x": x}) for lanepool in (True, False))
    assert same_bits(ours[0], stock[0])
