"""onnxruntime's own static quantizer, for bench/quantizer-peer.ts: it reads model.onnx and samples in a folder, writes models.

usage: python quantizer.py FOLDER
FOLDER/samples.json lists, by sample and input, {"file", "shape"} of raw float32; each setting becomes FOLDER/SETTING.onnx.
"""
import json
import sys
from pathlib import Path

import numpy
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

folder = Path(sys.argv[1])
samples = json.loads((folder / "samples.json").read_text())


class Reader(CalibrationDataReader):
    def __init__(self):
        self.rest = iter(samples)

    def get_next(self):
        sample = next(self.rest, None)
        if sample is None:
            return None
        return {
            name: numpy.fromfile(folder / entry["file"], dtype=numpy.float32).reshape(entry["shape"])
            for name, entry in sample.items()
        }


METHODS = {
    "min-max": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
for name, method in METHODS.items():
    for granularity in ["channel", "tensor"]:
        target = folder / f"{name}-{granularity}.onnx"
        try:
            quantize_static(
                folder / "model.onnx",
                target,
                Reader(),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=granularity == "channel",
                calibrate_method=method,
                nodes_to_quantize=json.loads((folder / "nodes.json").read_text()),
            )
        except Exception as error:  # One setting that fails is a result, not the end.
            print(f"{target.name}: {error}", file=sys.stderr)
