"""Excerpts as Final Cut Pro X XML 1.8, which DaVinci Resolve reads, too.

Times are exact fractions of a second, edits lie on frames of the timeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vsearch.export.excerpts import leading, one_line
from vsearch.export.timeline import begins, frames_in, nearest

if TYPE_CHECKING:
    from fractions import Fraction

    from vsearch.export.excerpts import Source
    from vsearch.export.timeline import Event, Timeline

_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n'
_SIZE = (1920, 1080)  # of a timeline of videos whose size is unknown


def final_cut(timeline: Timeline) -> bytes:
    """UTF-8."""
    root = Element("fcpxml", version="1.8")
    resources = SubElement(root, "resources")
    lead = leading([event.excerpt for event in timeline.events])
    shape = _format(resources, "r1", timeline.rate, _size(lead.source) if lead else _SIZE)
    event = SubElement(SubElement(root, "library"), "event", name="vsearch")
    project = SubElement(event, "project", name=one_line(timeline.title))
    sequence = SubElement(
        project, "sequence", format=shape, duration=_seconds(timeline.count / timeline.rate),
        tcStart="0s", tcFormat="NDF",
    )  # fmt: skip
    spine = SubElement(sequence, "spine")
    assets: dict[Source, str] = {}
    for one in timeline.events:
        if one.source not in assets:
            assets[one.source] = _asset(resources, f"r{2 * len(assets) + 2}", one, timeline.rate)
        _clip(spine, one, assets[one.source], timeline.rate)
    indent(root)
    body: bytes = tostring(root, "utf-8")
    return _HEAD + body + b"\n"


def _clip(spine: Element, event: Event, asset: str, rate: Fraction) -> None:
    source = event.source
    own = source.rate or rate
    start = begins(source) + nearest(event.start / rate, own) / own
    clip = SubElement(
        spine, "asset-clip", ref=asset, name=source.name, offset=_seconds(event.at / rate),
        start=_seconds(start), duration=_seconds(event.count / rate), tcFormat="NDF",
    )  # fmt: skip
    if source.sound:
        clip.set("audioRole", "dialogue")
    SubElement(clip, "note").text = event.excerpt.label


def _asset(resources: Element, name: str, event: Event, rate: Fraction) -> str:
    source = event.source
    own = source.rate or rate
    shape = _format(resources, f"{name}f", own, _size(source))
    lasts = source.duration or float((event.start + event.count) / rate)
    asset = SubElement(
        resources, "asset", id=name, name=source.name, src=source.path.as_uri(),
        start=_seconds(begins(source)), duration=_seconds(frames_in(lasts, own) / own),
        format=shape, hasVideo="1",
    )  # fmt: skip
    if source.sound:
        asset.set("hasAudio", "1")
    return name


def _format(resources: Element, name: str, rate: Fraction, size: tuple[int, int]) -> str:
    width, height = size
    SubElement(
        resources, "format", id=name, frameDuration=_seconds(1 / rate, whole=False),
        width=str(width), height=str(height),
    )  # fmt: skip
    return name


def _size(source: Source) -> tuple[int, int]:
    return (source.width, source.height) if source.width else _SIZE


def _seconds(time: Fraction, *, whole: bool = True) -> str:
    if whole and time.denominator == 1:
        return f"{time.numerator}s"
    return f"{time.numerator}/{time.denominator}s"
