"""LiteRT, once TensorFlow Lite: a model of one node. Floats and signed bytes run on XNNPACK."""

import importlib.metadata

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from . import Ready

TYPES = {"f32": schema.TensorType.FLOAT32, "u8": schema.TensorType.UINT8, "i8": schema.TensorType.INT8}


def tensor(name, shape, layer):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), TYPES[layer.element], 0
    if layer.element != "f32":
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [1.0], [0]
    return made


def model(layer, padding):
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = layer.stride
    options.filterHeight, options.filterWidth = layer.kernel

    code = schema.OperatorCodeT()
    code.builtinCode = {"max": schema.BuiltinOperator.MAX_POOL_2D, "avg": schema.BuiltinOperator.AVERAGE_POOL_2D}[layer.op]
    code.deprecatedBuiltinCode = code.builtinCode
    code.version = 2 if layer.element == "i8" else 1

    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0], [1]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Pool2DOptions, options

    graph = schema.SubGraphT()
    graph.tensors = [tensor("x", layer.input_shape, layer), tensor("y", layer.output_shape, layer)]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]

    made = schema.ModelT()
    made.version, made.operatorCodes, made.subgraphs, made.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class Engine:
    version = importlib.metadata.version("ai-edge-litert")

    def __init__(self, threads):
        self.threads = threads

    def prepare(self, layer, x):
        if layer.layout != "nhwc" or layer.element not in TYPES:
            return None
        valid = not any(layer.pad)
        as_long = all(out == -(-length // stride) for out, length, stride in zip(layer.output_spatial, layer.shape[2:], layer.stride))
        if not valid and not as_long:
            return None
        interpreter = Interpreter(model_content=model(layer, schema.Padding.VALID if valid else schema.Padding.SAME), num_threads=self.threads)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        y = interpreter.get_output_details()[0]["index"]
        # SAME pads less at the beginning where the stride is 2, and its averages leave padding out.
        differs = not valid and (layer.op == "avg" or any(stride > 1 for stride in layer.stride))
        output = None if differs else lambda: interpreter.get_tensor(y)
        return Ready(interpreter.invoke, output, "pads in its own way" if differs else "")
