"""What a session may do to an operator: run it from several threads at a time, and change the shape with every run."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from conftest import same_bits, session, single_node


def test_one_session_many_threads_many_shapes(rng):
    """More shapes than a kernel keeps plans for, from more threads than the machine has."""
    free = ["n", "c", "h", "w"]
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    model = single_node("MaxPool", "f32", free, attributes, outputs=2)
    ours, stock = (session(model, lanepool=lanepool, threads=2) for lanepool in (True, False))
    inputs = [rng.standard_normal((1 + i % 3, 8, 40 + i, 130 - i)).astype(np.float32) for i in range(40)]
    want = [stock.run(None, {"x": x}) for x in inputs]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            got = list(threads.map(lambda x: ours.run(None, {"x": x}), inputs))
            for a, b in zip(got, want, strict=True):
                assert same_bits(a[0], b[0]) and same_bits(a[1], b[1])


def test_plans_come_and_go_under_many_threads():
    """Layers so small that a run is little else than the search for its plan."""
    model = single_node("GlobalMaxPool", "f32", ["n", "c", "w"], {})
    ours = session(model, lanepool=True)
    inputs = [np.arange(1, 2 + i, dtype=np.float32).reshape(1, 1, -1) for i in range(24)]
    with ThreadPoolExecutor(8) as threads:
        for got, x in zip(threads.map(lambda x: ours.run(None, {"x": x})[0], inputs * 1500), inputs * 1500):
            assert got.item() == x.size


def test_two_sessions_of_one_library(rng):
    x = rng.standard_normal((1, 2, 30)).astype(np.float32)
    model = single_node("AveragePool", "f32", x.shape, {"kernel_shape": [3]})
    first, second = session(model, lanepool=True), session(model, lanepool=True)
    kept = first.run(None, {"x": x})[0]
    del first
    assert same_bits(second.run(None, {"x": x})[0], kept)
