"""The maxima and averages of `layers.json`: pooling layers of published networks, and two of image processing, in every element and layout."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import ml_dtypes
import numpy as np

ELEMENTS = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "u8": np.uint8, "i8": np.int8}
# What every engine has an operator for; the list has other operations too.
OPERATIONS = {"max", "avg"}
# Too large, or too far from their bound, to be worth it in every element.
F32_ALONE = {"resnet50_stem_b32", "boxblur_avg31s1", "morph_max31s1"}


@dataclass(frozen=True)
class Layer:
    name: str
    op: str
    """`max`, or `avg`, which divides by every tap of the window, padding too."""
    shape: tuple
    """N, C, spatial, whatever the layout."""
    kernel: tuple
    stride: tuple
    pad: tuple
    """Before and after each axis."""
    is_global: bool = False
    """One window, the whole plane: an operator of its own in most engines."""
    element: str = "f32"
    layout: str = "nchw"

    @property
    def dtype(self):
        return np.dtype(ELEMENTS[self.element])

    @property
    def output_spatial(self):
        sizes = zip(self.shape[2:], self.kernel, self.stride, self.pad)
        return tuple((length + 2 * pad - kernel) // stride + 1 for length, kernel, stride, pad in sizes)

    @property
    def input_shape(self):
        """As it lies in memory."""
        return self._in_memory(self.shape[2:])

    @property
    def output_shape(self):
        return self._in_memory(self.output_spatial)

    def _in_memory(self, spatial):
        batch, channels = self.shape[:2]
        return (batch, channels, *spatial) if self.layout == "nchw" else (batch, *spatial, channels)

    def smallest(self):
        """The same operation on one channel and one window: what is left is the call."""
        if self.is_global:
            two = (2,) * len(self.kernel)
            return replace(self, shape=(1, 1, *two), kernel=two)
        spatial = (max(1, kernel - 2 * pad) for kernel, pad in zip(self.kernel, self.pad))
        return replace(self, shape=(1, 1, *spatial))

    def on(self, engine, inputs):
        """The layer made ready on an engine; None where that has no such layer."""
        return engine.prepare(self, *inputs) if hasattr(engine, "prepare") else None

    def inputs(self):
        """Random values, the same every time."""
        rng = np.random.default_rng(7)
        x = aligned(self.input_shape, self.dtype)
        if self.dtype.kind in "iu":
            info = np.iinfo(self.dtype)
            x[...] = rng.integers(info.min, info.max + 1, x.shape)
        else:
            x[...] = rng.standard_normal(x.shape, np.float32)
        return [x]

    def outputs(self):
        return [self.output()]

    def output(self):
        return aligned(self.output_shape, self.dtype)

    def __str__(self):
        return f"{self.name}/{self.layout}/{self.element}"


def aligned(shape, dtype):
    """Zeros that begin at a line of the cache, as those of every engine do."""
    count = int(np.prod(shape)) * dtype.itemsize
    raw = np.zeros(count + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + count].view(dtype).reshape(shape)


def of_row(row):
    """A layer as the list has it, in the form of `lanepool bench --cases`."""
    shape = tuple(row["shape"])
    is_global = row["kernel"] == "global"
    kernel = shape[2:] if is_global else tuple(row["kernel"])
    stride, pad = (tuple(row.get(key, [default] * len(kernel))) for key, default in (("stride", 1), ("padding", 0)))
    return Layer(row["name"], row["op"], shape, kernel, stride, pad, is_global)


def layers():
    rows = json.loads((Path(__file__).parents[1] / "layers.json").read_text())
    published = [of_row(row) for row in rows if row["op"] in OPERATIONS]
    for element in ELEMENTS:
        for layout in ("nchw", "nhwc"):
            for layer in published:
                # Channels last, and elements but f32, are what engines have for images.
                is_image = len(layer.shape) == 4 and layer.shape[0] == 1
                if (layout == "nchw" or is_image) and (element == "f32" or (is_image and layer.name not in F32_ALONE)):
                    yield replace(layer, element=element, layout=layout)
