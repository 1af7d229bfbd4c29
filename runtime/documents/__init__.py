"""The four files that everything else shares: settings, fleet document, image manifest, routes.

Each has a versioned JSON Schema in `schemas/`, an example in `examples/`, and a strict reader that
returns a frozen dataclass or raises `DocumentError` with every problem at once.
"""
