"""What every test of a study is held to."""

import pytest

from mcgen import results


@pytest.fixture(autouse=True)
def files_of_studies_are_as_the_schema_says(request):
    """`mcgen check` has nothing to say about any file that a script has written in its test."""
    if not request.module.__name__.split(".")[-1].endswith(("_script", "_scripts", "_impute")):
        yield
        return
    folder = request.getfixturevalue("tmp_path")
    yield
    for path in sorted(folder.rglob("*.h5")):
        assert results.check(path).deviations == (), path
