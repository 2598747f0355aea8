"""The light models of the package onnx: the published networks with weights that are all alike, which are drawn at random here."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

NAMES = ("light_resnet50", "light_inception_v1", "light_squeezenet")


def light(name, seed=50):
    """A network with random weights, its pooling nodes named after what they compute; and the name and shape of its input."""
    rng = np.random.default_rng(seed)
    model = onnx.load(Path(onnx.__file__).parent / "backend/test/data/light" / f"{name}.onnx")
    # From this version on an initializer is no input, and its shape is known to shape inference.
    model.ir_version = 4
    graph = model.graph
    known = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(known[node.input[0]])
        # As large as keeps the activations' size; vectors among them are variances, which are positive.
        wide = len(shape) > 1
        drawn = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])) if wide else rng.uniform(0.5, 1.5, shape)
        graph.initializer.append(numpy_helper.from_array(drawn.astype(np.float32), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    for node in pooling(model):
        node.name = node.output[0]
    fixed = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in fixed]
    del graph.input[:]
    graph.input.extend(inputs)
    (source,) = inputs
    return model, source.name, [axis.dim_value for axis in source.type.tensor_type.shape.dim]


def pooling(model):
    return [node for node in model.graph.node if "Pool" in node.op_type]
