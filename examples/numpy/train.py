#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small network on handwritten digits with NumPy, or measures it on held-out ones.

A network is a folder with w1.npy, b1.npy, w2.npy and b2.npy. Prints a line per epoch.
"""

import argparse
import json
import os

import numpy

NAMES = ("w1", "b1", "w2", "b2")


def load_data(path):
    """Images and digits: the training set, and the held-out set, every fifth image of each digit."""
    rows = numpy.loadtxt(path, delimiter=",", dtype=numpy.int64)
    images, digits = (rows[:, :64] / 16).astype(numpy.float32), rows[:, 64]
    held_out = numpy.zeros(len(rows), dtype=bool)
    for digit in range(10):
        held_out[numpy.flatnonzero(digits == digit)[4::5]] = True
    return (images[~held_out], digits[~held_out]), (images[held_out], digits[held_out])


def load_network(folder, seed):
    """The network in that folder; a fresh one where there is none."""
    if folder and os.path.exists(os.path.join(folder, "w1.npy")):
        return {name: numpy.load(os.path.join(folder, name + ".npy")) for name in NAMES}
    random = numpy.random.default_rng(seed)
    return {"w1": (random.standard_normal((64, 64)) * numpy.sqrt(2 / 64)).astype(numpy.float32),
            "b1": numpy.zeros(64, numpy.float32),
            "w2": (random.standard_normal((64, 10)) * numpy.sqrt(1 / 64)).astype(numpy.float32),
            "b2": numpy.zeros(10, numpy.float32)}


def save_network(folder, network):
    os.makedirs(folder, exist_ok=True)
    for name in NAMES:
        numpy.save(os.path.join(folder, name + ".npy"), network[name])


def forward(network, images):
    hidden = numpy.maximum(images @ network["w1"] + network["b1"], 0)
    scores = hidden @ network["w2"] + network["b2"]
    scores = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, scores / scores.sum(axis=1, keepdims=True)


def evaluate(network, images, digits):
    _, probabilities = forward(network, images)
    loss = -numpy.log(probabilities[numpy.arange(len(digits)), digits] + 1e-9).mean()
    return {"loss": float(loss), "accuracy": float((probabilities.argmax(axis=1) == digits).mean()),
            "samples": len(digits)}


def train_epoch(network, momentum, images, digits, rate, random):
    for batch in numpy.array_split(random.permutation(len(digits)), len(digits) // 16):
        hidden, errors = forward(network, images[batch])
        errors[numpy.arange(len(batch)), digits[batch]] -= 1
        errors /= len(batch)
        back = (errors @ network["w2"].T) * (hidden > 0)
        gradients = {"w1": images[batch].T @ back, "b1": back.sum(axis=0),
                     "w2": hidden.T @ errors, "b2": errors.sum(axis=0)}
        for name in NAMES:
            momentum[name] = 0.9 * momentum[name] - rate * gradients[name]
            network[name] += momentum[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the digits, one image per line")
    parser.add_argument("--load", help="folder of the network to begin with")
    parser.add_argument("--save", help="folder for the trained network")
    parser.add_argument("--metrics", help="file for the last figures, as JSON")
    parser.add_argument("--epochs", type=int, default=3, help="0: only measure on the held-out images")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1998)
    arguments = parser.parse_args()

    training, held_out = load_data(arguments.data)
    network = load_network(arguments.load, arguments.seed)
    momentum = {name: numpy.zeros_like(network[name]) for name in NAMES}
    random = numpy.random.default_rng(arguments.seed)
    for epoch in range(1, arguments.epochs + 1):
        train_epoch(network, momentum, *training, arguments.rate, random)
        figures = evaluate(network, *training)
        print(f"epoch={epoch} loss={figures['loss']:.4f} accuracy={figures['accuracy']:.4f}", flush=True)
    if arguments.epochs == 0:
        figures = evaluate(network, *held_out)
        print(f"loss={figures['loss']:.4f} accuracy={figures['accuracy']:.4f}", flush=True)
    if arguments.save:
        save_network(arguments.save, network)
    if arguments.metrics:
        with open(arguments.metrics, "w", encoding="utf-8") as file:
            json.dump(figures, file)


if __name__ == "__main__":
    main()
