"""lanepool through its C interface. What the structures and numbers are is read from the installed header."""

import ctypes
import os
import re
from pathlib import Path

from . import Ready

TYPES = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint64_t": ctypes.c_uint64, "float": ctypes.c_float, "double": ctypes.c_double}

# How many buffers each entry takes.
ENTRIES = {
    "lanepool_plan_run": 2,
    "lanepool_plan_run_parallel": 3,
    "lanepool_plan_run_with_indices": 3,
    "lanepool_plan_unpool": 3,
    "lanepool_plan_backward": 2,
    "lanepool_plan_backward_max": 3,
}
# The entry that runs an operation, what a description calls it, and what else it says.
OPERATIONS = {
    "max_indices": ("run_with_indices", "MAX", {"index_type": "INDEX_I64"}),
    "adaptive_max": ("run", "ADAPTIVE_MAX", {}),
    "adaptive_avg": ("run", "ADAPTIVE_AVG", {}),
    "lp": ("run", "LP", {}),
    "unpool": ("unpool", "MAX_UNPOOL", {"index_type": "INDEX_I64"}),
    "max_backward": ("backward_max", "MAX", {"direction": "BACKWARD", "index_type": "INDEX_I64"}),
    "avg_backward": ("backward", "AVG", {"direction": "BACKWARD", "divide_by": "DIVIDE_BY_PADDED"}),
}


def windows(layer):
    return {"kernel": layer.kernel, "stride": layer.stride, "pad_begin": layer.pad, "pad_end": layer.pad}


class Engine:
    def __init__(self, threads):
        prefix = Path(os.environ["LANEPOOL_PREFIX"])
        header = re.sub(r"/\*.*?\*/", "", (prefix / "include/lanepool.h").read_text(), flags=re.DOTALL)
        self.number = {name: int(value) for name, value in re.findall(r"#define LANEPOOL_(\w+) (\d+)$", header, re.MULTILINE)}

        fields = re.search(r"struct lanepool_desc \{(.*?)\}", header, re.DOTALL).group(1)
        typed = re.findall(r"(\w+) (\w+)(?:\[(\d+)\])?;", fields)
        described = [(name, TYPES[kind] * int(count) if count else TYPES[kind]) for kind, name, count in typed]
        self.Desc = type("Desc", (ctypes.Structure,), {"_fields_": described})

        self.c = ctypes.CDLL(prefix / "lib/liblanepool.so")
        self.c.lanepool_version_string.restype = ctypes.c_char_p
        self.c.lanepool_status_message.restype = ctypes.c_char_p
        for entry, buffers in ENTRIES.items():
            function = getattr(self.c, entry)
            # A buffer is an address and a number of bytes; the last argument takes what went wrong.
            function.argtypes = [ctypes.c_void_p, *[ctypes.c_void_p, ctypes.c_size_t] * buffers, ctypes.c_void_p]
        self.version = self.c.lanepool_version_string().decode()
        self.threads = threads

    def plan(self, layer, **fields):
        desc = self.Desc()
        self.check(self.c.lanepool_desc_init(ctypes.byref(desc), ctypes.sizeof(desc)))
        desc.element = self.number[layer.element.upper()]
        desc.layout = self.number[layer.layout.upper()]
        for field, value in fields.items():
            if isinstance(value, tuple):
                getattr(desc, field)[: len(value)] = value
            else:
                setattr(desc, field, self.number[value] if isinstance(value, str) else value)
        plan = ctypes.c_void_p()
        self.check(self.c.lanepool_plan_create(ctypes.byref(desc), ctypes.byref(plan), None))
        return plan

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.c.lanepool_status_message(status).decode())

    def prepare(self, layer, x):
        fields = {"operation": layer.op.upper(), "shape": layer.shape, "spatial_axes": len(layer.kernel)}
        if layer.is_global:
            fields["global"] = 1
        else:
            fields |= windows(layer)
            if layer.op == "avg":
                fields["divide_by"] = "DIVIDE_BY_PADDED"
        y = layer.output()
        plan = self.plan(layer, **fields)
        if self.threads > 1:
            return self.ready("lanepool_plan_run_parallel", plan, [x, y, None], [y])
        return self.ready("lanepool_plan_run", plan, [x, y], [y])

    def operation(self, layer, inputs):
        entry, operation, fields = OPERATIONS[layer.op]
        fields = {"operation": operation, "shape": layer.shape, "spatial_axes": 2, **fields}
        if layer.op == "unpool":
            # What is unpooled is the input; the plane's shape follows from the windows where they cover it.
            fields["shape"] = layer.pooled
        if layer.is_adaptive:
            fields["output"] = layer.output
        else:
            fields |= windows(layer)
        if layer.op == "lp":
            fields["p"] = layer.p
        outputs = layer.outputs()
        return self.ready(f"lanepool_plan_{entry}", self.plan(layer, **fields), [*inputs, *outputs], outputs)

    def ready(self, entry, plan, buffers, outputs):
        arguments = [plan]
        for buffer in buffers:
            arguments += [None, 0] if buffer is None else [buffer.ctypes.data, buffer.nbytes]
        arguments.append(None)
        run = getattr(self.c, entry)
        self.check(run(*arguments))
        return Ready(lambda keep=buffers: run(*arguments), lambda: outputs)
