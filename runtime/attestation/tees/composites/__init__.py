"""Evidence of several parts as one statement about one machine: one file per provider.

`claims` is what each of them makes, `gather` how parts are tried: a refusal names what failed in each.
"""
