"""Public = in `__all__` = documented."""

from __future__ import annotations

import inspect

import vsearch


def test_every_public_name_is_there_and_documented() -> None:
    for name in vsearch.__all__:
        thing = getattr(vsearch, name)
        if inspect.isclass(thing):
            assert thing.__doc__, name
            assert not thing.__doc__.startswith(f"{name}("), f"{name} has no docstring of its own"


def test_the_public_names_are_these() -> None:
    assert sorted(vsearch.__all__) == [
        "Cue", "Filters", "Info", "Ingested", "Library", "Moment", "Outcome", "Progress", "Query",
        "Quote", "Shares", "Space", "Span", "Step", "Term", "Timings", "VSearchError", "Video",
        "Why", "__version__", "connect",
    ]  # fmt: skip


def test_every_public_method_says_what_it_does() -> None:
    for name, method in inspect.getmembers(vsearch.Library, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__, f"Library.{name}"


def test_a_library_elsewhere_has_methods_of_the_same_names_and_arguments() -> None:
    from vsearch.client.remote import Remote

    own = {"ask", "stop", "preview", "export"}  # without a like
    for name, method in inspect.getmembers(Remote, inspect.isfunction):
        if name.startswith("_"):
            continue
        assert method.__doc__, f"Remote.{name}"
        if name not in own:
            here = inspect.signature(getattr(vsearch.Library, name)).parameters
            there = inspect.signature(method).parameters
            assert name == "index" or list(there) == list(here)[: len(there)], name


def test_the_error_tree_at_the_top_of_errors_is_the_real_one() -> None:
    from vsearch import errors

    drawn = (errors.__doc__ or "").splitlines()
    stack: list[str] = []
    for line in drawn:
        if not line or "Error" not in line.replace("│", "").strip().split(" ")[-1] + line:
            continue
        bare = line.lstrip("│├└─ ")
        name = bare.split(" ")[0]
        if not name.endswith("Error"):
            continue
        depth = (len(line) - len(bare)) // 4
        stack = [*stack[:depth], name]
        cls = getattr(errors, name)
        if depth:
            assert cls.__bases__ == (getattr(errors, stack[depth - 1]),), name
    classes = {n for n, c in vars(errors).items() if inspect.isclass(c)}
    assert classes == {w for line in drawn for w in line.split() if w in classes}
