"""The aiohttp side: everything that is not a relayed byte."""
