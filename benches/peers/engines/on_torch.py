"""PyTorch: functions, without a record for gradients, which are called themselves. Channels last is its memory format."""

import numpy as np
import torch
from torch.nn import functional

from . import Ready


class Engine:
    version = torch.__version__

    def __init__(self, threads):
        torch.set_num_threads(threads)

    def prepare(self, layer, x):
        axes = len(layer.kernel)
        source = torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) if layer.element == "bf16" else torch.from_numpy(x)
        if layer.layout == "nhwc":
            source = source.movedim(-1, 1)
        if layer.is_global:
            over = tuple(range(2, 2 + axes))
            reduce = torch.amax if layer.op == "max" else torch.mean

            def pool():
                return reduce(source, over, keepdim=True)
        else:
            function = getattr(functional, f"{layer.op}_pool{axes}d")

            def pool():
                return function(source, layer.kernel, layer.stride, layer.pad)

        def run():
            with torch.inference_mode():
                return pool()

        def output():
            y = run().float()
            return (y.movedim(1, -1) if layer.layout == "nhwc" else y).numpy()

        return Ready(run, output)

    def operation(self, layer, inputs):
        if layer.op == "lp" and any(layer.pad):
            return None
        sources = [torch.from_numpy(x).movedim(-1, 1) if layer.layout == "nhwc" else torch.from_numpy(x) for x in inputs]
        pool = function_of(layer)

        def run():
            with torch.inference_mode():
                return pool(*sources)

        def output():
            made = run()
            made = made if isinstance(made, tuple) else (made,)
            return [(y.movedim(1, -1) if layer.layout == "nhwc" else y).numpy() for y in made]

        return Ready(run, output)


def function_of(layer):
    """An operation as a function of its inputs."""
    window = (layer.kernel, layer.stride, layer.pad)
    backward = torch.ops.aten
    # The gradient of a maximum asks for the input too, and reads its shape alone.
    x = torch.zeros(layer.shape)
    if layer.layout == "nhwc":
        x = x.contiguous(memory_format=torch.channels_last)
    return {
        "max_indices": lambda x: functional.max_pool2d(x, *window, return_indices=True),
        "adaptive_max": lambda x: functional.adaptive_max_pool2d(x, layer.output),
        "adaptive_avg": lambda x: functional.adaptive_avg_pool2d(x, layer.output),
        "lp": lambda x: functional.lp_pool2d(x, layer.p, layer.kernel, layer.stride),
        "unpool": lambda y, indices: functional.max_unpool2d(y, indices, *window),
        "max_backward": lambda gradient, indices: backward.max_pool2d_with_indices_backward(
            gradient, x, *window, (1, 1), False, indices
        ),
        "avg_backward": lambda gradient: backward.avg_pool2d_backward(gradient, x, *window, False, True, None),
    }[layer.op]
