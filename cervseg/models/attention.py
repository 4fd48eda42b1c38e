"""Parts that networks with attention share; their tokens are the pixels of a map.

Maps stay (n, height, width, channels) between layers. Linear maps are `Dense` layers of the graph,
so that all weights stand under the names of roles; the attention itself has none.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import ClassVar

import keras
from keras import layers, ops

from cervseg.arrays import Tensor

EPSILON = 1e-6


Draws = Iterator[int | None]
"""Seeds of the dropout layers of a network, in turn."""


def seeds(first: int | None) -> Draws:
    """Count up from the first, so that no two layers share their masks; None draws each."""
    return (None if first is None else first + i for i in count())


def start() -> Tensor:
    """Where weights begin: a normal of deviation 0.02, cut at two of them."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


def linear(x: Tensor, units: int, *, name: str, bias: bool = True) -> Tensor:
    """A linear map of each pixel."""
    return layers.Dense(units, use_bias=bias, kernel_initializer=start(), name=name)(x)


def normalize_channels(x: Tensor, name: str) -> Tensor:
    """Layer normalisation over the channels of each pixel."""
    return layers.LayerNormalization(axis=-1, epsilon=EPSILON, name=name)(x)


def attention(
    x: Tensor,
    layer: Callable[[Sequence[Tensor]], Tensor],
    *,
    name: str,
    memory: Tensor | None = None,
) -> Tensor:
    """Project to queries, keys and values, attend, project back.

    Keys have no bias: it would add the same to all scores of a query, which the softmax cancels.

    Args:
        x: What asks, shape (n, height, width, channels).
        layer: Takes [queries, keys, values], gives a map like the queries: `Attention` or kin.
        name: Its layers' names begin so.
        memory: What is asked; x itself if None.

    Returns:
        Shape of x.
    """
    memory = x if memory is None else memory
    channels = x.shape[-1]
    queries = linear(x, channels, name=f"{name}_query")
    keys = linear(memory, channels, name=f"{name}_key", bias=False)
    values = linear(memory, channels, name=f"{name}_value")
    return linear(layer([queries, keys, values]), channels, name=f"{name}_project")


def mlp(
    x: Tensor,
    hidden: int,
    *,
    name: str,
    draws: Draws,
    activation: str = "gelu",
    dropout_rate: float = 0.0,
) -> Tensor:
    """Two linear maps with an activation between; dropout of single values after both."""
    filters = x.shape[-1]
    x = linear(x, hidden, name=f"{name}_expand")
    x = layers.Activation(activation, name=f"{name}_act")(x)
    x = thin(x, dropout_rate, name=f"{name}_expand", draws=draws)
    x = linear(x, filters, name=f"{name}_contract")
    return thin(x, dropout_rate, name=f"{name}_contract", draws=draws)


def thin(x: Tensor, rate: float, *, name: str, draws: Draws) -> Tensor:
    """Dropout of single values; no layer at all where the rate is 0."""
    return layers.Dropout(rate, seed=next(draws), name=f"{name}_dropout")(x) if rate else x


def residual(
    x: Tensor, y: Tensor, *, name: str, draws: Draws, drop_path_rate: float = 0.0
) -> Tensor:
    """Add a branch y to x, by chance leaving it out for some images of a batch in training.

        x + y · b / (1 - rate)      b: 0 with probability `rate`, else 1; one draw an image

    Stochastic depth, Huang et al., 2016, https://arxiv.org/abs/1603.09382 (they scale in
    inference, we in training).
    """
    if drop_path_rate:
        one_an_image, seed = (None, 1, 1, 1), next(draws)
        y = layers.Dropout(drop_path_rate, one_an_image, seed, name=f"{name}_drop_path")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, *, heads: int, offset: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention in heads.

        softmax(q · kᵀ / √d + offset) · v      d = channels / heads

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. The softmax is taken in float32
    whatever the dtype of the arguments.

    Args:
        queries: Shape (n, asking, channels).
        keys: Shape (n, asked, channels).
        values: Shape of the keys.
        heads: Channels are split into so many.
        offset: Of the scores, broadcast to (n, heads, asking, asked); float32.

    Returns:
        Shape and dtype of the queries.
    """
    channels = queries.shape[-1]

    def split(x: Tensor) -> Tensor:
        x = ops.reshape(x, (-1, ops.shape(x)[1], heads, channels // heads))
        return ops.transpose(x, (0, 2, 1, 3))  # (n, heads, tokens, d)

    scores = ops.matmul(split(queries), ops.transpose(split(keys), (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32") * (channels // heads) ** -0.5
    weights = ops.softmax(scores if offset is None else scores + offset)
    x = ops.matmul(ops.cast(weights, values.dtype), split(values))
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), ops.shape(queries))


@keras.saving.register_keras_serializable("cervseg")
class Attention(layers.Layer):
    """Every pixel of the queries attends to every pixel of the keys; call with [q, k, v].

    Args:
        heads: Divides the channels.
        reduction: The keys' map is so many times smaller along each side.
    """

    reach: ClassVar[str] = "tile"

    def __init__(self, heads: int, *, reduction: int = 1, **kwargs: Tensor) -> None:
        super().__init__(**kwargs)
        self.heads, self.reduction = heads, reduction

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Attend; shape of the queries."""
        channels = inputs[0].shape[-1]
        flat = [ops.reshape(x, (ops.shape(x)[0], -1, channels)) for x in inputs]
        return ops.reshape(attend(*flat, heads=self.heads), ops.shape(inputs[0]))

    def compute_output_shape(self, input_shape: Sequence[Tensor]) -> Tensor:
        """That of the queries."""
        return input_shape[0]

    def multiply_adds(self, height: int, width: int) -> int:
        """Of one image with queries of height × width: scores, then weighted values."""
        asked = -(-height // self.reduction) * -(-width // self.reduction)
        return 2 * height * width * asked * int(self.input[0].shape[-1])

    def hidden_values(self, height: int, width: int) -> int:
        """Numbers that it holds inside for one image: scores, then their softmax."""
        asked = -(-height // self.reduction) * -(-width // self.reduction)
        return 2 * self.heads * height * width * asked

    def get_config(self) -> dict[str, Tensor]:
        """What rebuilds it."""
        return {**super().get_config(), "heads": self.heads, "reduction": self.reduction}
