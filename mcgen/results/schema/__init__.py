"""What files hold: the schema, written down once, as data.

`layouts` lists for each group its attributes and datasets with their types, dimensions, units and meaning. `text`
prints it (`mcgen check --schema`); `checking` and `numbers` compare files with it, those of earlier versions as well.
"""

from mcgen.results.schema.checking import check_listing
from mcgen.results.schema.deviations import Deviation
from mcgen.results.schema.finding import known_attributes, meanings, tables_in, to_read, trees_in
from mcgen.results.schema.layouts import GROUPS, TABLE
from mcgen.results.schema.numbers import check_arrays
from mcgen.results.schema.printing import text
from mcgen.results.schema.words import VERSION

__all__ = [
    "GROUPS",
    "TABLE",
    "VERSION",
    "Deviation",
    "check_arrays",
    "check_listing",
    "known_attributes",
    "meanings",
    "tables_in",
    "text",
    "to_read",
    "trees_in",
]
