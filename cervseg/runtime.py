"""The machine: backend, threads, devices, seeds. The only file that knows which backend runs."""

import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Tensor
from cervseg.errors import ConfigError
from cervseg.machine import read_words


def allowed_cores() -> int:
    """Cores this process may use: affinity, cgroup quota, SLURM, whichever is least."""
    cores = [len(os.sched_getaffinity(0))]
    if (slurm := os.environ.get("SLURM_CPUS_PER_TASK", "")).isdigit():
        cores.append(int(slurm))
    quota = read_words(Path("/sys/fs/cgroup/cpu.max"))
    if len(quota) == 2 and quota[0].isdigit():
        cores.append(int(quota[0]) // int(quota[1]))
    return max(1, min(cores))


def start(
    *,
    device: str = "auto",
    threads: int | None = None,
    deterministic: bool = True,
    meet: Callable[[], None] | None = None,
) -> None:
    """Import Keras on its backend, quietly, with the threads and device asked for.

    The only writer of the environment. `KERAS_BACKEND` chooses between tensorflow (default) and
    jax. A second call in one process keeps the threads of the first.

    Args:
        device: auto, cpu or gpu.
        threads: Of the backend; None: `allowed_cores()`.
        deterministic: Equal runs give equal bits.
        meet: Joins other processes, before the backend looks for devices.

    Raises:
        ConfigError: The backend is unknown or not installed, or there is no GPU.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in ("tensorflow", "jax"):
        raise ConfigError(f"KERAS_BACKEND is {backend!r}; cervseg runs on tensorflow or jax")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    count = threads or allowed_cores()
    if backend == "jax":
        _start_jax(count)
    else:
        _start_tensorflow(count, deterministic=deterministic)
    if meet is not None:
        meet()
    import keras

    if device == "gpu" and on_cpu():
        raise ConfigError(f"runtime.device is gpu, but {keras.backend.backend()} sees none")


def _start_jax(threads: int) -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1 and "multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    try:
        import jax  # noqa: F401
    except ImportError as exc:
        raise ConfigError("KERAS_BACKEND is jax, which is not installed",
                          hint="pip install 'cervseg[jax]'") from exc  # fmt: skip


def _start_tensorflow(threads: int, *, deterministic: bool) -> None:
    with _quiet_import():
        import tensorflow as tf
    # Else it tells of each further training in a process that it traces functions anew.
    tf.get_logger().setLevel("ERROR")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(min(2, threads))
    except RuntimeError:
        pass  # TensorFlow is running already: its threads stay
    if deterministic:
        tf.config.experimental.enable_op_determinism()


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Importing TensorFlow writes to descriptor 2 whatever its log level."""
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _device_names() -> list[str]:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return [device.platform for device in jax.devices()]
    import tensorflow as tf

    return [device.device_type for device in tf.config.list_physical_devices()]


def on_cpu() -> bool:
    """Whether there is no GPU to compute on."""
    return not any("gpu" in name.lower() or "cuda" in name.lower() for name in _device_names())


def forget_models() -> None:
    """Free the networks of an earlier training in this process, and count layer names anew.

    TensorFlow 2.21 keeps the graph of each training step all the same, whatever is done: 86 MB for
    a U-Net of five levels, 250 MB for `lite_unet`.
    """
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session(free_memory=True)


def seed_everything(seed: int) -> None:
    """Seed initialisers and dropout; draws of data take their own generators."""
    import keras

    keras.utils.set_random_seed(seed)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Build networks that compute in half precision and keep float32 weights.

    Args:
        name: float32, bfloat16 or float16.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name if name == "float32" else f"mixed_{name}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def on_jax() -> bool:
    """Whether Keras runs on JAX."""
    import keras

    return str(keras.backend.backend()) == "jax"


def compiled(
    model: Tensor, finish: Callable[[Tensor], Tensor]
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Compile `finish(model(x))` for inference; later changes of the weights count.

    `jit_compile` stays off: on CPU it is slower, and its result depends on the threads.

    Args:
        model: A Keras model.
        finish: From logits to probabilities.

    Returns:
        A function from uint8 tiles (n, height, width, channels) to float32.
    """
    if on_jax():
        import jax

        def forward(trained: Tensor, fixed: Tensor, x: Tensor) -> Tensor:
            logits, _ = model.stateless_call(trained, fixed, x.astype("float32"), training=False)
            return finish(logits)

        compiled_forward = jax.jit(forward)

        def on_arrays(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            trained = [v.value for v in model.trainable_variables]
            fixed = [v.value for v in model.non_trainable_variables]
            return np.asarray(compiled_forward(trained, fixed, tiles), np.float32)

        return on_arrays
    import tensorflow as tf

    graph = tf.function(
        lambda x: finish(model(tf.cast(x, "float32"), training=False)), reduce_retracing=False
    )
    return lambda tiles: np.asarray(graph(tf.constant(tiles)), np.float32)


def fused_normalization(
    x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Batch normalisation as one operation, with a gradient of its own.

    Args:
        x: Shape (n, height, width, channels), float32.
        gamma: Factors, shape (channels,).
        beta: Shifts, shape (channels,).
        epsilon: Added to the variances.

    Returns:
        The answer, and mean and variance of each channel; None where the backend has no such
        operation (XLA, below JAX, fuses by itself).
    """
    if on_jax():
        return None
    import tensorflow as tf

    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=tf.convert_to_tensor(gamma), offset=tf.convert_to_tensor(beta),
        mean=[], variance=[], epsilon=epsilon, is_training=True,
    )  # fmt: skip
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), "float32")  # it divides by one less
    return y, mean, variance * (tf.maximum(count - 1, 1) / count)


def settle_queue(model: Tensor, make_batch: Callable[[], tuple[Tensor, Tensor]]) -> None:
    """On JAX, let `fit` find everything built, else it eats batches of the first epoch."""
    if on_jax():
        with _quiet_import():  # `fit` imports it to recognise its data sets
            importlib.import_module("tensorflow")
        model.optimizer.build(model.trainable_variables)
        model.evaluate(*make_batch(), verbose=0)


def out_of_memory_errors() -> tuple[type[BaseException], ...]:
    """The exceptions in which the backend may say that memory ran out."""
    if on_jax():
        import jax

        return MemoryError, jax.errors.JaxRuntimeError
    import tensorflow as tf

    return MemoryError, tf.errors.ResourceExhaustedError


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an exception of the backend means that memory ran out."""
    text = f"{type(exc).__name__} {exc}"
    signs = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OOM when allocating", "Out of memory")
    return isinstance(exc, MemoryError) or any(sign in text for sign in signs)


def versions() -> dict[str, str]:
    """Of all that a result depends on."""
    import cervseg

    found = {"cervseg": cervseg.__version__, "python": platform.python_version()}
    for name in (
        "keras",
        "tensorflow",
        "jax",
        "numpy",
        "scipy",
        "opencv-python-headless",
        "pillow",
    ):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["backend"] = os.environ.get("KERAS_BACKEND", "tensorflow")
    return found


def machine() -> dict[str, str | int]:
    """What ran it: never a host name, which is nobody's business."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": allowed_cores(),
        "devices": ", ".join(_device_names()),
    }
