"""Whole networks: what each pooling node computes within them, and what comes out at the end."""

import math

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import same_bits, session
from models import NAMES, light, pooling

EPS = float(np.finfo(np.float32).eps)


def taps(node, shapes):
    window = next((attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape"), None)
    return math.prod(window or shapes[node.input[0]][2:])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_every_pooling_node_of_a_network(name, threads, rng):
    model, source, shape = light(name)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {each.name: [axis.dim_value for axis in each.type.tensor_type.shape.dim] for each in inferred}
    nodes = pooling(model)
    model.graph.output.extend(onnx.ValueInfoProto(name=node.output[0]) for node in nodes)
    wanted = [node.output[0] for node in nodes] + [model.graph.output[0].name]

    x = rng.standard_normal(shape).astype(np.float32)
    stock, ours = (session(model, lanepool, threads).run(wanted, {source: x}) for lanepool in (False, True))
    for node, a, b in zip(nodes, ours, stock):
        assert b.any() and np.isfinite(b).all(), f"{node.name} has nothing to tell"
        if "Max" in node.op_type:
            assert same_bits(a, b), node.name
        else:
            # The same inputs, none of them negative, so that the mean of their sizes is the average itself.
            assert np.all(np.abs(a - b) <= taps(node, shapes) * EPS * np.abs(b)), node.name
    probabilities, expected = ours[-1], stock[-1]
    assert np.allclose(probabilities, expected, rtol=1e-4, atol=1e-7)
    assert probabilities.argmax() == expected.argmax() and np.ptp(expected) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_network_at_the_highest_level(name, rng):
    """ONNX Runtime then blocks the channels of its convolutions, and unblocks them before our nodes: other sums, much the same result."""
    model, source, shape = light(name)
    x = rng.standard_normal(shape).astype(np.float32)
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    stock, ours = (session(model, lanepool, level=level).run(None, {source: x})[0] for lanepool in (False, True))
    assert np.allclose(ours, stock, rtol=1e-3, atol=1e-7) and ours.argmax() == stock.argmax()
