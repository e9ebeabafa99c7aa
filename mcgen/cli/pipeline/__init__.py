"""Pipelines: several commands with their settings in one TOML file, for `mcgen run` and for Python.

`read` gives a checked `Pipeline`, and `run` runs it. There is one description of options, that of the commands: `text`
reads and writes TOML, `description` asks the parser of the command line, `sections` and `stages` put both together,
`reading` checks them, `running` runs them, and `records` knows what is complete.
"""

from mcgen.cli.pipeline.reading import Pipeline, read
from mcgen.cli.pipeline.running import run
from mcgen.cli.pipeline.stages import Stage

__all__ = ["Pipeline", "Stage", "read", "run"]
