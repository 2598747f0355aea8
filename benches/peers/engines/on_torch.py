"""PyTorch, without gradients. Channels last is its memory format."""

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
