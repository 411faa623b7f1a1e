"""Who builds a family: names that TOML files use, for modules of `vitbench.zoo`. Imports nothing."""

from __future__ import annotations

# Builders by name: the module of `vitbench.zoo` whose function `build` it is.
BUILDERS: dict[str, str] = {
    "attention": "attention_alone",
    "bsrn": "bsrn",
    "cga": "cga",
    "effvit": "effvit",
    "effvit-sam": "effvit_sam",
    "effvit-seg": "effvit_seg",
    "effvit-sr": "effvit_sr",
    "fastvit": "fastvit",
    "metaformer": "metaformer",
    "mobileone": "mobileone",
    "py": "foreign",
    "restormer": "restormer",
    "sam-decoder": "sam_decoder",
    "sam-vit": "sam_vit",
    "segformer": "segformer",
    "segnext": "segnext",
    "swinir": "swinir",
    "timm": "foreign",
    "vapsr": "vapsr",
}
