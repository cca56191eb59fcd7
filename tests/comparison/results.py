from typing import Any


def result(robust: float = 0.5, macs: int = 100, **after: Any) -> dict[str, Any]:
    """What a run leaves, as small as the table needs it."""
    return {
        "after": {
            "clean": 0.9,
            "robust": robust,
            "suite": "quick",
            "attacks": {"pgd": {"accuracy": 0.6}, "pgd_margin": {"accuracy": 0.55}},
            "vulnerability": {"network": 0.02, "relative": 0.3, "margin_weighted": 4.0},
            "cost": {"parameters": 10, "macs": macs, "bytes": 2000},
            "latency": [{"median_ms": 0.25}],
            **after,
        },
        "training": {"seconds": 12.0, "cpu_seconds": 9.0},
    }
