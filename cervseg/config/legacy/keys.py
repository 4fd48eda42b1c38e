"""What the words of the reference's configs mean here: networks, losses, colours, keys."""

from collections.abc import Callable
from typing import NamedTuple

from cervseg.config.legacy.ini import (
    MISSING,
    Missing,
    flag,
    number,
    one_of,
    pair,
    several,
    whole,
)

NETWORKS = {
    "TensorflowUNet": "unet",
    "TensorflowAttentionUNet": "attention_unet",
    "TensorflowMultiResUNet": "multires_unet",
    "TensorflowSharpUNet": "sharp_unet",
    "TensorflowUNet3Plus": "unet3plus",
    "TensorflowU2Net": "u2net",
    "TensorflowSwinUNet": "swin_unet",
    "TensorflowTransUNet": "trans_unet",
    "TensorflowEfficientUNet": "efficient_unet",
    "TensorflowEfficientNetB7UNet": "efficient_unet",
    "TensorflowDeepLabV3Plus": "deeplabv3plus",
    "TensorflowXceptionLikeUNet": "xception_unet",
    "TensorflowBASNet": "basnet",
}

ONE_CHANNEL = {"TensorflowUNet3Plus", "TensorflowEfficientNetB7UNet", "TensorflowBASNet"}
"""Classes that give one channel whatever `num_classes` says."""

SOFTMAX = {
    "TensorflowAttentionUNet",
    "TensorflowSharpUNet",
    "TensorflowSwinUNet",
    "TensorflowTransUNet",
    "TensorflowEfficientUNet",
    "TensorflowDeepLabV3Plus",
}
"""Classes that end in softmax where there are several channels; the others in sigmoid."""

LOSSES = {
    "binary_crossentropy": "binary_crossentropy",
    "dice_loss": "dice",
    "bce_dice_loss": "bce_dice",
    "iou_loss": "iou",
    "bce_iou_loss": "bce_iou",
    "basnet_hybrid_loss": "basnet_hybrid",
}
METRICS = {
    "binary_accuracy": "binary_accuracy",
    "dice_coef": "dice",
    "iou_coef": "iou",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
OPTIMIZERS = {"Adam": "adam", "AdamW": "adamw"}
ACTIVATIONS = {"relu": "relu", "mish": "mish"}
LAYER_ACTIVATIONS = {"ReLU": "relu", "GELU": "gelu", "LeakyReLU": "leaky_relu", "ELU": "elu"}
EFFICIENTNETS = {f"B{i}": f"efficientnet_b{i}" for i in range(8)}
BACKBONES = {
    **{name: name.lower() for name in ("VGG16", "VGG19")},
    **{name: name.lower() for name in ("ResNet50", "ResNet101", "ResNet152")},
    **{f"ResNet{n}V2": f"resnet{n}_v2" for n in (50, 101, 152)},
    **{f"DenseNet{n}": f"densenet{n}" for n in (121, 169, 201)},
    **{f"EfficientNetB{i}": f"efficientnet_b{i}" for i in range(8)},
}
THRESHOLDS = {"cv2.THRESH_OTSU": "otsu", "cv2.THRESH_TRIANGLE": "triangle"}
COLOR_SPACES = {
    "cv2.COLOR_BGR2HSV_FULL": "hsv",
    "cv2.COLOR_BGR2HSV": "hsv",
    "cv2.COLOR_BGR2LAB": "lab",
    "cv2.COLOR_BGR2Lab": "lab",
}
INEXACT_SPACES = {"cv2.COLOR_BGR2HSV": "its hue ends at 179, here at 255"}
COLOURS = {
    "black": "#000000",
    "white": "#ffffff",
    "red": "#ff0000",
    "lime": "#00ff00",
    "green": "#008000",
    "blue": "#0000ff",
    "yellow": "#ffff00",
    "cyan": "#00ffff",
    "aqua": "#00ffff",
    "magenta": "#ff00ff",
    "fuchsia": "#ff00ff",
    "orange": "#ffa500",
    "purple": "#800080",
    "pink": "#ffc0cb",
    "brown": "#a52a2a",
    "navy": "#000080",
    "olive": "#808000",
    "maroon": "#800000",
    "teal": "#008080",
    "silver": "#c0c0c0",
    "gray": "#808080",
    "grey": "#808080",
}
"""As Pillow, and so the reference, knows them."""

FALLBACKS: dict[tuple[str, str], tuple[float, ...]] = {
    ("deformation", "sigmoids"): (8.0,),
    ("distortion", "distortions"): (0.02,),
}
"""What the reference took where commas were forgotten, as in its own `[8.0 10.0]`."""


class Required:
    """Stands for the default of a key without which the reference crashes."""


REQUIRED = Required()


class Option(NamedTuple):
    """A key of `[model]`, its name here, and what the reference took without it.

    `MISSING`: nothing; then the network's own default stands.
    """

    old: str
    new: str
    read: Callable[[object], object]
    default: object | Missing | Required


_LADDER = (
    Option("base_filters", "base_filters", whole, REQUIRED),
    Option("num_layers", "num_layers", whole, REQUIRED),
)

OPTIONS: dict[str, tuple[Option, ...]] = {
    "TensorflowUNet": (
        *_LADDER,
        Option("base_kernels", "base_kernels", pair, (3, 3)),
        Option("dilation", "dilation", pair, (1, 1)),
        Option("dropout_rate", "dropout_rate", number, REQUIRED),
        Option("activation", "activation", one_of(ACTIVATIONS), "relu"),
    ),
    "TensorflowAttentionUNet": (
        *_LADDER,
        Option("dropout_rate", "dropout_rate", number, 0.1),
    ),
    "TensorflowMultiResUNet": tuple(o._replace(default=MISSING) for o in _LADDER),
    "TensorflowUNet3Plus": (
        Option("num_layers", "num_layers", whole, MISSING),
        Option("base_filters", "base_filters", whole, MISSING),
        Option("dropout_rate", "dropout_rate", number, MISSING),
    ),
    "TensorflowU2Net": tuple(o._replace(default=MISSING) for o in _LADDER),
    "TensorflowBASNet": (),
    "TensorflowSharpUNet": (),
    "TensorflowSwinUNet": (
        Option("filter_num_begin", "filter_num_begin", whole, 128),
        Option("depth", "depth", whole, 4),
        Option("stack_num_down", "stack_num_down", whole, 2),
        Option("stack_num_up", "stack_num_up", whole, 2),
        Option("patch_size", "patch_size", pair, (4, 4)),
        Option("num_heads", "num_heads", several(whole), (4, 8, 8, 8)),
        Option("window_size", "window_size", several(whole), REQUIRED),
        Option("num_mlp", "num_mlp", whole, 512),
        Option("shift_window", "shift_window", flag, REQUIRED),
    ),
    "TensorflowTransUNet": (
        Option("filter_num", "filter_num", several(whole), (64, 128, 256, 512)),
        Option("embed_dim", "embed_dim", whole, 768),
        Option("num_mlp", "num_mlp", whole, 3072),
        Option("num_heads", "num_heads", whole, 12),
        Option("num_transformer", "num_transformer", whole, 12),
        Option("activation", "activation", one_of(LAYER_ACTIVATIONS), "relu"),
        Option("mlp_activation", "mlp_activation", one_of(LAYER_ACTIVATIONS), "gelu"),
    ),
    "TensorflowEfficientUNet": (
        Option("efficientnet", "encoder", one_of(EFFICIENTNETS), "efficientnet_b0"),
    ),
    "TensorflowXceptionLikeUNet": (Option("diation", "dilation", pair, (1, 1)),),
    "TensorflowEfficientNetB7UNet": (),
    "TensorflowDeepLabV3Plus": (),
}
"""Keys of `[model]` that a network reads beside those that all of them read."""

DEAD = "no code of the reference reads it"
ALWAYS = "ignored: "
LATER = "not yet supported: "

NOTES: dict[tuple[str, str], str] = {
    ("model", "show_summary"): ALWAYS + "cervseg inspect lists the layers",
    ("model", "evaluation"): ALWAYS + "say it as cervseg evaluate --split",
    ("model", "self.activation"): DEAD,
    ("model", "datasetclass"): DEAD + "; it stands in [dataset]",
    ("train", "validation_steps"): ALWAYS + "validation is the whole split",
    ("train", "model_dir"): ALWAYS + "the run folder holds the model",
    ("train", "eval_dir"): ALWAYS + "the run folder holds history and curves",
    ("train", "best_model_file"): ALWAYS + "a model is contract.json and model.weights.h5",
    ("train", "save_weights_only"): ALWAYS + "weights and contract are always kept",
    ("train", "save_model_file"): DEAD,
    ("train", "create_backup"): ALWAYS + "an occupied folder is refused; --overwrite keeps it",
    ("train", "create_backups"): DEAD + "; the key was create_backup",
    ("train", "epoch_change_infer_dir"): ALWAYS + "previews/ in the run folder",
    ("train", "epoch_change_tiledinfer_dir"): ALWAYS + "previews/ in the run folder",
    ("train", "dataset_splitter"): ALWAYS + "data.split says what validates",
    ("train", "seedreset_callback"): ALWAYS + "it made each epoch drop the same units",
    ("train", "show_history"): DEAD,
    ("infer", "merged_dir"): ALWAYS + "overlays/ in infer.output",
    ("infer", "algorithm"): ALWAYS + "read there, but never used",
    ("infer", "threshold"): ALWAYS + "read there, but never used",
    ("infer", "binarize"): DEAD,
    ("infer", "mask_colorize"): ALWAYS + "masks have a palette, data.classes has the colours",
    ("infer", "colorized_dir"): ALWAYS + "masks have a palette, data.classes has the colours",
    ("infer", "colorized_output_format"): ALWAYS + "masks are PNG",
    ("tiledinfer", "merged_dir"): ALWAYS + "overlays/ in tiled_infer.output",
    ("tiledinfer", "background"): ALWAYS + "every pixel is predicted",
    ("tiledinfer", "mask_colorize"): DEAD,
    ("tiledinfer", "debug"): DEAD,
    ("segmentation", "blursize"): ALWAYS + "read there, but never used",
    ("mask", "mask_channels"): ALWAYS + "read there, but never used",
    ("mask", "color_order"): ALWAYS + "data.classes holds colours as red, green, blue",
    ("mask", "classes"): ALWAYS + "data.classes names them",
    ("mask", "normalized_threshold"): ALWAYS + "its dataset class gave black images",
    ("mask", "sharpening"): LATER + "sharpening coloured masks",
    ("dataset", "resize_interpolation"): ALWAYS + "nothing is squashed to the tile's size",
    ("dataset", "rgb_mask"): ALWAYS + "data.masks.read says how masks are read",
    ("dataset", "mask_format"): ALWAYS + "data.masks.read says how masks are read",
    ("dataset", "image_format"): ALWAYS + "read there, but never used",
    ("dataset", "input_normalize"): ALWAYS + "read there, but never used",
    ("dataset", "sharpening"): ALWAYS + "read there, but never used",
    ("dataset", "debug"): ALWAYS + "samples.png shows what was cut",
    ("generator", "debug"): ALWAYS + "samples.png shows what was cut",
    ("generator", "verbose"): ALWAYS + "--debug says more",
    ("generator", "generated_images_dir"): ALWAYS + "nothing is written while training",
    ("generator", "generated_masks_dir"): ALWAYS + "nothing is written while training",
    ("augmentor", "transformer"): DEAD + "; the key became deformation",
    ("distortion", "gaussian_filter_sigma"): ALWAYS + "it had no effect",
    ("inspect", "model_graph"): ALWAYS + "cervseg inspect shows the network",
    ("inspect", "summary"): ALWAYS + "cervseg inspect shows the network",
}  # fmt: skip
"""Keys without a counterpart, and why."""

SECTIONS = (
    "model", "train", "eval", "test", "infer", "tiledinfer", "segmentation", "mask", "dataset",
    "generator", "augmentor", "deformation", "distortion", "barrdistortion", "pincdistortion",
    "sharpening", "brightening", "inspect", "image",
)  # fmt: skip
"""All that the reference reads."""
