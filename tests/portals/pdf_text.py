"""What a PDF says, read the way a viewer's search does: the codes it draws, through the map to characters that it carries."""

import re
import zlib

_STREAM = re.compile(rb"/Length (\d+)\n[^>]*>>\nstream\n")
_DRAWN = re.compile(rb"\(((?:\\.|[^\\)])*)\) Tj", re.S)
_DEFLATED = b"x"
_ESCAPED = {b"n": b"\n", b"r": b"\r"}


def text_of(pdf: bytes) -> str:
    """Everything on its pages, line by line."""
    streams = [pdf[found.end() : found.end() + int(found[1])] for found in _STREAM.finditer(pdf)]
    streams = [zlib.decompress(stream) if stream[:1] == _DEFLATED else stream for stream in streams]
    pages = [stream for stream in streams if b" Tj" in stream]
    (characters,) = [_characters(stream.decode("latin-1")) for stream in streams if b"beginbfchar" in stream]
    return "\n".join("".join(characters[code] for code in _codes(drawn)) for page in pages for drawn in _DRAWN.findall(page))


def _characters(mapping: str) -> dict[int, str]:
    return {
        int(code, 16): bytes.fromhex(character).decode("utf-16-be")
        for code, character in re.findall(r"<([0-9A-F]{4})> <([0-9A-F]+)>\n", mapping)
        if code != "0000"
    }


def _codes(drawn: bytes) -> list[int]:
    plain = re.sub(rb"\\(.)", lambda escape: _ESCAPED.get(escape[1], escape[1]), drawn, flags=re.S)
    return [int.from_bytes(plain[at : at + 2], "big") for at in range(0, len(plain), 2)]
