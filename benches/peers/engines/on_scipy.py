"""SciPy: filters of pictures, a window at each pixel."""

import scipy
from scipy import ndimage

from . import Ready
from .pictures import is_centred, picture_of


class Engine:
    version = scipy.__version__

    def __init__(self, threads):
        pass

    def prepare(self, layer, x):
        picture = picture_of(layer, x)
        if picture is None or not is_centred(layer):
            return None
        size = (*layer.kernel, 1)[: picture.ndim]
        # Outside is what changes no maximum, as far as an element can say.
        outside = 0 if layer.op == "avg" or layer.element == "u8" else -3e38
        filtered = ndimage.maximum_filter if layer.op == "max" else ndimage.uniform_filter

        def run():
            return filtered(picture, size, mode="constant", cval=outside)

        return Ready(run, lambda: run().reshape(layer.output_shape))
