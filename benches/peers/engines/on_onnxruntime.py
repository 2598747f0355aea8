"""ONNX Runtime: a model of one node, its input and output bound to memory once."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from . import Ready

TYPES = {"f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16, "u8": TensorProto.UINT8, "i8": TensorProto.INT8}


def node(layer):
    """The operator that ONNX Runtime has for the layer, its constants, and None where it has none."""
    of_bytes = layer.element in ("u8", "i8")
    name = ("Global" if layer.is_global else "") + {"max": "MaxPool", "avg": "AveragePool"}[layer.op]
    window = {} if layer.is_global else {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.pad * 2}
    if layer.op == "avg" and not layer.is_global:
        window["count_include_pad"] = 1
    if of_bytes and layer.op == "avg":
        # Scale 1 and zero point 0 on both sides. "x" is the input's own place in this list.
        zero = helper.make_tensor("zero", TYPES[layer.element], [], [0])
        one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
        inputs = ["x", "one", "zero", "one", "zero"]
        last = int(layer.layout == "nhwc")
        return helper.make_node("QLinear" + name, inputs, ["y"], domain="com.microsoft", channels_last=last, **window), [one, zero]
    if of_bytes and layer.layout == "nhwc" and not layer.is_global:
        return helper.make_node("NhwcMaxPool", ["x"], ["y"], domain="com.microsoft", **window), []
    if layer.layout == "nchw" and not (of_bytes and layer.is_global):
        return helper.make_node(name, ["x"], ["y"], **window), []
    return None


class Engine:
    version = onnxruntime.__version__

    def __init__(self, threads):
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 4

    def prepare(self, layer, x):
        if layer.element not in TYPES or (made := node(layer)) is None:
            return None
        kind = TYPES[layer.element]
        values = [helper.make_tensor_value_info(*each) for each in (("x", kind, layer.input_shape), ("y", kind, layer.output_shape))]
        graph = helper.make_graph([made[0]], "layer", values[:1], values[1:], made[1])
        opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), self.options, providers=["CPUExecutionProvider"])
        y = layer.output()
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, layer.dtype, x.shape, x.ctypes.data)
        binding.bind_output("y", "cpu", 0, layer.dtype, y.shape, y.ctypes.data)
        return Ready(lambda keep=(x, y): session.run_with_iobinding(binding), lambda: y)
