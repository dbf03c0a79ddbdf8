"""Demo payments: a stateful stand-in for Stripe that the real SDK talks to over HTTP. No money moves here."""
