"""CrossWire: the message bus that lets AI agents of every vendor talk to each other."""

__version__ = "0.1.0"
