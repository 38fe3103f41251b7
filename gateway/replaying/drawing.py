"""A picture of rectangles, lines and words: as SVG, written here, or as PNG by matplotlib (extra `analysis`)."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from pathlib import Path

FONT = "system-ui, 'Noto Sans', 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif"
FAMILIES = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei")
"""Of a PNG: the first has no Chinese, those after it lend theirs where they are installed."""
DPI = 144  # of a PNG: twice the 72 in which a point is a pixel


class Box(NamedTuple):
    """A rectangle, px from the top left; `title` is shown where the mouse is."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    title: str = ""
    edge: str = ""
    radius: float = 2.0


class Stroke(NamedTuple):
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float = 1.0
    dashed: bool = False


class Word(NamedTuple):
    """Text on its baseline; `anchor`: which end of it is at x."""

    x: float
    y: float
    text: str
    colour: str = "#222222"
    size: float = 12.0
    bold: bool = False
    anchor: str = "start"


Shape = Box | Stroke | Word


class Picture(NamedTuple):
    """What is drawn, first things below later ones."""

    width: float
    height: float
    shapes: list[Shape]

    def save(self, path: Path) -> None:
        """Write it as what the name ends in: .svg or .png. Raises ConfigError, GatewayError."""
        if path.suffix not in {".svg", ".png"}:
            raise ConfigError(
                [f"{path}: found the ending {path.suffix!r}; a picture is written to a .svg or .png file"]
            )
        try:
            if path.suffix == ".svg":
                path.write_text(self.svg(), encoding="utf-8")
            else:
                _png(self, path)
        except OSError as error:
            raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error

    def svg(self) -> str:
        """As SVG 1.1, alone in a browser as well as inside a page."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height="{self.height:g}" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" font-family="{escape(FONT)}">'
        )
        back = f'<rect width="{self.width:g}" height="{self.height:g}" fill="#ffffff"/>'
        return "\n".join([head, back, *map(_svg, self.shapes), "</svg>\n"])


def _svg(shape: Shape) -> str:
    if isinstance(shape, Box):
        edge = f' stroke="{shape.edge}" stroke-width="1.5"' if shape.edge else ""
        at = f'x="{shape.x:.2f}" y="{shape.y:.2f}" width="{shape.width:.2f}" height="{shape.height:g}"'
        title = f"<title>{escape(shape.title)}</title>" if shape.title else ""
        return f'<rect {at} rx="{shape.radius:g}" fill="{shape.fill}"{edge}>{title}</rect>'
    if isinstance(shape, Stroke):
        dash = ' stroke-dasharray="3 3"' if shape.dashed else ""
        at = f'x1="{shape.x1:.2f}" y1="{shape.y1:.2f}" x2="{shape.x2:.2f}" y2="{shape.y2:.2f}"'
        return f'<line {at} stroke="{shape.colour}" stroke-width="{shape.width:g}"{dash}/>'
    weight = ' font-weight="600"' if shape.bold else ""
    at = f'x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size:g}" fill="{shape.colour}"'
    return f'<text {at} text-anchor="{shape.anchor}"{weight}>{escape(shape.text)}</text>'


def _png(picture: Picture, path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above
        from matplotlib.font_manager import fontManager  # noqa: PLC0415 - as above
        from matplotlib.lines import Line2D  # noqa: PLC0415 - as above
        from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise GatewayError(
            f"{path}: a PNG is drawn by matplotlib, which is not installed: pip install 'zhiwang[analysis]', "
            "or write an .svg, which needs nothing"
        ) from error
    figure = Figure(figsize=(picture.width / 72, picture.height / 72), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_axis_off()
    align = {"start": "left", "middle": "center", "end": "right"}
    known = {font.name for font in fontManager.ttflist}
    families = [name for name in FAMILIES if name in known]
    for order, shape in enumerate(picture.shapes):
        if isinstance(shape, Box):
            style = f"round,pad=0,rounding_size={min(shape.radius, shape.width / 2):g}"
            edge = shape.edge or "none"
            box = FancyBboxPatch((shape.x, shape.y), shape.width, shape.height, boxstyle=style, fc=shape.fill, ec=edge)
            box.set_zorder(order)
            axes.add_patch(box)
        elif isinstance(shape, Stroke):
            line = "--" if shape.dashed else "-"
            ends = ([shape.x1, shape.x2], [shape.y1, shape.y2])
            axes.add_line(Line2D(*ends, color=shape.colour, linewidth=shape.width, linestyle=line, zorder=order))
        else:
            weight = "bold" if shape.bold else "normal"
            axes.text(
                shape.x,
                shape.y,
                shape.text.replace("$", r"\$"),
                color=shape.colour,
                fontsize=shape.size * 0.9,
                weight=weight,
                ha=align[shape.anchor],
                family=families,
                zorder=order,
            )
    canvas.print_png(path)
