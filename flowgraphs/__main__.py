"""`python -m semlink.flowgraphs` is the command `semlink`."""

from semlink.flowgraphs.cli import main

main()
