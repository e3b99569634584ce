"""Files that are sent while they are made."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from fastapi.responses import StreamingResponse
from starlette.types import Send


class Download(StreamingResponse):
    """A file that is sent while it is made; when the reader leaves, it is made no further."""

    async def stream_response(self, send: Send) -> None:
        """Send it, and close what makes it."""
        async with aclosing(cast(AsyncGenerator[bytes], self.body_iterator)):
            await super().stream_response(send)
