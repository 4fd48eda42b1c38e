"""Batch normalisation that trains at the speed of the machine."""

from keras import layers

from cervseg import runtime
from cervseg.arrays import Tensor


class BatchNormalization(layers.BatchNormalization):
    """Keras's layer, in one operation of the backend where that has one for training.

    Keras computes mean, variance and answer by a dozen operations, each of which writes an array
    of the size of its input: on two cores a step of `lite_unet` took 1.8 x as long. Weights, name
    and values are those of Keras's layer, to rounding.
    """

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Normalise; in training by the batch's own statistics, which the moving ones follow.

        Args:
            inputs: Shape (n, height, width, channels).
            training: As in Keras.
            mask: As in Keras.
        """
        by_batch = training and self.trainable and mask is None
        fused = None
        if by_batch and len(inputs.shape) == 4 and self.compute_dtype == "float32":
            fused = runtime.fused_normalization(inputs, self.gamma, self.beta, epsilon=self.epsilon)
        if fused is None:
            return super().call(inputs, training=training, mask=mask)
        y, mean, variance = fused
        kept = self.momentum
        self.moving_mean.assign(kept * self.moving_mean + (1 - kept) * mean)
        self.moving_variance.assign(kept * self.moving_variance + (1 - kept) * variance)
        return y


def ours(kind: type) -> type:
    """The class to build a layer of in the place of Keras's."""
    return BatchNormalization if kind is layers.BatchNormalization else kind
