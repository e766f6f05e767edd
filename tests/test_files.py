"""A file is written whole or not at all."""

import os
import stat

import pytest

from mlprod_helpers.files import write_text


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, call):
    path = write_text(tmp_path / "plan.txt", "old\r\n", mode=0o600)

    def no_space(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, call, no_space)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_bytes() == b"old\r\n" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["plan.txt"]
