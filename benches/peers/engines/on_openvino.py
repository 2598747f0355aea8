"""OpenVINO's CPU plugin: a model of one node, its input and output in memory that is shared."""

import openvino
from openvino import opset14

from . import Ready


class Engine:
    version = openvino.__version__.split("-")[0]

    def __init__(self, threads):
        self.core = openvino.Core()
        self.config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}

    def prepare(self, layer, x):
        # Its pooling is channels first; of averages, integers are not among the types.
        if layer.layout != "nchw" or layer.element == "bf16":
            return None
        source = opset14.parameter(list(layer.shape), getattr(openvino.Type, layer.element))
        strides, pads, kernel = list(layer.stride), list(layer.pad), list(layer.kernel)
        if layer.op == "max":
            pooled = opset14.max_pool(source, strides, [1] * len(kernel), pads, pads, kernel).output(0)
        else:
            pooled = opset14.avg_pool(source, strides, pads, pads, kernel, False).output(0)
        # Otherwise floats may be computed in a narrower type.
        precision = {"INFERENCE_PRECISION_HINT": layer.element} if layer.element in ("f32", "f16") else {}
        compiled = self.core.compile_model(openvino.Model([pooled], [source]), "CPU", self.config | precision)
        request = compiled.create_infer_request()
        y = layer.output()
        request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(y, shared_memory=True))
        return Ready(lambda keep=(x, y): request.infer(), lambda: y)
