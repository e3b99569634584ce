"""What the processes tell their operator: structured logs without personal data, and metrics."""

import logging
import logging.config
import sys
import traceback
from types import TracebackType
from typing import Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy.exc import DBAPIError
from structlog.typing import EventDict, Processor, WrappedLogger

METRICS_TYPE = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()
REQUESTS = Counter("escrow_requests", "Answered requests", ["method", "route", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "escrow_request_seconds",
    "Time to the first byte of an answer",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
JOB_RUNS = Counter("escrow_job_runs", "Finished runs of background jobs", ["job", "outcome"], registry=REGISTRY)

_FRAMES = 20


def configure(log_format: Literal["json", "console"]) -> None:
    """Send this process's logs, and those of its libraries, to standard output in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = (
        [structlog.processors.JSONRenderer(ensure_ascii=False)]
        if log_format == "json"
        else [_join_exception, structlog.dev.ConsoleRenderer(colors=False)]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    # No line names its caller, thread or process, and finding them costs as much as writing it (as logging's own documentation says).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # One line per request is ours; these would add a second one, with the URL in it.
    for noisy in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def metrics() -> bytes:
    """All metrics in Prometheus' text form."""
    return generate_latest(REGISTRY)


def describe(error: BaseException) -> list[str]:
    """What an error was and where, without its message: messages of databases and validators quote people's data."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None and len(lines) < 5 * _FRAMES:
        lines.append(_name(current))
        lines += _frames(current.__traceback__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


def _name(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig else None
        details = [getattr(cause, name, None) for name in ("sqlstate", "table_name", "column_name", "constraint_name")]
        return " ".join([kind, type(cause).__name__, *(str(detail) for detail in details if detail)])
    return kind


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-_FRAMES:]]


def _describe_exception(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    found: Any = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
    return event


def _join_exception(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """On a console an exception is one text of several lines."""
    if "exception" in event:
        event["exception"] = "\n".join(event["exception"])
    return event
