"""What libraries of image processing take: one picture, channels last."""


def picture_of(layer, x):
    """A layer's input as a picture; a single channel has no axis of its own. None where it is none."""
    if layer.layout != "nhwc" or len(layer.shape) != 4 or layer.shape[0] != 1 or layer.is_global:
        return None
    channels = layer.shape[1]
    if channels > 4 or layer.element not in ("u8", "f32"):
        return None
    return x[0, ..., 0] if channels == 1 else x[0]


def is_centred(layer):
    """A window at each pixel, whose middle the pixel is."""
    return set(layer.stride) == {1} and all(kernel == 2 * pad + 1 for kernel, pad in zip(layer.kernel, layer.pad))


def is_tiled(layer):
    """Windows side by side that leave nothing over."""
    divides = all(length % kernel == 0 for length, kernel in zip(layer.shape[2:], layer.kernel))
    return layer.stride == layer.kernel and not any(layer.pad) and divides
