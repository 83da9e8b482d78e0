"""onnxruntime's own static quantizer, for bench/quantizer-peer.ts: it reads model.onnx and samples in a folder, writes models.

usage: python quantizer.py FOLDER METHOD...
FOLDER/samples.json lists, by sample and input, {"file", "shape"} of raw float32, FOLDER/nodes.json names the nodes to quantize;
each setting becomes FOLDER/METHOD-GRANULARITY.onnx. A METHOD is one of METHODS below.
"""
import importlib
import json
import sys
import time
from pathlib import Path

import numpy
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibraterBase, HistogramCollector, create_calibrator

folder = Path(sys.argv[1])
samples = json.loads((folder / "samples.json").read_text())
nodes = json.loads((folder / "nodes.json").read_text())

# What its calibrator is told. Two-sided percentiles, as for our ranges: without "symmetric" it takes them of |x|.
# Its own 128 bins for entropy are as many as it has codes, so that nothing is ever clipped: it is min-max.
METHODS = {
    "min-max": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"symmetric": False, "percentile": 99.999, "num_bins": 2048}),
    "percentile-default": (CalibrationMethod.Percentile, {}),
    "entropy": (CalibrationMethod.Entropy, {"num_bins": 2048, "num_quantized_bins": 256}),
    "entropy-default": (CalibrationMethod.Entropy, {}),
}


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


select_all = CalibraterBase.select_tensors_to_calibrate


def select_needed(self, model):
    """Of the named nodes alone: it would calibrate every value there is, and keeps all of them for all samples in memory."""
    chosen, infos = select_all(self, model)
    touched = {name for node in model.graph.node if node.name in nodes for name in [*node.input, *node.output]}
    return chosen & touched, infos


CalibraterBase.select_tensors_to_calibrate = select_needed

collect_even = HistogramCollector.collect


def collect_any(self, values):
    """It stacks a value's samples, which fails where their shapes differ. Stacked, it would flatten them: so do we."""
    return collect_even(self, {name: numpy.concatenate([numpy.ravel(a) for a in all]) for name, all in values.items()})


HistogramCollector.collect = collect_any
entry = importlib.import_module("onnxruntime.quantization.quantize")

for name in sys.argv[2:]:
    method, options = METHODS[name]

    def create(*args, options=options, **rest):
        return create_calibrator(*args, **{**rest, "extra_options": options})

    entry.create_calibrator = create
    start = time.monotonic()
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
                calibration_cache_path=folder / f"{name}.json",
                nodes_to_quantize=nodes,
            )
        except Exception as error:  # One setting that fails is a result, not the end.
            print(f"{target.name}: {error}", file=sys.stderr)
    print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
