"""Fetching published weights: quickly refused without a network, and without noise."""

from __future__ import annotations

import contextlib
import logging
import re
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import torch

from vsearch.encoders.checkpoint import in_short
from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 8.0  # seconds to wait for a server's first sign of life
TALKATIVE = ("huggingface_hub", "transformers", "timm", "httpx")  # open_clip uses the root logger


def reach(url: str) -> None:
    """Raise OSError unless the server of `url` answers; libraries retry for minutes instead."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - of a library's own list
    try:
        urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310
    except urllib.error.HTTPError as answer:
        answer.close()  # it refused this request, so it is there
    except OSError as error:
        reason = getattr(error, "reason", error)  # a URLError wraps what happened
        reason = getattr(reason, "strerror", None) or reason
        raise OSError(f"no connection to {urlsplit(url).netloc}: {reason}") from error


def fetch(url: str) -> Path:
    """The file behind `url`, in torch's own cache; its name ends in the start of its SHA-256."""
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not target.is_file():
        reach(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = re.search(r"-([0-9a-f]{8,})\.", target.name)
        torch.hub.download_url_to_file(url, str(target), prefix[1] if prefix else None)
    return target


def refusal(model: str, error: BaseException, cache: str) -> WeightsError:
    """What to say when the weights of `model` ("plugin:name") cannot be had."""
    return WeightsError(
        f"the weights of {model} are not on this machine and cannot be downloaded "
        f"({in_short(error)}). Without a network: "
        f"name a checkpoint instead ({model}@FILE), copy {cache} from a machine that has them, "
        "or use the embedded model (--model builtin, and no --text-model)"
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries that load a model from warning, logging or setting up logging."""
    root, silent = logging.getLogger(), logging.NullHandler()
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    root.addHandler(silent)  # without any handler logging.info() would install one for stderr
    root.addFilter(_is_not_open_clip)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeFilter(_is_not_open_clip)
        root.removeHandler(silent)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _is_not_open_clip(record: logging.LogRecord) -> bool:
    """Keeps out "Model initialized randomly", true for the second before its weights arrive."""
    return Path(record.pathname).parent.name != "open_clip"
