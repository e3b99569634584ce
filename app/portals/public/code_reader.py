"""Reads the QR codes in a picture: standard input to standard output, as a program of its own that may die without harm.

Pictures come from anybody, and their decoders are large programs in C: this one gets little memory, little time and no file to write.
Answers one line of JSON: `{"codes": […]}`, or `{"refused": "invalid" | "pixels"}`.
"""

import json
import resource
import sys
import warnings
from io import BytesIO

MOST_PIXELS = 40_000_000
MOST_CODES = 5
MOST_CHARACTERS = 2_000
MEMORY_BYTES = 1 << 30
CPU_SECONDS = 5
FORMATS = ("JPEG", "PNG", "WEBP")
SIDE = 1600
"""Codes are looked for in a picture shrunk to this; one that fills a tenth of it still has pixels enough."""


def read(uploaded: bytes) -> dict[str, str | list[str]]:
    """What the picture's codes say."""
    import zxingcpp
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # its own limit warns only; ours stands below, before anything is decoded
    try:
        with Image.open(BytesIO(uploaded), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return {"refused": "pixels"}
            picture.draft("L", (SIDE, SIDE))
            grey = ImageOps.exif_transpose(picture).convert("L")
            grey.thumbnail((SIDE, SIDE))
    except (OSError, SyntaxError, ValueError, MemoryError, EOFError):
        return {"refused": "invalid"}
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    texts = dict.fromkeys(code.text.strip()[:MOST_CHARACTERS] for code in found)
    return {"codes": [text for text in texts if text][:MOST_CODES]}


def main() -> None:
    """Read one picture."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(read(sys.stdin.buffer.read())))


if __name__ == "__main__":
    main()
