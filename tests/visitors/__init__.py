"""Real visitors' programs through the tunnel: browsers, command lines, libraries, conformance suites."""
