"""What the EdgeNets backbones share: their batch norm, and a table of widths."""

from efficientvision.layers.composite import CompositeLayer

_BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


class EdgeNetwork(CompositeLayer):
    """Base of ESPNetv2, DiCENet and ShuffleNetv2.

    Args:
        width: a key of `CHANNELS`, the `s` of the published names.
        num_classes: adds the classification head where given.
        dropout_rate: before the classifier, or None for the published one.
        batch_norm: what differs from the published momentum 0.9 and epsilon 1e-5.

    Input: `[N, H, W, 3]` float, normalised. Output: a dict `{1: [N, H/2, W/2, C1], ...,
    5: [N, H/32, W/32, C5]}` (sizes rounded up), with `"logits": [N, num_classes]` if there is a
    head.
    """

    CHANNELS: dict[float, tuple[int, ...]] = {}

    def __init__(self, width, num_classes=None, dropout_rate=None, batch_norm=None, **kwargs):
        super().__init__(batch_norm={**_BATCH_NORM, **(batch_norm or {})}, **kwargs)
        if width not in self.CHANNELS:
            raise ValueError(
                f"{type(self).__name__} has no width {width!r}; expected one of "
                f"{', '.join(map(str, self.CHANNELS))}."
            )
        self.width = width
        self.num_classes = num_classes
        self.dropout_rate = dropout_rate

    @property
    def _shared(self):
        return {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}

    def get_config(self):
        names = "width num_classes dropout_rate".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
