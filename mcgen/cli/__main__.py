"""`python -m mcgen.cli` is `mcgen`."""

from mcgen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
