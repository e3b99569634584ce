"""Photos of teachers: whatever is uploaded is decoded within limits and encoded anew, so that nothing but a picture is kept."""

import hashlib
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps

from app.registry import rules

MAX_UPLOAD_BYTES = 3 * 1024 * 1024
MAX_BYTES = 200 * 1024
MAX_PIXELS = 25_000_000
SIZE = (480, 640)
"""Width and height that the kept picture fits into, in pixels."""
MEDIA_TYPE = "image/jpeg"
_FORMATS = ("JPEG", "PNG")
_QUALITIES = (85, 70, 50, 30)


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture as it is kept and shown: JPEG, without anything that its file said about place, time or camera."""

    content: bytes
    sha256: bytes


def encode(uploaded: bytes) -> Photo:
    """The uploaded JPEG or PNG as a small JPEG. Takes up to a second of CPU: call it in a thread.

    Raises BadInput("registry.photo_invalid") for anything else, for over 3 MB, and for over 25 million pixels.
    """
    if not 1 <= len(uploaded) <= MAX_UPLOAD_BYTES:
        raise rules.refuse("photo", "照片文件不能超过 3 MB")
    try:
        with Image.open(BytesIO(uploaded), formats=_FORMATS) as opened:
            picture = _shrunk(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as broken:
        raise rules.refuse("photo", "照片须为完整的 JPEG 或 PNG 图片") from broken
    for quality in _QUALITIES:
        written = BytesIO()
        picture.save(written, "JPEG", quality=quality, optimize=True)
        if written.tell() <= MAX_BYTES:
            content = written.getvalue()
            return Photo(content, hashlib.sha256(content).digest())
    raise rules.refuse("photo", "照片无法压缩到 200 kB 以内")


def _shrunk(opened: Image.Image) -> Image.Image:
    if opened.width * opened.height > MAX_PIXELS:
        raise rules.refuse("photo", "照片像素过大，最多 2500 万像素")
    opened.draft("RGB", (SIZE[0] * 2, SIZE[1] * 2))
    picture = ImageOps.exif_transpose(opened)
    picture.thumbnail(SIZE)
    if "A" in picture.getbands() or "transparency" in picture.info:
        shown = picture.convert("RGBA")
        picture = Image.new("RGBA", shown.size, "white")
        picture.alpha_composite(shown)
    return picture.convert("RGB")
