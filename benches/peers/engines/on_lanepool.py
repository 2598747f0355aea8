"""lanepool through its C interface. What the structures and numbers are is read from the installed header."""

import ctypes
import os
import re
from pathlib import Path

from . import Ready

TYPES = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint64_t": ctypes.c_uint64, "float": ctypes.c_float, "double": ctypes.c_double}


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
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for run in (self.c.lanepool_plan_run, self.c.lanepool_plan_run_parallel):
            run.argtypes = [pointer, pointer, size, pointer, size, pointer]
        self.c.lanepool_plan_run_parallel.argtypes = [pointer, pointer, size, pointer, size, pointer, size, pointer]
        self.version = self.c.lanepool_version_string().decode()
        self.threads = threads

    def plan(self, layer):
        desc = self.Desc()
        self.check(self.c.lanepool_desc_init(ctypes.byref(desc), ctypes.sizeof(desc)))
        desc.operation = self.number[layer.op.upper()]
        desc.element = self.number[layer.element.upper()]
        desc.layout = self.number[layer.layout.upper()]
        desc.spatial_axes = len(layer.kernel)
        desc.shape[: len(layer.shape)] = layer.shape
        if layer.is_global:
            setattr(desc, "global", 1)
        else:
            for field, lengths in (("kernel", layer.kernel), ("stride", layer.stride), ("pad_begin", layer.pad), ("pad_end", layer.pad)):
                getattr(desc, field)[: len(lengths)] = lengths
            if layer.op == "avg":
                desc.divide_by = self.number["DIVIDE_BY_PADDED"]
        plan = ctypes.c_void_p()
        self.check(self.c.lanepool_plan_create(ctypes.byref(desc), ctypes.byref(plan), None))
        return plan

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.c.lanepool_status_message(status).decode())

    def prepare(self, layer, x):
        y = layer.output()
        plan = self.plan(layer)
        arguments = [plan, x.ctypes.data, x.nbytes, y.ctypes.data, y.nbytes, None]
        run = self.c.lanepool_plan_run
        if self.threads > 1:
            arguments[5:5] = [None, 0]
            run = self.c.lanepool_plan_run_parallel
        self.check(run(*arguments))
        return Ready(lambda keep=(x, y): run(*arguments), lambda: y)
