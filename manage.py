#!/usr/bin/env python
"""Run a Django management command of CrossWire."""

from crosswire import cli

if __name__ == "__main__":
    cli.main()
