import os

import pytest

from spaceprobe.files import InTheWayError, open_whole, remove, remove_abandoned, write_whole


def test_a_file_written_in_pieces_appears_when_its_block_has_ended(tmp_path):
    path = tmp_path / "new" / "pixels.npy"
    with open_whole(path) as file:
        file.write(b"first ")
        file.write(b"second")
        assert not path.exists()
    assert path.read_bytes() == b"first second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_an_error_in_the_block_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "pixels.npy"
    write_whole(path, b"old")
    with pytest.raises(error, match="while writing"), open_whole(path) as file:  # noqa: PT012  # the block
        file.write(b"half")
        raise error("while writing")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("keep_existing", "content"), [(True, b"theirs"), (False, b"ours")])
def test_what_another_process_wrote_meanwhile_is_kept_if_asked(tmp_path, keep_existing, content):
    path = tmp_path / "pixels.npy"
    with open_whole(path, keep_existing=keep_existing) as file:
        file.write(b"ours")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_s_file_is_removed_after_a_minute(tmp_path):
    child = os.fork()
    if child == 0:
        with open_whole(tmp_path / "pixels.npy") as file:
            file.write(b"half")
            os._exit(0)
    os.waitpid(child, 0)
    (temporary,) = tmp_path.iterdir()
    remove_abandoned(tmp_path)
    assert temporary.exists()
    os.utime(temporary, (0, 0))
    remove_abandoned(tmp_path)
    assert not temporary.exists()


def test_a_file_is_removed_once_and_a_folder_of_its_name_is_in_the_way(tmp_path):
    path = tmp_path / "paths.csv"
    path.write_bytes(b"old")
    remove(path)
    assert not path.exists()
    remove(path)
    path.mkdir()
    with pytest.raises(InTheWayError, match=r"paths\.csv: cannot be removed \(.+\); .+ or give"):
        remove(path)
