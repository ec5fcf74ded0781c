from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .farm import Farm


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    made = Farm(tmp_path)
    yield made
    await made.close()
