import numpy as np
import pytest

from cervseg.config.training import TrainConfig

pytestmark = pytest.mark.usefixtures("started")


def make(steps=10, **keys):
    from cervseg.training.optimization import make_optimizer

    return make_optimizer(TrainConfig.model_validate(keys), steps)


def rates(optimizer, steps):
    """The learning rate at each step."""
    schedule = optimizer._learning_rate
    return [float(np.asarray(schedule(step))) for step in range(steps)]


def test_adam_takes_its_rate_and_its_clipping():
    optimizer = make(optimizer="adam", learning_rate=0.02, clip_value=0.3, schedule="flat")

    assert type(optimizer).__name__ == "Adam"
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    assert (optimizer.clipvalue, optimizer.clipnorm) == (0.3, None)


def test_adamw_decays_kernels_and_spares_biases_and_norms():
    import keras

    optimizer = make(
        optimizer="adamw", learning_rate=0.1, weight_decay=0.5, clip_norm=1, schedule="flat"
    )
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(2)(inputs))
    model = keras.Model(inputs, x)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, "float32"))
    before = {v.path: np.array(v) for v in model.trainable_variables}

    optimizer.build(model.trainable_variables)
    optimizer.apply([np.zeros(v.shape, "float32") for v in model.trainable_variables])

    for variable in model.trainable_variables:
        share = 0.95 if variable.path.endswith("kernel") else 1.0
        np.testing.assert_allclose(np.array(variable), share * before[variable.path], rtol=1e-5)
    assert optimizer.clipnorm == 1


def test_a_cosine_falls_to_nothing_over_all_steps():
    found = rates(make(10, schedule="cosine", epochs=4, learning_rate=0.1), 41)

    assert found[0] == pytest.approx(0.1) and found[20] == pytest.approx(0.05)
    assert found[40] == pytest.approx(0, abs=1e-8) and (np.diff(found) <= 0).all()


def test_warm_up_rises_evenly_then_the_cosine_takes_over():
    found = rates(make(10, schedule="cosine", epochs=5, warmup_epochs=1, learning_rate=0.1), 51)

    np.testing.assert_allclose(found[:11], np.linspace(0, 0.1, 11), atol=1e-7)
    assert found[30] == pytest.approx(0.05, abs=1e-3) and found[50] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("schedule", ["flat", "plateau"])
def test_other_schedules_start_with_the_rate_itself(schedule):
    assert float(make(schedule=schedule, learning_rate=0.05).learning_rate) == pytest.approx(0.05)
