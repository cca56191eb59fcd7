"""What leaves the house: save, load, latency of what is shipped."""

from advprune.shipping.folder import load, save
from advprune.shipping.latency import Latency, latency
from advprune.shipping.manifest import Manifest, read_manifest
from advprune.shipping.zoo import locate

__all__ = ["Latency", "Manifest", "latency", "load", "locate", "read_manifest", "save"]
