"""The README's pictures, from the lake that two runs of `make scan` leave: python docs/pictures.py

Runs the commands as a user would, in a terminal of 100 columns, and writes what they print as SVG.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
DAY = "2026-11-03"  # the sample's second night
PICTURES = {
    # name: (arguments, heading the picture ends before)
    "summary": (["summary", "--date", DAY], "Fixes that lower severity most"),
    "explain": (["explain", "product-catalog", "--date", DAY], "Images"),
}
# rich's own template without the web font it would fetch.
TEMPLATE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"><style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm-256color"}
    for name, (arguments, end) in PICTURES.items():
        command = [sys.executable, "-m", "ecs_exposure.cli", *arguments, "--lake", str(ROOT / ".state" / "lake")]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        text = Text.from_ansi(printed)
        shown = text[: text.plain.index(f"\n{end}")]
        shown.rstrip()
        console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(shown)
        console.save_svg(
            str(ROOT / "docs" / "images" / f"{name}.svg"), title=f"ecs-exposure {name}", code_format=TEMPLATE
        )


if __name__ == "__main__":
    main()
