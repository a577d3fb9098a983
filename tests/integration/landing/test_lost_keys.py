"""Keys and their database belong together: one is never set up anew beside the other."""

import shutil
from pathlib import Path

import pytest

from batuta.keys import KeysMismatch, KeysMissing, create_keys, keys_for
from batuta.warehouse.connection import connect


def test_a_database_that_was_filled_gets_no_other_keys_when_its_own_are_lost(
    database_url: str, tmp_path: Path
) -> None:
    with connect(database_url, "owner") as conn:
        made = keys_for(conn, tmp_path)
        assert keys_for(conn, tmp_path).fingerprint() == made.fingerprint()
        shutil.rmtree(tmp_path / "keys")

        with pytest.raises(KeysMissing, match="this database was filled with some"):
            keys_for(conn, tmp_path)
        assert not (tmp_path / "keys").exists()

        create_keys(tmp_path)
        with pytest.raises(KeysMismatch, match="are not the ones"):
            keys_for(conn, tmp_path)
