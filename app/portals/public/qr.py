"""QR codes as images: the district's one code (全区一码), and the code of a payment."""

from typing import Any

from fastapi import APIRouter, Response

from app.payments import codes, qr
from app.portals.edge import Named

router = APIRouter(prefix="/qr", tags=["public"])

PNG, SVG = "image/png", "image/svg+xml"
_FOR_A_DAY = "public, max-age=86400"
_A_CODES_LIFE = "private, max-age=900"


def _image(media_type: str) -> dict[str, Any]:
    """What the description says of a route that answers an image."""
    return {"response_class": Response, "responses": {200: {"description": "The image", "content": {media_type: {}}}}}


@router.get("/district.png", summary="The district's QR code as PNG", **_image(PNG))
async def district_png(district: Named) -> Response:
    """It leads to the district's home page, to be printed and hung up."""
    return Response(qr.png(codes.district_url(district.code)), media_type=PNG, headers={"Cache-Control": _FOR_A_DAY})


@router.get("/district.svg", summary="The district's QR code as SVG", **_image(SVG))
async def district_svg(district: Named) -> Response:
    """The same code, for any size."""
    return Response(qr.svg(codes.district_url(district.code)), media_type=SVG, headers={"Cache-Control": _FOR_A_DAY})


@router.get("/payments/{code}.png", summary="A payment's QR code as PNG", **_image(PNG))
async def payment_png(code: str) -> Response:
    """Draws codes that this service has signed, and no other text; whether one still opens its payment, its page says."""
    return Response(qr.png(_address(code)), media_type=PNG, headers={"Cache-Control": _A_CODES_LIFE})


@router.get("/payments/{code}.svg", summary="A payment's QR code as SVG", **_image(SVG))
async def payment_svg(code: str) -> Response:
    """The same code, for any size."""
    return Response(qr.svg(_address(code)), media_type=SVG, headers={"Cache-Control": _A_CODES_LIFE})


def _address(code: str) -> str:
    codes.read_code(code)
    return codes.url_of(code)
