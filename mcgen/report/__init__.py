"""Reports: what a file of mcgen holds, as one figure or as an HTML page, with the exact values beside it.

`making` goes from a file to its report, `contents` chooses what is shown of it. A report is made of sections with
panels and tables (`parts`, which also draws all panels as one figure): those of lattices (`lattices`), samples of
models (`chains`), RBMs (`machines`) and autoencoders (`autoencoders`), with panels that they share in `observables` and
`series`. `notices` has what a person should know before believing it, `columns` and `provenance` further tables. `page`
writes HTML, with panels as SVG (`vectors`) and its style sheet (`style`). `output` checks and writes files. `text` is
for a terminal.
"""

from mcgen.report.making import draw, gather, report
from mcgen.report.output import check_output, save_figure
from mcgen.report.text import text_table

__all__ = ["check_output", "draw", "gather", "report", "save_figure", "text_table"]
