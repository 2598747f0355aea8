"""A wrong attribute is an error of the session with a sentence that names it; nothing crashes."""

import numpy as np
import pytest
from conftest import session, single_node

WRONG = [
    ("MaxPool", {}, r'MaxPool "pool": the attribute kernel_shape has the length 0, not 1 to 3'),
    ("MaxPool", {"kernel_shape": [1] * 4}, "kernel_shape has the length 4"),
    ("MaxPool", {"kernel_shape": [0, 2]}, r"the kernel is 0 on axis 2 \(height\): a window needs at least one tap"),
    ("MaxPool", {"kernel_shape": [2, -3]}, r"kernel is -3 on axis 3 \(width\)"),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [0, 1]}, r"the stride is 0 on axis 2 \(height\): windows must move"),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [1, -1], "auto_pad": "SAME_LOWER"}, r"stride is -1 on axis 3 \(width\)"),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [1]}, "the attribute strides has the length 1, not 2"),
    ("MaxPool", {"kernel_shape": [3, 3], "dilations": [0, 0]}, "dilation is 0"),
    ("MaxPool", {"kernel_shape": [3, 3], "dilations": [1, 1, 1]}, "the attribute dilations has the length 3, not 2"),
    ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1]}, "the attribute pads has the length 2, not 4"),
    ("MaxPool", {"kernel_shape": [3, 3], "pads": [3, 0, 0, 0]}, "padding 3 is not smaller than the window 3"),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [-1, 0, 0, 0]}, "is -1 on axis 2"),
    ("MaxPool", {"kernel_shape": [3, 3], "auto_pad": "FULL"}, 'auto_pad is "FULL": it must be NOTSET'),
    ("MaxPool", {"kernel_shape": [3, 3], "auto_pad": 3}, "the attribute auto_pad must be a text"),
    ("MaxPool", {"kernel_shape": 3}, "the attribute kernel_shape must be a list of integers"),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [1.5, 1.5]}, "the attribute strides must be a list of integers"),
    ("MaxPool", {"kernel_shape": [3, 3], "ceil_mode": 2}, "ceil_mode is 2: it must be 0 or 1"),
    ("MaxPool", {"kernel_shape": [3, 3], "ceil_mode": "yes"}, "the attribute ceil_mode must be an integer"),
    ("MaxPool", {"kernel_shape": [3, 3], "storage_order": -1}, "storage_order is -1"),
    ("MaxPool", {"kernel_shape": [3, 3], "count_include_pad": 1}, "this operator has no attribute count_include_pad"),
    ("AveragePool", {"kernel_shape": [3, 3], "count_include_pad": 7}, "count_include_pad is 7"),
    ("AveragePool", {"kernel_shape": [3, 3], "storage_order": 0}, "this operator has no attribute storage_order"),
    ("LpPool", {"kernel_shape": [3, 3], "p": 0}, "the norm's p is 0: it must be greater than 0"),
    ("LpPool", {"kernel_shape": [3, 3], "p": 1.5}, "the attribute p must be an integer"),
    ("GlobalMaxPool", {"kernel_shape": [3, 3]}, "this operator has no attribute kernel_shape"),
    ("GlobalAveragePool", {"p": 2}, "this operator has no attribute p"),
    ("MaxPool", {"kernel_shape": [2**62, 1], "dilations": [2**62, 1]}, "does not fit the address space"),
    ("AveragePool", {"kernel_shape": [2**62, 2**62]}, "does not fit"),
]


@pytest.mark.parametrize("op, attributes, sentence", WRONG)
def test_the_session_is_not_created(op, attributes, sentence):
    with pytest.raises(Exception, match=sentence):
        session(single_node(op, "f32", (1, 1, 8, 8), attributes), lanepool=True)


@pytest.mark.parametrize(
    "op, attributes, shape, sentence",
    [
        ("MaxPool", {"kernel_shape": [9, 9]}, (1, 1, 8, 8), r"the window 9 is larger than the padded input 8 on axis 2 \(height\)"),
        ("MaxPool", {"kernel_shape": [2, 2]}, (1, 1, 8), "the input has 3 axes, not 4"),
        ("GlobalMaxPool", {}, (1, 8), "the input has 2 axes, not 3 to 5"),
        ("GlobalMaxPool", {}, (1,) * 6, "the input has 6 axes, not 3 to 5"),
        ("GlobalAveragePool", {}, (1, 1, 0, 8), "0"),
    ],
)
def test_a_run_says_what_is_wrong_with_a_shape(op, attributes, shape, sentence):
    free = [f"d{axis}" for axis in range(len(shape))]
    ours = session(single_node(op, "f32", free, attributes), lanepool=True)
    for _ in range(2):
        with pytest.raises(Exception, match=f"(?s)pool.*{sentence}"):
            ours.run(None, {"x": np.zeros(shape, np.float32)})
