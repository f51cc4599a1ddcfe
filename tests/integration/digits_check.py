#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks models that the digits example saved, with nothing but NumPy.

    digits_check.py accuracy DATA.csv MODEL.npz OUTPUT [MINIMUM]
        OUTPUT, what the job printed, has one line held_out_accuracy=X; X is what the saved model
        reaches on the held-out images, and at least MINIMUM (0.95).
    digits_check.py same DATA.csv MODEL.npz OTHER.npz
        Both models see the same digit in every image; otherwise prints the first difference.
"""
import re
import sys

import numpy

SHAPES = {"w1": (64, 64), "b1": (64,), "w2": (64, 10), "b2": (10,)}


def read_data(path):
    """All images, scaled; their digits; and which of them are held out: of each digit every fifth."""
    table = numpy.loadtxt(path, delimiter=",", dtype=numpy.int64)
    if table.shape != (1797, 65):
        sys.exit(f"{path}: {table.shape} instead of 1797 rows of 65 numbers")
    digits = table[:, 64]
    held_out = numpy.zeros(len(digits), dtype=bool)
    for digit in range(10):
        held_out[numpy.flatnonzero(digits == digit)[4::5]] = True
    return table[:, :64].astype(numpy.float32) / numpy.float32(16), digits, held_out


def read_model(path):
    with numpy.load(path, allow_pickle=False) as model:
        tensors = {name: model[name] for name in model.files}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != SHAPES or any(tensor.dtype != numpy.float32 for tensor in tensors.values()):
        sys.exit(f"{path}: tensors {found} instead of {SHAPES}, all float32")
    return tensors


def scores(model, pixels):
    """The network's output. The sums are taken in the order of the C++ code, which gives its bits:
    a matrix product would round differently, and a tie could fall the other way."""
    def layer(values, weights, bias):
        total = numpy.tile(bias, (len(values), 1))
        for column in range(values.shape[1]):
            total += values[:, column:column + 1] * weights[column]
        return total

    hidden = numpy.maximum(layer(pixels, model["w1"], model["b1"]), numpy.float32(0))
    return layer(hidden, model["w2"], model["b2"])


def check_accuracy(data, model_path, output_path, minimum="0.95"):
    pixels, digits, held_out = read_data(data)
    seen = scores(read_model(model_path), pixels[held_out]).argmax(axis=1)
    accuracy = float(numpy.mean(seen == digits[held_out]))
    with open(output_path, encoding="utf-8") as output:
        printed = re.findall(r"^held_out_accuracy=(.*)$", output.read(), re.MULTILINE)
    if len(printed) != 1:
        sys.exit(f"{output_path}: {len(printed)} lines held_out_accuracy=..., expected one")
    decimals = len(printed[0].strip().partition(".")[2])
    # As printed with that many decimals: at most half of the last one away.
    if decimals < 3 or abs(float(printed[0]) - accuracy) > 0.5001 * 10.0 ** -decimals:
        sys.exit(f"{output_path} says held_out_accuracy={printed[0]}, but the model in {model_path} has {accuracy}")
    if not accuracy >= float(minimum):
        sys.exit(f"{model_path}: held-out accuracy {accuracy} is below {minimum}")
    print(f"{model_path}: held-out accuracy {accuracy:.6f} of {held_out.sum()} images, as printed")


def check_same(data, one_path, other_path):
    pixels, digits, held_out = read_data(data)
    one, other = (scores(read_model(path), pixels) for path in (one_path, other_path))
    differs = numpy.flatnonzero(one.argmax(axis=1) != other.argmax(axis=1))
    if len(differs):
        image = differs[0]
        sys.exit(f"{len(differs)} of {len(digits)} images are seen differently; first, line {image + 1} of {data}, a "
                 f"{digits[image]} ({'held out' if held_out[image] else 'training'}):\n"
                 f"  {one_path}: {one[image].argmax()}, scores {one[image].tolist()}\n"
                 f"  {other_path}: {other[image].argmax()}, scores {other[image].tolist()}")
    bits = "bit for bit" if numpy.array_equal(one, other) else f"scores differ by up to {abs(one - other).max():.3g}"
    print(f"{one_path}, {other_path}: the same digit in all {len(digits)} images ({bits})")


if __name__ == "__main__":
    commands = {"accuracy": (check_accuracy, (3, 4)), "same": (check_same, (3,))}
    arguments = sys.argv[2:]
    if len(sys.argv) < 2 or sys.argv[1] not in commands or len(arguments) not in commands[sys.argv[1]][1]:
        sys.exit(__doc__)
    commands[sys.argv[1]][0](*arguments)
