"""QR codes as PNG and SVG; error correction M, with the quiet zone of four modules that ISO 18004 asks for."""

from io import BytesIO

import qrcode
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.base import BaseImage
from qrcode.image.pil import PilImage
from qrcode.image.svg import SvgPathFillImage

_MODULE_PIXELS = 8


def png(text: str) -> bytes:
    """A black and white PNG, 8 pixels a module so that it stays sharp when scaled down."""
    return _drawn(text, PilImage)


def svg(text: str) -> bytes:
    """An SVG document on white, so that it can be scanned from a dark page too."""
    return _drawn(text, SvgPathFillImage)


def _drawn(text: str, image_factory: type[BaseImage]) -> bytes:
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, box_size=_MODULE_PIXELS, border=4, image_factory=image_factory)
    code.add_data(text)
    code.make(fit=True)
    stream = BytesIO()
    code.make_image().save(stream)
    return stream.getvalue()
