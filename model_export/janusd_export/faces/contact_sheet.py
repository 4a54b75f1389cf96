"""The stacks of a photo collection as one HTML page that needs nothing else.

The faces are the owner's family: pictures are inside the page, it loads and sends nothing, and its policy
tells the browser to hold it to that.
"""

from __future__ import annotations

import base64
import html
import os
from pathlib import Path

import cv2
import numpy as np

from janusd_export.errors import ExportError
from janusd_export.faces.cluster import Collection, Stack

FILE = "sheet.html"
MOST_SHOWN = 24
"""Faces of one stack on the sheet; the folder has them all."""
_SIDE_PX = 112

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #222; background: #fafaf8 }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
p { color: #555; margin: .3rem 0 1rem }
section { background: #fff; border: 1px solid #e3e1da; border-radius: 8px; padding: .8rem 1rem;
          margin: 0 0 1rem }
section.one { opacity: .75 }
img { width: 84px; height: 84px; object-fit: cover; border-radius: 4px; margin: 0 4px 4px 0 }
code { background: #f1efe8; padding: .1rem .3rem; border-radius: 3px; user-select: all }
b { color: #14532d } small { color: #777; font-weight: normal }
"""


def write_sheet(out: Path, collection: Collection) -> Path:
    """Write sheet.html, for the owner alone (mode 0600). Raises ExportError."""
    alone = [stack for stack in collection.stacks if len(stack.faces) == 1]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    title = (
        f"{len(collection.stacks)} stacks of {_count(collection)} faces in {collection.photos} photographs"
    )
    page = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f'<meta http-equiv=Content-Security-Policy content="{policy}">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        f"<h1>{title}</h1>",
        f"<p>{html.escape(collection.encoder)}; stacks were joined down to a mean score of",
        f"{collection.threshold:.3f} (FMR {collection.fmr:g} of one comparison). {len(alone)} faces",
        f"resemble no other; {len(collection.unfit)} are too small, turned or blurred to say;",
        f"{len(collection.no_face)} photographs show no face.",
        "This page is a file on your disk and nothing else.</p>",
        *(_section(out, stack) for stack in collection.stacks),
    ]
    path = out / FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write("\n".join(page))
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
    return path


def _count(collection: Collection) -> int:
    return sum(len(stack.faces) for stack in collection.stacks)


def _section(out: Path, stack: Stack) -> str:
    shown = "".join(_picture(out / face.file, face.photo) for face in stack.faces[:MOST_SHOWN])
    more = f" and {len(stack.faces) - MOST_SHOWN} more" if len(stack.faces) > MOST_SHOWN else ""
    who = f"<b>{html.escape(stack.name)}</b>" if stack.name else f"<code>--name {stack.number}=NAME</code>"
    cohesion = f", mean score {stack.cohesion:.2f}" if 0 < stack.cohesion < 1 else ""
    kind = " class=one" if len(stack.faces) == 1 else ""
    return (
        f"<section{kind}><h2>Stack {stack.number} {who} "
        f"<small>{len(stack.faces)} faces{cohesion}{more}</small></h2>{shown}</section>"
    )


def _picture(path: Path, title: str) -> str:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ExportError(f"{path} is gone or damaged: delete stacks.json beside it and sort again")
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    small = cv2.resize(square, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    _, coded = cv2.imencode(".jpg", np.asarray(small), [cv2.IMWRITE_JPEG_QUALITY, 80])
    data = base64.b64encode(coded.tobytes()).decode()
    return f'<img title="{html.escape(title, quote=True)}" src="data:image/jpeg;base64,{data}">'
