"""Scenario: damage to the files of a library is reported or repaired; answers do not change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.soak.harness import QUERIES, Round, parse_answer, run_command

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.soak.samples import Samples

LIBRARIES_PER_ROUND = 4


def check_flipped_bits(round_: Round, samples: Samples) -> None:
    """Damage one file of a library, search, let doctor look, and search again."""
    for library_number in range(LIBRARIES_PER_ROUND):
        library_path = samples.copy_library(round_.folder / str(library_number))
        run_command(library_path, "search", QUERIES[0], "--all", "--json")  # fills the caches
        damaged_file = round_.rng.choice(
            [path for path in sorted(library_path.rglob("*")) if _is_content(path)]
        )
        damage = _damage_file(damaged_file, round_.rng)
        relative_path = damaged_file.relative_to(library_path)
        description = f"{damage} in {relative_path}"
        round_.counts[f"{relative_path.parts[0]}: {damage}"] += 1
        query = round_.rng.choice(QUERIES)
        searched = run_command(library_path, "search", query, "--all", "--json")
        if searched.exit_code == 0:
            is_same = parse_answer(searched.stdout) == samples.answers[query]
            round_.expect(
                is_same or searched.stderr.strip(), f"{description}: other answers without a word"
            )
            round_.counts["same answers" if is_same else "reported"] += 1
        else:
            round_.expect(searched.stderr.strip(), f"{description}: fails without a message")
            round_.counts["refused"] += 1
        checked = run_command(library_path, "doctor")
        if checked.exit_code == 0:  # then the answers must be right
            again = run_command(library_path, "search", query, "--all", "--json")
            round_.expect(again.exit_code == 0, f"{description}: doctor finds nothing")
            round_.expect(
                parse_answer(again.stdout) == samples.answers[query],
                f"{description}: doctor finds nothing, answers differ",
            )


def _is_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0 and not path.name.endswith((".lock", ".toml"))


def _damage_file(path: Path, rng: random.Random) -> str:
    """Damage a file and return the kind of damage."""
    content = bytearray(path.read_bytes())
    damage = rng.choice(("flipped bit", "flipped bit", "zeroed block", "truncation"))
    position = rng.randrange(len(content))
    if damage == "flipped bit":
        content[position] ^= 1 << rng.randrange(8)
    elif damage == "zeroed block":
        content[position : position + 512] = bytes(len(content[position : position + 512]))
    else:
        del content[position:]
    path.write_bytes(content)
    return damage
