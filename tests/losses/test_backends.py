"""TensorFlow and JAX give the same losses and gradients."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json
import numpy as np
from cervseg import runtime

runtime.start(device="cpu", threads=1)
from cervseg.losses import LOSSES, SegmentationLoss, Term, needs_softmax

rng = np.random.default_rng(0)
labels = rng.integers(0, 3, (2, 3, 4)).astype("uint8").repeat(4, axis=1).repeat(4, axis=2)
labels[0, :2, :3] = 255


def value_and_gradient(loss, logits):
    if runtime.on_jax():
        import jax

        return jax.jit(jax.value_and_grad(lambda z: loss(labels, z)))(logits)
    import tensorflow as tf

    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits)
    return value, tape.gradient(value, logits)


found = {}
for name, parts in LOSSES.items():
    if len(parts) > 1:
        continue  # a mean of others
    pers = ("batch", "image") if any("per" in part.options for part in parts) else (None,)
    for activation, channels in (("sigmoid", 2), ("softmax", 3)):
        if needs_softmax(name) and activation == "sigmoid":
            continue
        logits = rng.normal(0, 2, (*labels.shape, 2 * channels)).astype("float32")
        for per in pers:
            term = Term(name, 0.7, range(1, channels + 1), {"per": per} if per else {})
            loss = SegmentationLoss([term], activation, channels=channels, side_weight=0.5)
            value, slope = value_and_gradient(loss, logits)
            slope = np.asarray(slope, np.float64)
            found[f"{name} {activation} {per}"] = [
                float(value),
                *(slope * rng.normal(size=slope.shape)).sum(axis=(0, 1, 2)),
            ]
print(json.dumps(found))
"""


def run(backend):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


@pytest.mark.slow
def test_both_backends_give_the_same_losses_and_gradients():
    one, other = run("tensorflow"), run("jax")

    assert set(one) == set(other)
    for case, values in one.items():
        np.testing.assert_allclose(values, other[case], rtol=1e-5, atol=1e-5, err_msg=case)
