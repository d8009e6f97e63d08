"""Fills the page of the encoders with what the catalogue says of each."""

from __future__ import annotations

from typing import Final

from napari_smse.models.encoders import ENCODERS, Encoder

PAGE: Final = "reference/encoders"
MARK: Final = "<!-- every encoder of the catalogue -->"
_HEAD: Final = (
    "encoder",
    "also called",
    "features",
    "weights",
    "µm/px",
    "licence",
    "commercial use",
    "access",
    "assumed",
)


def filled(page: str, markdown: str) -> str:
    """Put the table where the page asks for it."""
    return markdown.replace(MARK, table()) if page == PAGE else markdown


def table() -> str:
    """Return a row for each encoder, in Markdown."""
    lines = [_HEAD, ("---",) * len(_HEAD), *map(_row, ENCODERS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row(encoder: Encoder) -> tuple[str, ...]:
    low, high = encoder.mpp_range
    return (
        f"`{encoder.name}`",
        ", ".join(f"`{alias}`" for alias in encoder.aliases),
        f"{encoder.features:,} ({encoder.pooling})",
        f"{encoder.parameters:,.0f} M",
        f"{low:g}" if low == high else f"{low:g}-{high:g}",
        encoder.licence,
        "yes" if encoder.commercial else "no",
        str(encoder.gate),
        encoder.assumed or "-",
    )
