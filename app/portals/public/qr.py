"""QR codes as images: the district's one code (全区一码), and the code of a payment."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response

from app.payments import codes, qr
from app.portals.edge import Named

router = APIRouter(prefix="/qr", tags=["public"])

Format = Annotated[Literal["png", "svg"], Path(description="png or svg")]
_IMAGES = {"png": (qr.png, "image/png"), "svg": (qr.svg, "image/svg+xml")}
_CONTENT: dict[int | str, dict[str, object]] = {200: {"content": {media_type: {} for _, media_type in _IMAGES.values()}}}
_A_CODES_LIFE = "private, max-age=900"


@router.get("/district.{image}", summary="The district's QR code", response_class=Response, responses=_CONTENT)
async def district_code(district: Named, image: Format) -> Response:
    """It leads to the district's home page, to be printed and hung up."""
    return _drawn(codes.district_url(district.code), image, "public, max-age=86400")


@router.get("/payments/{code}.{image}", summary="A payment's QR code", response_class=Response, responses=_CONTENT)
async def payment_code(code: str, image: Format) -> Response:
    """Draws codes that this service has signed, and no other text; whether one still opens its payment, its page says."""
    codes.read_code(code)
    return _drawn(codes.url_of(code), image, _A_CODES_LIFE)


def _drawn(text: str, image: Literal["png", "svg"], caching: str) -> Response:
    draw, media_type = _IMAGES[image]
    return Response(draw(text), media_type=media_type, headers={"Cache-Control": caching})
