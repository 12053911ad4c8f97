"""Every broken copy of the plugin is caught by the checks that are meant for it."""

from __future__ import annotations

import asyncio

import checks
import listening
import mutants
import pytest

PAIRS = [(mutant, name) for mutant in mutants.ALL for name in mutant.caught_by]


# What hangs here, hangs for ever. These take a right client 3.1 s, 2.0 s and 3.5 s; the others 1.0 s at most.
LONG = ("final_late_with_progress", "half_open", "each_lived_before_it_was_lost")


@pytest.mark.parametrize(("mutant", "name"), PAIRS, ids=[f"{mutant.__name__}-{name}" for mutant, name in PAIRS])
async def test_is_caught(mutant: type[mutants.Mutant], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HANG_S", 8.0 if name in LONG else 2.5)
    check = next(check for check in checks.ALL if check.__name__ == name)
    with pytest.raises((AssertionError, asyncio.TimeoutError)):
        await check(mutants.of(mutant))


def test_there_is_a_check_for_every_mutant() -> None:
    assert all(mutant.caught_by for mutant in mutants.ALL)
    assert len(mutants.ALL) >= 20
