"""Operations beside maxima and averages, of `operations.json`: where maxima lie, adaptive windows, norms, unpooling, gradients. And pictures, whose
maxima and averages libraries of image processing have."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from layers import OPERATIONS, aligned, of_row
from numpy.lib.stride_tricks import sliding_window_view


@dataclass(frozen=True)
class Operation:
    name: str
    op: str
    """`max_indices`, `adaptive_max`, `adaptive_avg`, `lp`, `unpool`, `max_backward` or `avg_backward`."""
    shape: tuple
    """N, C, height, width of the plane that is pooled, and so of what a gradient or unpooling writes."""
    kernel: tuple = ()
    stride: tuple = ()
    pad: tuple = ()
    output: tuple = ()
    """Height and width of adaptive outputs."""
    p: float = 0.0
    element: str = "f32"
    layout: str = "nchw"

    def on(self, engine, inputs):
        return engine.operation(self, inputs) if hasattr(engine, "operation") else None

    @property
    def is_adaptive(self):
        return self.op.startswith("adaptive")

    @property
    def pooled(self):
        """The shape of the pooled plane."""
        sizes = zip(self.shape[2:], self.kernel, self.stride, self.pad)
        spatial = self.output or tuple((length + 2 * pad - kernel) // stride + 1 for length, kernel, stride, pad in sizes)
        return (*self.shape[:2], *spatial)

    def smallest(self):
        """The same on one channel and one window: what is left is the call."""
        if self.is_adaptive:
            return replace(self, shape=(1, 1, 1, 1), output=(1, 1))
        spatial = (max(1, kernel - 2 * pad) for kernel, pad in zip(self.kernel, self.pad))
        return replace(self, shape=(1, 1, *spatial))

    def inputs(self):
        """Random values, the same every time. Indices are those of the greatest values of random planes."""
        rng = np.random.default_rng(7)
        if self.op in ("unpool", "max_backward"):
            values, indices = self.greatest(rng.standard_normal(self.shape, np.float32))
            if self.op == "max_backward":
                values = rng.standard_normal(self.pooled, np.float32)
            return [self.in_memory(values), self.in_memory(indices)]
        x = rng.standard_normal(self.pooled if self.op == "avg_backward" else self.shape, np.float32)
        return [self.in_memory(np.abs(x) if self.op == "lp" else x)]

    def greatest(self, x):
        """The greatest value of each window, and its place in its plane."""
        numbers = np.broadcast_to(np.arange(x[0, 0].size, dtype=np.int64).reshape(x.shape[2:]), x.shape)

        def windows(plane, outside):
            padded = np.pad(plane, [(0, 0), (0, 0), *((pad, pad) for pad in self.pad)], constant_values=outside)
            strided = sliding_window_view(padded, self.kernel, (2, 3))[:, :, :: self.stride[0], :: self.stride[1]]
            return strided.reshape(*strided.shape[:4], -1)

        values = windows(x, -np.inf)
        winner = values.argmax(-1)[..., None]
        return (np.take_along_axis(each, winner, -1)[..., 0] for each in (values, windows(numbers, -1)))

    def outputs(self):
        if self.op == "max_indices":
            return [self.zeros(self.pooled, np.float32), self.zeros(self.pooled, np.int64)]
        writes_plane = self.op == "unpool" or self.op.endswith("backward")
        return [self.zeros(self.shape if writes_plane else self.pooled, np.float32)]

    def in_memory(self, array):
        laid = self.zeros(array.shape, array.dtype)
        laid[...] = array if self.layout == "nchw" else np.moveaxis(array, 1, -1)
        return laid

    def zeros(self, shape, dtype):
        if self.layout == "nhwc":
            shape = (shape[0], *shape[2:], shape[1])
        return aligned(shape, np.dtype(dtype))

    def __str__(self):
        return f"{self.name}/{self.layout}/{self.element}"


def operations():
    for row in json.loads((Path(__file__).parents[1] / "operations.json").read_text()):
        if row["op"] in OPERATIONS:
            yield replace(of_row(row), element=row["element"], layout=row["layout"])
            continue
        given = {"kernel": "kernel", "stride": "stride", "pad": "padding", "output": "output"}
        lists = {name: tuple(row[key]) for name, key in given.items() if key in row}
        for layout in ("nchw", "nhwc"):
            yield Operation(row["name"], row["op"], tuple(row["shape"]), p=row.get("p", 0.0), layout=layout, **lists)
