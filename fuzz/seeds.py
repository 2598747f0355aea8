#!/usr/bin/env python3
"""Writes the seeds and the dictionary: the layers of well-known networks, and the numbers that break arithmetic."""

import pathlib
import struct

HERE = pathlib.Path(__file__).parent
ALL = (1 << 64) - 1


def number(n):
    return struct.pack("<Q", n & ALL)


def dictionary():
    numbers = {0, 1, -1, -2, (1 << 63) - 1}
    for bit in (15, 16, 31, 32, 33, 47, 59, 61, 62, 63):
        numbers |= {(1 << bit) - 1, 1 << bit, (1 << bit) + 1}
    # From advisories: kernels, dilations and shapes that broke other engines.
    numbers |= {536870912, 1879048192, 1250999896764, 4634247419717959497, 576936867, -576936867, 9132760301568586890}
    lines = ["# 64-bit numbers, lowest byte first."]
    lines += ['"' + "".join(f"\\x{byte:02x}" for byte in number(n)) + '"' for n in sorted(numbers)]
    lines += ["# Bits of f32: NaN, infinities, zeros, subnormals, the largest number; highest byte first."]
    bits = (0x7FC00000, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x7F7FFFFF, 0x3F800000)
    lines += ['"' + "".join(f"\\x{byte:02x}" for byte in struct.pack(">I", n)) + '"' for n in bits]
    (HERE / "dictionary.txt").write_text("\n".join(lines) + "\n")


def plan_seed(name, shape, kernel, stride=None, dilation=None, begin=None, end=None, same=None, flags=0):
    rank = len(shape) - 2
    data = b""
    for bit, numbers in ((2, stride), (4, dilation)):
        flags |= bit if numbers else 0
    flags |= 0 if kernel else 1
    flags |= 16 if begin else 0
    flags |= 8 | (32 if same == "upper" else 0) if same else 0
    for numbers in (kernel, stride, dilation, begin, end, shape):
        data += b"".join(map(number, numbers or []))
    (HERE / "seeds/plan" / name).write_bytes(bytes([flags, rank]) + data)


def run_seed(name, *values, tensor=b""):
    (HERE / "seeds/run_diff" / name).write_bytes(bytes(values) + tensor)


def main():
    for target in ("plan", "run_diff"):
        (HERE / "seeds" / target).mkdir(parents=True, exist_ok=True)
    dictionary()
    plan_seed("stem", [1, 64, 112, 112], [3, 3], [2, 2], None, [1, 1], [1, 1])
    plan_seed("head", [1, 2048, 7, 7], None)
    plan_seed("spp", [1, 512, 19, 19], [13, 13], None, None, [6, 6], [6, 6])
    plan_seed("same", [1, 3, 9, 9], [2, 2], [2, 2], same="upper")
    plan_seed("ceil", [2, 3, 5, 9, 9], [2, 3, 3], [2, 2, 2], [1, 2, 1], [0, 1, 1], [1, 1, 0], flags=64)
    plan_seed("wrap", [1, 1, 4], [1250999896764], None, [1250999896764])
    plan_seed("empty", [0, 3, 4, 1 << 61], [2, 2], [2, 2], None, [3, 3], [3, 3], flags=128)
    tensor = struct.pack(">8I", 0x7FC00001, 0x80000000, 0, 0x3F800000, 0xFF800000, 1, 0x7F7FFFFF, 0xC0490FDB)
    # element, operation, layout, rank - 1, channels - 1, batch - 1, lengths - 1, flags, kernel - 1, stride - 1, padding
    run_seed("rows", 0, 0, 0, 1, 1, 0, 8, 20, 1, 2, 2, 1, 1, 1, 1, 1, 1, tensor=tensor)
    run_seed("pixels", 0, 4, 2, 1, 18, 0, 5, 6, 1, 2, 2, 0, 0, 1, 1, 1, 1, tensor=tensor)
    run_seed("bands", 0, 5, 0, 1, 0, 1, 12, 14, 17, 9, 8, 0, 0, 4, 4, 3, 4, tensor=tensor)
    run_seed("global", 0, 8, 0, 1, 4, 0, 6, 6, 15, tensor=tensor)
    run_seed("blocked", 0, 1, 3 + 4 * 4, 2, 0, 1, 2, 3, 4, 98, 1, 1, 2, 0, 1, 1, 1, 0, 1, tensor=tensor)


if __name__ == "__main__":
    main()
