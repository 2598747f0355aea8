"""Lines of text, and what ONNX Runtime reads in them.

    python lines.py FOLDER

Renders lines of several sizes, and cuts lines out of the photograph of a printed page that scikit-image ships. Each is brought into the
shape that the recogniser and the classifier of orientation take, and written into FOLDER as .npy, with ONNX Runtime's results in
lines.json.
"""

import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import rapidocr_onnxruntime
from PIL import Image, ImageDraw, ImageFont

TEXTS = [
    "Pooling takes the largest value of each window.",
    "3x3 windows, stride 2, padding 1: 112 -> 56",
    "SPHINX OF BLACK QUARTZ, JUDGE MY VOW",
    "0123456789 (2.5%) #7 a=b+c; x/y",
]
SIZES = [14, 22, 40]
MODELS = Path(rapidocr_onnxruntime.__file__).parent / "models"
RECOGNISER = MODELS / "ch_PP-OCRv4_rec_infer.onnx"
CLASSIFIER = MODELS / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


def rendered():
    """Black text on white, on a gradient, and white on black."""
    for size in SIZES:
        font = ImageFont.load_default(size)
        for number, text in enumerate(TEXTS):
            left, top, right, bottom = font.getbbox(text)
            width, height = int(right - left) + 2 * size, int(bottom - top) + size
            paper = np.full((height, width, 3), 255, np.uint8)
            if number % 3 == 1:
                paper[:] = np.linspace(140, 250, width).astype(np.uint8)[None, :, None]
            elif number % 3 == 2:
                paper[:] = 0
            image = Image.fromarray(paper)
            ink = (255, 255, 255) if number % 3 == 2 else (20, 20, 60)
            ImageDraw.Draw(image).text((size - left, size // 2 - top), text, ink, font)
            yield f"rendered {size} px", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)


def photographed(engine):
    """The lines that the detector finds in a photograph."""
    # The file lies in the package, which is not imported: it needs more packages for that.
    data = next(Path(folder) / "skimage/data" for folder in sys.path if (Path(folder) / "skimage/data").is_dir())
    image = cv2.imread(str(data / "page.png"), cv2.IMREAD_COLOR)
    image = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    boxes, _ = engine.text_det(image)
    for line in engine.get_crop_img_list(image, engine.sorted_boxes(boxes)):
        yield "photograph", line


def read(probabilities, characters):
    """The best character of each step; repeats are one, and 0 is none."""
    steps = probabilities[0].argmax(axis=1).tolist()
    kept = [step for step, before in zip(steps, [0] + steps) if step != before and step != 0]
    return steps, "".join(characters[step] for step in kept)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    engine = rapidocr_onnxruntime.RapidOCR()
    sessions = [onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]) for model in (RECOGNISER, CLASSIFIER)]
    recogniser, classifier = sessions
    characters = ["", *recogniser.get_modelmeta().custom_metadata_map["character"].splitlines(), " "]

    lines = []
    for source, image in [*rendered(), *photographed(engine)]:
        # Each line as it is, and every other one upside down for the classifier.
        turned = len(lines) % 2 == 1
        height, width = image.shape[:2]
        # Widths of a few lengths, so that few shapes are planned.
        columns = max(320, math.ceil(48 * width / height / 160) * 160)
        line = engine.text_rec.resize_norm_img(image, columns / 48)[None]
        upright = engine.text_cls.resize_norm_img(cv2.rotate(image, cv2.ROTATE_180) if turned else image)[None]
        name = f"{len(lines):03}"
        np.save(folder / f"{name}-line.npy", line)
        np.save(folder / f"{name}-upright.npy", upright)
        steps, text = read(recogniser.run(None, {"x": line})[0], characters)
        orientation = classifier.run(None, {"x": upright})[0][0]
        lines.append(
            {"name": name, "source": source, "text": text, "steps": steps, "orientation": orientation.tolist()}
        )
    results = {"recogniser": str(RECOGNISER), "classifier": str(CLASSIFIER), "lines": lines}
    (folder / "lines.json").write_text(json.dumps(results, ensure_ascii=False, indent=1))
    print(f"{len(lines)} lines, read by ONNX Runtime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
