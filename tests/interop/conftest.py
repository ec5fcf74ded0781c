from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.farm import Farm


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path)
    yield farm
    farm.stop()
