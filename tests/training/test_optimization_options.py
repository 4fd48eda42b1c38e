"""What the optimiser can do beside its rate: decay, momentum, averages, accumulation."""

import numpy as np
import pytest

from cervseg.config.training import TrainConfig

pytestmark = pytest.mark.usefixtures("started")


def make(steps=10, **keys):
    from cervseg.training.optimization import make_optimizer

    return make_optimizer(TrainConfig.model_validate({"schedule": "flat", **keys}), steps)


def rates(optimizer, steps):
    schedule = optimizer._learning_rate
    return [float(np.asarray(schedule(step))) for step in range(steps)]


def network():
    import keras

    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(2)(inputs))
    model = keras.Model(inputs, x)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, "float32"))
    return model


@pytest.mark.parametrize("name", ["adamw", "lion", "sgd"])
def test_decay_shrinks_kernels_and_spares_biases_and_norms(name):
    model, optimizer = network(), make(optimizer=name, learning_rate=0.1, weight_decay=0.5)

    optimizer.build(model.trainable_variables)
    optimizer.apply([np.zeros(v.shape, "float32") for v in model.trainable_variables])

    for variable in model.trainable_variables:
        share = 0.95 if variable.path.endswith("kernel") else 1.0
        np.testing.assert_allclose(np.asarray(variable), share, rtol=1e-5)


def test_adam_decays_nothing():
    assert make(optimizer="adam", weight_decay=0.5).weight_decay is None


def test_sgd_has_nesterovs_momentum_or_none():
    plain, fast = make(optimizer="sgd", momentum=0), make(optimizer="sgd", momentum=0.8)

    assert (plain.momentum, plain.nesterov) == (0, False)
    assert (fast.momentum, fast.nesterov) == (0.8, True)


def test_a_polynomial_falls_to_nothing_along_its_power():
    found = rates(make(10, schedule="polynomial", power=2, epochs=4, learning_rate=0.1), 41)

    np.testing.assert_allclose(found, 0.1 * (1 - np.arange(41) / 40) ** 2, atol=1e-7)


def test_steps_divide_the_rate_at_even_distances():
    keys = {"schedule": "step", "step": {"every": 2, "factor": 0.1}, "epochs": 6}
    found = rates(make(5, learning_rate=1.0, **keys), 30)

    np.testing.assert_allclose(found, np.repeat([1, 0.1, 0.01], 10), rtol=1e-5)


@pytest.mark.parametrize("schedule", ["flat", "cosine", "polynomial", "step"])
def test_every_schedule_of_steps_can_warm_up(schedule):
    keys = {"schedule": schedule, "epochs": 5, "warmup_epochs": 2, "learning_rate": 0.1}
    found = rates(make(10, **keys), 50)

    np.testing.assert_allclose(found[:21], np.linspace(0, 0.1, 21), atol=1e-7)
    assert (np.diff(found[20:]) <= 1e-9).all()


def test_a_schedule_ends_with_the_last_batch_however_many_make_an_update():
    keys = {"schedule": "cosine", "epochs": 4, "learning_rate": 0.1, "momentum": 0}
    model, optimizer = network(), make(5, optimizer="sgd", weight_decay=0, accumulate=5, **keys)
    optimizer.build(model.trainable_variables)
    moved = []

    for _ in range(20):
        before = np.asarray(model.trainable_variables[0])
        optimizer.apply([np.ones(v.shape, "float32") for v in model.trainable_variables])
        moved.append(float(np.max(before - np.asarray(model.trainable_variables[0]))))

    updates = [0.05 * (1 + np.cos(np.pi * batch / 20)) for batch in (4, 9, 14, 19)]
    np.testing.assert_allclose([moved[batch] for batch in (4, 9, 14, 19)], updates, atol=1e-5)
    assert sum(change > 0 for change in moved) == 4


def test_the_average_takes_an_update_once_however_many_batches_make_it():
    averages = []
    for accumulate in (1, 3):
        model = network()
        keys = {"momentum": 0, "weight_decay": 0, "learning_rate": 0.1, "ema": 0.99}
        optimizer = make(optimizer="sgd", accumulate=accumulate, **keys)
        optimizer.build(model.trainable_variables)
        for gradient in np.repeat([1.0, -2.0, 3.0, 4.0], accumulate):
            optimizer.apply(
                [np.full(v.shape, gradient, "float32") for v in model.trainable_variables]
            )
        averages.append(np.asarray(optimizer._model_variables_moving_average[0]))

    np.testing.assert_allclose(averages[1], averages[0], rtol=1e-5)


def test_several_batches_make_one_step_with_their_mean_gradient():
    model = network()
    optimizer = make(optimizer="sgd", momentum=0, weight_decay=0, learning_rate=0.1, accumulate=2)
    optimizer.build(model.trainable_variables)

    for gradient in (1.0, 3.0):
        before = np.asarray(model.trainable_variables[0])
        optimizer.apply([np.full(v.shape, gradient, "float32") for v in model.trainable_variables])
        after = np.asarray(model.trainable_variables[0])
        np.testing.assert_allclose(before - after, 0.2 if gradient == 3 else 0, atol=1e-6)


def test_a_schedule_with_warm_up_is_made_again_from_its_config():
    import keras

    schedule = make(10, schedule="cosine", epochs=5, warmup_epochs=1)._learning_rate

    again = type(schedule).from_config(schedule.get_config())

    assert float(again(7)) == float(schedule(7))
    assert isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
