"""The microcontroller node: portable C11 in `src/`, one port per board in `port/`."""
