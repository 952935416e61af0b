"""Measures by contender → horizontal bars as SVG text, readable on a light page and on a dark one."""

from collections.abc import Mapping, Sequence
from html import escape

ROW, LABEL, WIDTH, BAR = 26, 220, 760, 16
COLOURS = ("#3b7dd8", "#e08a3c", "#7a9e5a")
INK = "#808080"


def bars(title: str, unit: str, rows: Mapping[str, Sequence[float]], parts: Sequence[str] = ()) -> str:
    """One bar per row, of as many stacked parts as there are numbers; ``parts`` name them in a legend."""
    most = max((sum(values) for values in rows.values()), default=0) or 1
    top = 34 + (20 if parts else 0)
    lines = [f'<text x="0" y="16" font-size="14" font-weight="bold">{escape(title)}</text>']
    lines += [_legend(n, part) for n, part in enumerate(parts)]
    for n, (name, values) in enumerate(rows.items()):
        lines += _row(top + n * ROW, name, values, (WIDTH - LABEL - 90) / most, unit)
    height = top + len(rows) * ROW + 4
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" role="img"'
            f' viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            *lines,
            "</svg>",
            "",
        ]
    )


def _legend(n: int, part: str) -> str:
    x = LABEL + n * 150
    square = f'<rect x="{x}" y="26" width="10" height="10" fill="{COLOURS[n]}"/>'
    return f'{square}<text x="{x + 16}" y="35">{escape(part)}</text>'


def _row(y: int, name: str, values: Sequence[float], scale: float, unit: str) -> list[str]:
    lines, x = [f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'], float(LABEL)
    for n, value in enumerate(values):
        lines.append(f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="{BAR}" fill="{COLOURS[n]}"/>')
        x += value * scale
    return [*lines, f'<text x="{x + 6:.1f}" y="{y + 12}">{sum(values):,.3g} {unit}</text>']
