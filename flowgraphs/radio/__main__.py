"""`python -m semlink.flowgraphs.radio`."""

from semlink.flowgraphs.radio.apps import main

main()
