"""Checks of arguments of the public API, so that a wrong type is an error of vsearch."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from typing import Any

from vsearch.errors import QueryError
from vsearch.types import Span

MAX_COUNT = 2**63 - 1  # of ids in the catalog


def check_text(value: object, argument_name: str) -> str:
    """Return a text.

    Args:
        value: The argument.
        argument_name: Its name, for the message.

    Raises:
        QueryError: If it is not a string.
    """
    if not isinstance(value, str):
        raise QueryError(f"{argument_name} must be text, not {_describe(value)}")
    return value


def check_path(value: object, argument_name: str) -> str:
    """Return a path as text.

    Args:
        value: A string or path-like object.
        argument_name: Name of the argument, for the message.

    Raises:
        QueryError: If it is neither.
    """
    path_text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path_text, str):
        raise QueryError(f"{argument_name} must be a path, not {_describe(value)}")
    if "\0" in path_text:
        raise QueryError(f"{argument_name} must not contain a null character: {_describe(value)}")
    return path_text


def check_list(values: object, argument_name: str) -> list[Any]:
    """Return the elements of a list or another iterable, which is not a text.

    Args:
        values: The argument.
        argument_name: Its name, for the message.

    Raises:
        QueryError: If it is something else.
    """
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | os.PathLike):
        raise QueryError(f"{argument_name} must be a list, not {_describe(values)}")
    try:
        return list(values)
    except TypeError as error:  # an array without dimensions
        raise QueryError(f"{argument_name} must be a list, not {_describe(values)}") from error


def check_names(values: object, argument_name: str) -> tuple[str, ...]:
    """Return paths or labels as texts; a single one counts as a list of one.

    Args:
        values: A string or path-like object, or an iterable of them.
        argument_name: Name of the argument, for the message.

    Raises:
        QueryError: If it is something else.
    """
    if isinstance(values, str | os.PathLike):
        return (check_path(values, argument_name),)
    value_list = check_list(values, argument_name)
    return tuple(check_path(value, f"an element of {argument_name}") for value in value_list)


def check_count(value: Any, argument_name: str) -> int:
    """Return a whole number of at least 1; NumPy integers are accepted.

    Args:
        value: The argument.
        argument_name: Its name, for the message.

    Raises:
        QueryError: If it is not such a number.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or type(value).__name__.startswith("bool"):
        raise QueryError(
            f"{argument_name} must be a whole number of at least 1, not {_describe(value)}"
        )
    if count > MAX_COUNT:
        raise QueryError(f"{argument_name} must be at most {MAX_COUNT}, not {_describe(value)}")
    return count


def check_ids(values: object, argument_name: str) -> list[int]:
    """Return a list of ids, which are whole numbers of at least 1.

    Args:
        values: The argument.
        argument_name: Its name, for the message.

    Raises:
        QueryError: If it is something else.
    """
    value_list = check_list(values, argument_name)
    return [check_count(value, f"an element of {argument_name}") for value in value_list]


def check_number(value: Any, argument_name: str) -> float:
    """Return a finite number; NumPy numbers are accepted.

    Args:
        value: The argument.
        argument_name: Its name, for the message.

    Raises:
        QueryError: If it is not a finite number.
    """
    is_number = hasattr(value, "__float__") and not type(value).__name__.startswith("bool")
    try:
        number = float(value) if is_number else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise QueryError(f"{argument_name} must be a finite number, not {_describe(value)}")
    return number


def _describe(value: object) -> str:
    """Return a value for a message, shortened."""
    value_text = repr(value)
    return value_text if len(value_text) <= 60 else f"a {type(value).__name__}"


def check_span(value: Any, argument_name: str) -> Span | None:
    """Return a span, or None.

    Args:
        value: A `Span`, a pair of seconds, or None.
        argument_name: Name of the argument, for the message.

    Raises:
        QueryError: If it is something else, or not a valid span.
    """
    if value is None or isinstance(value, Span):
        return value
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise QueryError(
            f"{argument_name} must be a Span or a pair of seconds, not {_describe(value)}"
        )
    start, end = (check_number(seconds, f"a time of {argument_name}") for seconds in value)
    try:
        return Span(start, end)
    except ValueError as error:
        raise QueryError(f"{argument_name} {value} is not valid: {error}") from error
