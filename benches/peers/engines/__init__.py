"""The engines. Each module has a class `Engine`, made with the number of threads, which has

- `version`: of the engine;
- `prepare(layer, x)`: a `Ready`, or None where the engine has no such layer;
- `operation(layer, inputs)`: the same for operations beside maxima and averages, in an engine that has any.
"""

import importlib
from dataclasses import dataclass
from typing import Callable

import numpy as np

# The first two are timed always: what all are compared with.
NAMES = ("bound", "lanepool", "onnxruntime", "openvino", "litert", "torch", "opencv", "scipy", "skimage")


@dataclass
class Ready:
    """A layer made ready to run, over and over, on one input."""

    run: Callable[[], object]
    """Runs it, and gives the time of nothing else."""
    output: Callable[[], np.ndarray | list[np.ndarray]] | None = None
    """What the last run computed, a list where that is more than one tensor; None where that is not the layer's output."""
    note: str = ""
    """What differs from the layer although the work is the same."""


def load(name, threads):
    return importlib.import_module(f"{__name__}.on_{name}").Engine(threads)
