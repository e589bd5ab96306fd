"""What people bring runners up with says what the table of runners says."""

from orchestrator.launch import manifests


def test_what_is_committed_is_what_the_table_gives() -> None:
    for name, text in manifests.rendered().items():
        assert (manifests.FOLDER / name).read_text() == text, f"docker/{name}: run 'make manifests'"
