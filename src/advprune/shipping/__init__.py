"""What leaves the house: save, load, exported files, latency of what is shipped."""

from advprune.shipping.exporting import Export, export
from advprune.shipping.folder import load, save
from advprune.shipping.gradients import stand_in
from advprune.shipping.hub import from_pretrained, push_to_hub
from advprune.shipping.latency import Latency, latency
from advprune.shipping.manifest import Manifest, read_manifest
from advprune.shipping.runtime import RUNTIMES, Shipped
from advprune.shipping.zoo import locate

__all__ = [
    "RUNTIMES",
    "Export",
    "Latency",
    "Manifest",
    "Shipped",
    "export",
    "from_pretrained",
    "latency",
    "load",
    "locate",
    "push_to_hub",
    "read_manifest",
    "save",
    "stand_in",
]
