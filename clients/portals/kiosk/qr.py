"""Draw a QR code as an SVG path: no picture file, no script, no style."""

from __future__ import annotations

from typing import NamedTuple

import qrcode

QUIET = 4  # modules of white around it (ISO/IEC 18004)


class Square(NamedTuple):
    """Hold the drawing: its side in modules, and the path of the dark ones."""

    side: int
    path: str


def square(text: str) -> Square:
    """Return `text` as a QR code; each run of dark modules in a row is one rectangle."""
    code = qrcode.QRCode(border=QUIET, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(text)
    code.make(fit=True)
    runs = []
    matrix = code.get_matrix()
    for y, row in enumerate(matrix):
        start = None
        for x, is_dark in enumerate([*row, False]):
            if is_dark and start is None:
                start = x
            elif not is_dark and start is not None:
                runs.append(f"M{start} {y}h{x - start}v1H{start}z")
                start = None
    return Square(len(matrix), "".join(runs))
