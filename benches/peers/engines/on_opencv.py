"""OpenCV: pictures, channels last."""

import cv2
import numpy as np

from . import Ready
from .pictures import is_centred, is_tiled, picture_of


class Engine:
    version = cv2.__version__

    def __init__(self, threads):
        cv2.setNumThreads(threads)

    def prepare(self, layer, x):
        picture = picture_of(layer, x)
        if picture is None:
            return None
        height, width = layer.kernel
        if is_centred(layer) and layer.op == "max":
            element = np.ones((height, width), np.uint8)

            def run():
                return cv2.dilate(picture, element)
        elif is_centred(layer):

            def run():
                return cv2.blur(picture, (width, height), borderType=cv2.BORDER_CONSTANT)
        elif is_tiled(layer) and layer.op == "avg":
            size = tuple(reversed(layer.output_spatial))

            def run():
                return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        else:
            return None
        return Ready(run, lambda: run().reshape(layer.output_shape))
