"""The message layers by name, as `architecture.layer` of the training settings names them."""

from __future__ import annotations

from typing import Literal

from policy_core.comm.attention import AttentionLayer
from policy_core.comm.class_typed import ClassTypedLayer
from policy_core.comm.gated import GatedLayer
from policy_core.comm.layer import LayerSizes, MessageLayer
from policy_core.comm.mean import MeanLayer
from policy_core.comm.residual import ResidualLayer
from policy_core.comm.scheduled import ScheduledLayer
from policy_core.comm.signature import SignatureLayer

LayerName = Literal["attention", "residual", "mean", "gated", "signature", "scheduled", "class_typed"]
LAYERS: dict[LayerName, type[MessageLayer]] = {
    "attention": AttentionLayer,
    "residual": ResidualLayer,
    "mean": MeanLayer,
    "gated": GatedLayer,
    "signature": SignatureLayer,
    "scheduled": ScheduledLayer,
    "class_typed": ClassTypedLayer,
}


def make_layer(name: LayerName, sizes: LayerSizes) -> MessageLayer:
    """A fresh layer of that name."""
    return LAYERS[name](sizes)
