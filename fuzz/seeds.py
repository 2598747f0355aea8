#!/usr/bin/env python3
"""Writes the seeds and the dictionary: the layers of well-known networks, and the numbers that break arithmetic.

Numbers are written as `fuzz/common/bytes.rs` reads them.
"""

import pathlib
import struct

HERE = pathlib.Path(__file__).parent
ALL = (1 << 64) - 1


def number(n):
    """One byte for a small number, nine for any other."""
    return bytes([n]) if 0 <= n < 224 else b"\xff" + struct.pack("<Q", n & ALL)


def dictionary():
    numbers = {0, 1, -1, -2, (1 << 63) - 1}
    for bit in (15, 16, 31, 32, 33, 47, 59, 61, 62, 63):
        numbers |= {(1 << bit) - 1, 1 << bit, (1 << bit) + 1}
    # From advisories: kernels, dilations and shapes that broke other engines.
    numbers |= {536870912, 1879048192, 1250999896764, 4634247419717959497, 576936867, -576936867, 9132760301568586890}
    escaped = lambda data: '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'
    lines = ["# 64-bit numbers, as the targets read them."]
    lines += [escaped(number(n)) for n in sorted(numbers)]
    lines += ["# Bits of f32: NaN, infinities, zeros, subnormals, the largest number; highest byte first."]
    bits = (0x7FC00000, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x7F7FFFFF, 0x3F800000)
    lines += [escaped(struct.pack(">I", n)) for n in bits]
    (HERE / "dictionary.txt").write_text("\n".join(lines) + "\n")


def seed(target, name, data):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(data))


def plan_seed(name, shape, kernel, stride=None, dilation=None, begin=None, end=None, same=None, flags=0, what=(0, 0, 0)):
    rank = len(shape) - 2
    data = b""
    for bit, numbers in ((2, stride), (4, dilation)):
        flags |= bit if numbers else 0
    flags |= 0 if kernel else 1
    flags |= 16 if begin else 0
    flags |= 8 | (32 if same == "upper" else 0) if same else 0
    for numbers in (kernel, stride, dilation, begin, end, shape):
        data += b"".join(map(number, numbers or []))
    # The place of the rank in the target's list; then operation, tier and layout.
    seed("plan", name, bytes([flags, rank - 1, *what]) + data)


def main():
    dictionary()
    plan_seed("stem", [1, 64, 112, 112], [3, 3], [2, 2], None, [1, 1], [1, 1])
    plan_seed("head", [1, 2048, 7, 7], None, what=(2, 1, 1))
    plan_seed("spp", [1, 512, 19, 19], [13, 13], None, None, [6, 6], [6, 6], what=(0, 2, 1))
    plan_seed("same", [1, 3, 9, 9], [2, 2], [2, 2], same="upper")
    plan_seed("ceil", [2, 3, 5, 9, 9], [2, 3, 3], [2, 2, 2], [1, 2, 1], [0, 1, 1], [1, 1, 0], flags=64, what=(3, 2, 0))
    plan_seed("wrap", [1, 1, 4], [1250999896764], None, [1250999896764])
    plan_seed("empty", [0, 3, 4, 1 << 61], [2, 2], [2, 2], None, [3, 3], [3, 3], flags=128)

    tensor = struct.pack(">8I", 0x7FC00001, 0x80000000, 0, 0x3F800000, 0xFF800000, 1, 0x7F7FFFFF, 0xC0490FDB)
    # element, tier, driver, question; operation, layout, rank - 1, channels - 1, batch - 1, lengths - 1, flags, kernel - 1, stride - 1,
    # padding
    layers = {
        "rows": [0, 0, 1, 1, 0, 8, 20, 1, 2, 2, 1, 1, 1, 1, 1, 1],
        "pixels": [4, 2, 1, 18, 0, 5, 6, 1, 2, 2, 0, 0, 1, 1, 1, 1],
        "bands": [5, 0, 1, 0, 1, 12, 14, 17, 9, 8, 0, 0, 4, 4, 3, 4],
        "global": [8, 0, 1, 4, 0, 6, 6, 15],
        "blocked": [1, 3 + 4 * 4, 2, 0, 1, 2, 3, 4, 98, 1, 1, 2, 0, 1, 1, 1, 0, 1],
    }
    for i, (name, layer) in enumerate(layers.items()):
        for question in (0, 11, 13, 14):
            seed("run_diff", f"{name}-{question}", bytes([i, i, 0, question, *layer]) + tensor)

    # flags, operation - 1, element - 1, tier, axes - 1, batch - 1, channels - 1, then for each axis length - 1, kernel - 1, stride - 1;
    # where indices are asked for, type and kind; then the room for a text, the function, what is wrong, tasks and the tensor.
    plane = [1, 0, 2, 8, 2, 1, 8, 2, 1]
    for operation, function in ((0, 0), (2, 0), (3, 9), (4, 10), (5, 0)):
        element = 5 if operation == 5 else 0
        seed("capi", f"run-{operation}-{function}", bytes([0, operation, element, 1, *plane, 40, function, 0, 2, 1]) + tensor)
    for function in (1, 2):
        seed("capi", f"indexed-{function}", bytes([16, 0, 0, 1, *plane, 1, 0, 40, function, 0, 2, 1]) + tensor)
    seed("capi", "gradient", bytes([4, 2, 0, 1, *plane, 40, 5, 0, 2, 1]) + tensor)

    # operator family, rank - 1, operator, version; then lists, each with a byte that says "as many as axes".
    seed("import", "onnx-max", [0, 1, 0, 12, 31, 3, 3, 1, 31, 2, 2, 1, 31, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 112, 112])
    seed("import", "onnx-average", [0, 1, 2, 19, 31, 3, 3, 1, 31, 2, 2, 0, 1, 31, 1, 1, 1, 2, 0, 1, 1, 0, 0, 0, 2, 9, 9])
    seed("import", "torch-max", [2, 1, 0, 31, 3, 3, 31, 2, 2, 31, 1, 1, 31, 1, 1, 1, 0, 0, 2, 9, 9])
    seed("import", "tflite", [3, 1, 0, 2, 2, 3, 3, 3, 2, 9, 9, 1])
    seed("import", "tensorflow", [3, 0, 31, 1, 3, 3, 1, 31, 1, 2, 2, 1, 0, 0, 2, 9, 9, 1])


if __name__ == "__main__":
    main()
