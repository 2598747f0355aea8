"""What the tests share: sessions of stock ONNX Runtime and of lanepool's operators, and models of a single node."""

import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parent.parent))
from to_lanepool import to_lanepool  # noqa: E402

LIBRARY = os.environ["LANEPOOL_ONNXRUNTIME"]
TYPES = {
    "f32": TensorProto.FLOAT,
    "f64": TensorProto.DOUBLE,
    "f16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "u8": TensorProto.UINT8,
    "i8": TensorProto.INT8,
}


def single_node(op, element, shape, attributes, outputs=1, opset=22):
    """A model that converts float to the element, pools, and converts back; indices are a second output."""
    # ONNX Runtime has no kernel of the newest GlobalLpPool.
    opset = 18 if op == "GlobalLpPool" else opset
    nodes = [
        helper.make_node("Cast", ["x"], ["in"], to=TYPES[element]),
        helper.make_node(op, ["in"], ["out", "indices"][:outputs], name="pool", **attributes),
        helper.make_node("Cast", ["out"], ["y"], to=TensorProto.DOUBLE),
    ]
    results = [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)]
    if outputs == 2:
        results.append(helper.make_tensor_value_info("indices", TensorProto.INT64, None))
    graph = helper.make_graph(nodes, "single", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)], results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def session(model, lanepool, threads=1, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED):
    """A session of the model as it is, or with its pooling nodes in lanepool's domain. Blocked layouts, which only the highest
    level has, would change the sums of the convolutions before a stock node and not those before ours."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    options.log_severity_level = 4
    if lanepool:
        options.register_custom_ops_library(LIBRARY)
        moved = type(model)()
        moved.CopyFrom(model)
        assert to_lanepool(moved) > 0
        model = moved
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.fixture
def rng():
    return np.random.default_rng(20)
