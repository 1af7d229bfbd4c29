"""The fuzz targets hold for their seeds and for some hundred changes of them."""

from __future__ import annotations

import random
from types import ModuleType

import pytest

from tests.fuzz import nitro_cbor, nitro_document


@pytest.mark.parametrize("target", [nitro_cbor, nitro_document])
def test_seeds_and_their_neighbours(target: ModuleType) -> None:
    chance = random.Random(8949)
    for seed in target.seeds():
        target.fuzz_one(seed)
        for _ in range(150):
            data = bytearray(seed)
            for _ in range(chance.randint(1, 3)):
                start = chance.randrange(len(data))
                match chance.randrange(3):
                    case 0:
                        data[start] = chance.randrange(256)
                    case 1:
                        del data[start : start + chance.randint(1, 4)]
                        data = data or bytearray(b"\0")
                    case _:
                        data[start:start] = chance.randbytes(chance.randint(1, 4))
            target.fuzz_one(bytes(data))
