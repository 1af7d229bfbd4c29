"""Doubles that speak the real formats and really sign; nothing of `runtime` imports them."""
