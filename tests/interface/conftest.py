"""What every test of a study is held to."""

import pytest

from mcgen import results

# Whose tables have no attribute `kind` yet.
UNKNOWN = {"compare_rbm_samplers.h5"}


@pytest.fixture(autouse=True)
def files_of_studies_are_as_the_schema_says(request):
    """`mcgen check` has nothing to say about any file that a script has written in its test."""
    if not request.module.__name__.split(".")[-1].endswith(("_script", "_scripts", "_impute")):
        yield
        return
    folder = request.getfixturevalue("tmp_path")
    yield
    for path in sorted(folder.rglob("*.h5")):
        if path.name not in UNKNOWN:
            assert results.check(path).deviations == (), path
