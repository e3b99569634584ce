"""A contract as a PDF on A4: its whole text, with its hash and the page at the foot of every page."""

import asyncio
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from fastapi import Response
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos
from fpdf.fonts import TTFFont

from app.contracts.accepting import DocumentView
from app.errors import Unavailable
from app.settings import settings

_MEDIA_TYPE = "application/pdf"
PDF_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file", "content": {_MEDIA_TYPE: {}}}}
"""How the description of a route says what it answers."""
_RECORD = "签署记录"
_HEADING = re.compile(f"第[一二三四五六七八九十]+条 |{_RECORD}$")
_PIECE = re.compile(r"[（《“‘【]*(?:[!-~]+|.)[，。、；：！？）》”’】…]*")
_FONT = "chinese"
_SIZE = 10
_MARGIN_MM, _FOOT_MM, _GAP_MM, _HEADING_MM, _LINE_MM = 20, 18, 2, 8, 6
_PAGES = "\ue000\ue000"
"""Where the library writes the number of pages, as wide as two figures; a text that holds such a character is not drawn."""
_PAGE = f"第 {{}} / {_PAGES} 页"
_VERTICAL = {"vhea", "vmtx", "VORG"}
_drawing = asyncio.Lock()
"""One at a time: each takes the interpreter for a third of a second, and two together would take it from everybody for longer."""
_places = asyncio.Semaphore(1 + 10)
"""For the one that is drawn, and those that wait."""
for _library in ("fpdf", "fontTools"):
    # They name the characters of the text, which names a child.
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)


async def contract_pdf(view: DocumentView) -> Response:
    """The answer that downloads it.

    Raises Unavailable "contracts.no_font" where the server has no font that can draw it, "contracts.pdf_busy".
    """
    if _places.locked():
        raise Unavailable("contracts.pdf_busy", "正在生成的 PDF 较多，请稍后再试，或在网页上查看合同全文")
    async with _places, _drawing:
        content = await asyncio.to_thread(drawn, view)
    headers = {"Content-Disposition": f'attachment; filename="{view.contract_no}.pdf"', "Cache-Control": "private, no-store"}
    return Response(content, media_type=_MEDIA_TYPE, headers=headers)


def drawn(view: DocumentView) -> bytes:
    """The file; the same contract gives the same bytes. Raises Unavailable "contracts.no_font"."""
    paper = _Paper(view)
    title, *lines = view.text.rstrip("\n").split("\n")
    paper.title_line(title)
    for number, line in enumerate(lines):
        if line == _RECORD:
            paper.keep_together(lines[number + 1 :])
        if _HEADING.match(line):
            paper.heading(line)
        elif line:
            paper.paragraph(line)
    return bytes(paper.output())


class _Paper(FPDF):
    def __init__(self, view: DocumentView) -> None:
        super().__init__(format="A4")
        self._foot = f"合同 {view.contract_no}　SHA-256 {view.sha256.hex()}"
        configured = settings()
        if not configured.pdf_font.is_file():
            raise Unavailable("contracts.no_font", "服务器没有中文字体，暂时不能生成 PDF，请在网页上查看合同全文")
        self.alias_nb_pages(_PAGES)
        said = {*view.text, *self._foot, *_PAGE.replace(_PAGES, "0123456789")} - {"\n"}
        self._learn(said, configured.pdf_font, configured.pdf_font_number)
        if said & set(_PAGES) or not said <= set(map(chr, self._font.cmap)):
            self._font.ttfont.close()
            raise Unavailable("contracts.no_font", "服务器的字体缺少合同里的字，暂时不能生成 PDF，请在网页上查看合同全文")
        self.set_title(f"校外培训服务合同 {view.contract_no}")
        self.set_lang("zh-CN")
        self.set_creation_date(view.accepted_at)
        self.set_margin(_MARGIN_MM)
        self.set_auto_page_break(True, _MARGIN_MM + _FOOT_MM // 2)
        self.add_page()

    @property
    def _font(self) -> TTFFont:
        return cast(TTFFont, self.fonts[_FONT])

    def _learn(self, said: set[str], font: Path, number: int) -> None:
        """Take up of a font what these characters need: all 60,000 of them, their outlines measured, would cost three times as much."""
        self.add_font(_FONT, fname=font, collection_font_number=number, unicode_range=sorted(map(ord, said)))
        tables = self._font.ttfont
        tables.recalcBBoxes = False
        for vertical in _VERTICAL & set(tables.keys()):
            del tables[vertical]

    def title_line(self, text: str) -> None:
        """What the paper is."""
        self._write(text, size=16, height=12, align="C")

    def heading(self, text: str) -> None:
        """Never the last line of a page."""
        if self.will_page_break(_GAP_MM + _HEADING_MM + _LINE_MM):
            self.add_page()
        self.ln(_GAP_MM)
        self._write(text, size=12, height=_HEADING_MM)

    def paragraph(self, text: str) -> None:
        """Some lines of text."""
        self._write(text, size=_SIZE, height=_LINE_MM)

    def keep_together(self, paragraphs: Sequence[str]) -> None:
        """Begin a page where these would not stand on this one with their heading."""
        self.set_font(_FONT, size=_SIZE)
        lines = sum(len(self._lines(text)) for text in paragraphs if text)
        if self.will_page_break(_GAP_MM + _HEADING_MM + lines * _LINE_MM):
            self.add_page()

    def _write(self, text: str, size: float, height: float, align: str = "L") -> None:
        self.set_font(_FONT, size=size)
        lines = "\n".join(self._lines(text))
        self.multi_cell(0, height, lines, align=align, wrapmode=WrapMode.CHAR, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _lines(self, text: str) -> list[str]:
        """Broken as Chinese is: between any two characters, but never before a closing sign, after an opening one, or within a number."""
        lines, room = [""], self.epw - 2 * self.c_margin
        left = room
        for piece in _PIECE.findall(text):
            width = self.get_string_width(piece)
            if width > left and lines[-1]:
                lines.append("")
                left = room
            lines[-1] += piece
            left -= width
        return lines

    def footer(self) -> None:
        """Called by the library at the end of each page."""
        self.set_y(-_FOOT_MM)
        self.set_font(_FONT, size=7)
        self.cell(0, 5, self._foot, align="L")
        self.cell(0, 5, _PAGE.format(self.page_no()), align="R")
